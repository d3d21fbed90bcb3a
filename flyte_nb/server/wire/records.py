"""One store, as the services ask for it: off the server's loop, by threads of its own.

await records.details(scope, run, action)
await records.ask(records.data, run, action)
async for revision in records.changes(): ...        whenever something was recorded, in whichever process
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import ParamSpec, TypeVar

from flyteidl2.task import common_pb2, task_definition_pb2
from flyteidl2.workflow import run_definition_pb2

from flyte_nb.engine.identity import ROOT
from flyte_nb.server.source import StoreSource
from flyte_nb.server.wire.memory import Details, Memory
from flyte_nb.server.wire.messages import Scope, action_details, listed_action, task_spec
from flyte_nb.server.wire.originals import Originals
from flyte_nb.server.wire.signals import condition_of
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.server.wire.values.payloads import action_types, named_literals
from flyte_nb.server.wire.values.types import typed_interface
from flyte_nb.store.database import Database
from flyte_nb.store.deployments import Deployments
from flyte_nb.store.home import Home
from flyte_nb.store.listing import revision
from flyte_nb.store.pages import Condition, ListedAction, list_actions, list_root_actions, listed_row
from flyte_nb.store.queries import Store
from flyte_nb.store.rows import RunRow, TaskRow
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blobs

__all__ = ["Records"]

Answer = TypeVar("Answer")
Asked = ParamSpec("Asked")
THREADS = 4
LOOK_SECONDS = 0.1
"""How often a store is looked at for changes while somebody watches it; the database stays closed for that."""
TASKS_KEPT = 1_000


class Records:
    """A store that others write. Its methods that are not async block: call them through `ask`.

    Args:
        home: the store.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        if (project := str(home.path.parent)) not in sys.path:
            sys.path.append(project)  # the project's own modules define the types of its values
        self.store = Store.open(home)
        self.source = StoreSource(self.store)
        self.deployments = Deployments(home)
        self.values: Blobs = ValueStore(home)
        self._originals = Originals(Uploads(home))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="flyte-wire")
        self._task = lru_cache(maxsize=TASKS_KEPT)(self._read_task)
        self._memory = Memory(home)
        self._turn = asyncio.Condition()
        self._revision = ""
        self._watchers = 0
        self._watching: asyncio.Task[None] | None = None
        self._ending = False

    async def ask(self, question: Callable[Asked, Answer], *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        """The answer to a question, found on one of the store's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: question(*args, **kwargs))

    async def stop_watching(self) -> None:
        """Ends all that watch: the server is about to end."""
        self._ending = True
        async with self._turn:
            self._turn.notify_all()

    def close(self) -> None:
        """Lets go of the store once the questions that are being answered are."""
        self._threads.shutdown(wait=True)
        self.store.close()

    async def changes(self) -> AsyncGenerator[str, None]:
        """The store's revision, now and whenever it has changed; all who watch share one look at it.

        Raises:
            ConnectionAbortedError: the server is about to end.
        """
        self._watchers += 1
        try:
            if self._watching is None:
                self._revision = await self.ask(revision, self.home)
                self._watching = asyncio.create_task(self._watch())
            seen = self._revision
            while True:
                yield seen
                async with self._turn:
                    await self._turn.wait_for(lambda seen=seen: self._ending or self._revision != seen)  # type: ignore[misc]
                if self._ending:
                    raise ConnectionAbortedError("The server is ending: ask again when it is back")
                seen = self._revision
        finally:
            self._watchers -= 1
            if not self._watchers and self._watching is not None:
                self._watching.cancel()
                self._watching = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = await self.ask(revision, self.home)
            if now != self._revision:
                self._revision = now
                async with self._turn:
                    self._turn.notify_all()

    def has_run(self, run: str) -> bool:
        """Whether there is a run of that name."""
        return bool(list_root_actions(self.home, [("run = ?", [run])], limit=1).rows)

    def listed(self, run: str, action: str = ROOT) -> ListedAction:
        """One action as a list shows it.

        Raises:
            KeyError: there is no such run or action; the message names near ones.
        """
        if action == ROOT:
            found = list_root_actions(self.home, [("run = ?", [run])], limit=1).rows
        else:
            found = list_actions(self.home, run, [("name = ?", [action])], limit=1).rows
        if not found:
            self.store.run(run)  # names the runs near it
            self.store.action(run, action)
            raise KeyError(f"Run {run} has no action {action!r}")
        return found[0]

    async def details(self, scope: Scope, run: str, action: str = ROOT) -> run_definition_pb2.ActionDetails:
        """All that is known of an action but its values.

        Raises:
            KeyError: there is no such run or action; the message names near ones.
        """
        return await self._details((scope, run, action), lambda: self.read_details(scope, run, action))

    async def run_details(self, scope: Scope, run: str) -> run_definition_pb2.RunDetails:
        """All that is known of a run but its values.

        Raises:
            KeyError: there is no such run; the message names near ones.
        """
        return await self._details((scope, run), lambda: self._read_run_details(scope, run))

    async def _details(self, key: Hashable, read: Callable[[], Details]) -> Details:
        known: Details | None = self._memory.settled(key)
        if known is None:
            return await self.ask(self._memory.details, key, read)
        if self._memory.is_look_due():
            self._threads.submit(self._memory.look)  # where it fails, the next question will, and say so
        return known

    def changed_actions(
        self, run: str, conditions: Sequence[Condition], since_ns: int
    ) -> tuple[bool, list[ListedAction]]:
        """Whether a run is over, and its actions (all, if it is), or those that have changed since a time.

        Raises:
            KeyError: there is no such run; the message names near ones.
        """
        with Database.of(self.home).held():
            is_over = self.store.phase(run) in PHASES_OVER
            since: list[Condition] = [] if is_over else [("updated_ns >= ?", [since_ns])]
            return is_over, list_actions(self.home, run, [*conditions, *since], limit=None).rows

    def _read_run_details(self, scope: Scope, run: str) -> run_definition_pb2.RunDetails:
        row = self.store.run(run)
        details = run_definition_pb2.RunDetails(action=self._read_action_details(scope, row, ROOT))
        details.run_spec.labels.values.update(row.labels)
        details.run_spec.annotations.values.update(row.annotations)
        return details

    def read_details(self, scope: Scope, run: str, action: str) -> run_definition_pb2.ActionDetails:
        """The same as `details`, read anew, for those who are on a thread of the store's already."""
        return self._read_action_details(scope, self.store.run(run), action)

    def _read_action_details(self, scope: Scope, run: RunRow, action: str) -> run_definition_pb2.ActionDetails:
        row = self.store.action(run.name, action)
        if row.name != action:
            raise KeyError(f"Run {run.name} has no action {action!r}: did you mean {row.name!r}?")
        task = self._task(run.name, row.spec) if row.kind == "task" else None
        listed = listed_row(run, row, task)
        interface = typed_interface(*action_types(row, task, self.values))
        spec: task_definition_pb2.TaskSpec | run_definition_pb2.ConditionAction | None = None
        if row.kind == "condition":
            spec = condition_of(row, self.values)
        elif task is not None:
            spec = self._originals.task(run.name, row.spec) or task_spec(
                scope, row.task, listed.version, task.short_name, listed.environment, interface, task.settings
            )
        error = run.error if row.error is None and action == ROOT else row.error
        has_report = row.ended_ns is not None and self.store.report(run.name, action) is not None
        attempts = self.store.attempts(run.name, action)
        return action_details(scope, listed, attempts, error, spec, interface, has_report)

    def message(self, scope: Scope, row: ListedAction) -> run_definition_pb2.Action:
        """An action as a list shows it; a condition with the type of its answer."""
        message = listed_action(scope, row)
        if row.kind == "condition":
            asked = condition_of(self.store.action(row.run, row.name), self.values)
            message.metadata.condition.type.CopyFrom(asked.type)
        return message

    def data(self, run: str, action: str) -> tuple[common_pb2.Inputs, common_pb2.Outputs]:
        """The values of an action as literals; the outputs are empty until it has succeeded.

        Raises:
            KeyError: there is no such run or action.
        """
        row = self.store.action(run, action)
        task = self._task(run, row.spec) if row.kind == "task" else None
        types = action_types(row, task, self.values)
        inputs = self._originals.inputs(run, action) or common_pb2.Inputs(
            literals=named_literals(types.inputs, row.inputs, self.values)
        )
        outputs = common_pb2.Outputs()
        if row.outputs is not None:
            if (original := self._originals.outputs(run, action, row.attempt)) is not None:
                return inputs, original
            outputs.literals.extend(named_literals(types.outputs, row.outputs, self.values))
        return inputs, outputs

    def _read_task(self, run: str, spec: int) -> TaskRow:
        """A task as it stood in a run, which never changes.

        Raises:
            KeyError: it is not recorded (yet).
        """
        row = self.source.task(run, spec)
        if row is None:
            raise KeyError(f"Task {spec} of run {run} is not recorded")
        return row
