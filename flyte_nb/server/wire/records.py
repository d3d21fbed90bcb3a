"""One store, as the services ask for it: off the server's loop, by threads of its own.

await records.ask(records.details, scope, run, action)
async for revision in records.changes(): ...        whenever something was recorded, in whichever process
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple, ParamSpec, TypeVar

import cloudpickle
from flyteidl2.task import common_pb2
from flyteidl2.workflow import run_definition_pb2

from flyte_nb.engine.identity import ROOT
from flyte_nb.server.source import StoreSource
from flyte_nb.server.wire.literals import literal_of
from flyte_nb.server.wire.messages import Scope, action_details, task_spec
from flyte_nb.server.wire.types import inferred_type, typed_interface
from flyte_nb.store.deployments import Deployments
from flyte_nb.store.home import Home
from flyte_nb.store.listing import revision
from flyte_nb.store.pages import ListedAction, list_actions, list_root_actions
from flyte_nb.store.queries import Store
from flyte_nb.store.rows import ActionRow, TaskRow
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blobs
from flyte_nb.types.offload import unpack_values

__all__ = ["ActionTypes", "Records"]

Answer = TypeVar("Answer")
Asked = ParamSpec("Asked")
THREADS = 4
LOOK_SECONDS = 0.1
"""How often a store is looked at for changes while somebody watches it; the database stays closed for that."""
TASKS_KEPT = 1_000
DETAILS_KEPT = 2_000
SETTLED_NS = 10_000_000_000
"""What ended so long ago stays as it is; a published action that failed may be tried again."""


class ActionTypes(NamedTuple):
    """The names and Python types of an action's values."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]


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
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="flyte-wire")
        self._task = lru_cache(maxsize=TASKS_KEPT)(self._read_task)
        self._settled: OrderedDict[tuple[Any, ...], run_definition_pb2.ActionDetails] = OrderedDict()
        """Details of actions that ended a while ago, of the database as it was last written anew."""
        self._at_revision: tuple[str, dict[Any, run_definition_pb2.RunDetails]] = ("", {})
        """What was asked for since the store last changed."""
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

    def details(self, scope: Scope, run: str, action: str = ROOT) -> run_definition_pb2.ActionDetails:
        """All that is known of an action but its values.

        Raises:
            KeyError: there is no such run or action; the message names near ones.
        """
        key = (self._database_file(), scope, run, action)
        settled = self._settled.get(key)
        if settled is not None:
            return settled
        details = self._read_details(scope, run, action)
        end_ns = details.status.end_time.ToNanoseconds() if details.status.HasField("end_time") else None
        if end_ns is not None and end_ns < time.time_ns() - SETTLED_NS:
            self._settled[key] = details
            if len(self._settled) > DETAILS_KEPT:
                self._settled.popitem(last=False)
        return details

    def run_details(self, scope: Scope, run: str) -> run_definition_pb2.RunDetails:
        """All that is known of a run but its values.

        Raises:
            KeyError: there is no such run; the message names near ones.
        """
        now = revision(self.home)
        if self._at_revision[0] != now or len(self._at_revision[1]) > DETAILS_KEPT:
            self._at_revision = (now, {})
        _, known = self._at_revision
        found = known.get((scope, run))
        if found is None:
            row = self.store.run(run)
            found = run_definition_pb2.RunDetails(action=self.details(scope, run))
            found.run_spec.labels.values.update(row.labels)
            found.run_spec.annotations.values.update(row.annotations)
            known[scope, run] = found
        return found

    def _database_file(self) -> int:
        """Which file the database is: another one once runs were deleted from it."""
        try:
            return os.stat(self.home.database).st_ino
        except FileNotFoundError:
            return 0

    def _read_details(self, scope: Scope, run: str, action: str) -> run_definition_pb2.ActionDetails:
        listed = self.listed(run, action)
        row = self.store.action(run, action)
        task = self._task(run, row.spec) if row.kind == "task" else None
        interface = typed_interface(*self._types(row, task))
        spec = None
        if task is not None:
            spec = task_spec(
                scope, row.task, listed.version, task.short_name, listed.environment, interface, task.settings
            )
        error = row.error
        if error is None and action == ROOT:
            error = self.store.run(run).error
        has_report = row.ended_ns is not None and self.store.report(run, action) is not None
        attempts = self.store.attempts(run, action)
        return action_details(scope, listed, attempts, error, spec, interface, has_report)

    def data(self, run: str, action: str) -> tuple[common_pb2.Inputs, common_pb2.Outputs]:
        """The values of an action as literals; the outputs are empty until it has succeeded.

        Raises:
            KeyError: there is no such run or action.
        """
        row = self.store.action(run, action)
        types = self._types(row, self._task(run, row.spec) if row.kind == "task" else None)
        inputs = common_pb2.Inputs(literals=self._literals(types.inputs, row.inputs))
        outputs = common_pb2.Outputs()
        if row.outputs is not None:
            outputs.literals.extend(self._literals(types.outputs, row.outputs))
        return inputs, outputs

    def _literals(self, types: dict[str, Any], payload: bytes) -> list[common_pb2.NamedLiteral]:
        trees = unpack_values(payload, self.values) if payload else []
        return [
            common_pb2.NamedLiteral(name=name, value=literal_of(tree, declared, self.values))
            for (name, declared), tree in zip(types.items(), trees, strict=False)
        ]

    def _types(self, row: ActionRow, task: TaskRow | None) -> ActionTypes:
        """As the task declares them; where that cannot be read, and of traces, as the values are."""
        if task is not None and (declared := types_of(task.types)) is not None:
            return declared
        if task is not None:
            inputs, outputs = [name for name, _ in task.inputs], [name for name, _ in task.outputs]
        else:
            inputs, outputs = [name for name, _ in row.trace_inputs or ()], ["o0"]
        return ActionTypes(
            self._inferred(inputs, row.inputs), self._inferred(outputs, row.outputs) if row.outputs else {}
        )

    def _inferred(self, names: Sequence[str], payload: bytes) -> dict[str, Any]:
        trees = unpack_values(payload, self.values) if payload else []
        return {name: inferred_type(tree) for name, tree in zip(names, trees, strict=False)}

    def _read_task(self, run: str, spec: int) -> TaskRow:
        """A task as it stood in a run, which never changes.

        Raises:
            KeyError: it is not recorded (yet).
        """
        row = self.source.task(run, spec)
        if row is None:
            raise KeyError(f"Task {spec} of run {run} is not recorded")
        return row


@lru_cache(maxsize=TASKS_KEPT)
def types_of(pickled: bytes) -> ActionTypes | None:
    """The types that a task was recorded with; None where they cannot be loaded here."""
    if not pickled:
        return None
    try:
        types = cloudpickle.loads(pickled)
    except Exception:  # a class of a module that is not installed here, or does not import: whatever that raises
        return None
    return ActionTypes(dict(types["inputs"]), dict(types["outputs"]))
