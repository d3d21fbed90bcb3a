"""Publishes recorded runs at a backend, as Flyte's client does with its own local runs (TrackedRunService).

    store --rows--> what is new since the last call --literals, updates--> backend

The run itself is never asked: publishing costs it nothing, and what was not published can be later, from any process.
An action is reported as it begins, tries again, and ends; a trace once it is over: its types are those of its values.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import httpx
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyte._initialize import get_client, get_init_config
from flyte._persistence._remote_upload import upload_tracked_run_artifact
from flyte.syncify import syncify
from flyteidl2.common import phase_pb2, run_pb2
from flyteidl2.task import run_pb2 as task_run_pb2
from flyteidl2.workflow import run_definition_pb2, run_service_pb2, tracked_run_service_pb2

from flyte_nb.remote.backend.publishing import Progress
from flyte_nb.remote.backend.sdk.updates import ROOT, Change, Messages, News, all_changes, split
from flyte_nb.server.wire.filters import phase_name
from flyte_nb.server.wire.messages import Scope, timestamp
from flyte_nb.store.home import Home
from flyte_nb.store.listing import revision
from flyte_nb.store.queries import Store
from flyte_nb.store.rows import ActionRow, AttemptRow, RunRow
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.store.values import ValueStore

__all__ = ["CALLS"]

T = TypeVar("T")

TOGETHER = 100
"""So many actions are reported in one message."""
UPLOADS = 8
"""So many values are under way at once."""
LOOK_SECONDS = 2.0
"""How often the backend is asked whether it has aborted a run of which there is nothing new."""
TURN_SECONDS = 5.0
"""After so long a call says how far it came."""
ANSWER_SECONDS = 60.0
"""A backend that does not answer for so long counts as away."""


class Publication:
    """One run on its way to the backend.

    Args:
        store: the store that has it.
        run: its name there.
        name: its name at the backend.

    Raises:
        KeyError: the store has no such run.
        ValueError: nothing says where it is to be published.
    """

    def __init__(self, store: Store, run: str, name: str) -> None:
        self._store = store
        self._run = run
        self._name = name
        self._scope = scope_of(store.run(run))
        self._url = page_of(self._scope, name)
        self._messages = Messages(self._scope, name, ValueStore(store.home))
        self._said: dict[str, tuple[int, int]] = {}
        """How far each action was told."""
        self._is_created = False
        self._revision = ""
        """Of the store, when all of it was told."""
        self._uploading = asyncio.Semaphore(UPLOADS)
        self._turn = asyncio.Lock()
        self._refused: list[str] = []
        self._looked = time.monotonic()

    async def bring_up(self) -> Progress:
        """Tells all that is recorded by now.

        Raises:
            KeyError: the run was deleted from the store.
            ValueError: another run has its name at the backend, or it ended there otherwise.
        """
        async with self._turn:
            return await self._bring_up()

    async def _bring_up(self) -> Progress:
        began = time.monotonic()
        now = await asyncio.to_thread(revision, self._store.home)
        if now == self._revision:
            return Progress(self._name, self._url, aborted=await self._look())
        row = await asyncio.to_thread(self._store.run, self._run)
        actions, earlier = await asyncio.to_thread(self._read, row)
        self._refused.clear()
        is_over = row.phase in PHASES_OVER
        if actions and not self._is_created:
            if not await self._create(row, actions[0]):
                return Progress(self._name, self._url, is_over=True)
            self._is_created = True
        beginnings, endings = split([News(action, self._changes(action, row, earlier)) for action in actions])
        for news in (beginnings, endings):  # a backend takes the outputs of actions that it knows
            for start in range(0, len(news), TOGETHER):
                await self._tell(news[start : start + TOGETHER], row)
                if time.monotonic() > began + TURN_SECONDS:
                    return Progress(self._name, self._url, is_behind=True, refused=self._refused[:1])
        self._revision = now
        if self._refused and not is_over and (aborted := await self._look(at_once=True)) is not None:
            return Progress(self._name, self._url, aborted=aborted)
        return Progress(self._name, self._url, is_over=is_over and bool(actions), refused=self._refused[:1])

    async def _tell(self, news: Sequence[News], run: RunRow) -> None:
        """Tells news of several actions."""
        updates = await asyncio.gather(*(self._updates(action, run, changes) for action, changes in news))
        await self._send([update for several in updates for update in several])
        self._said.update({action.name: changes[-1].place for action, changes in news})

    async def _look(self, at_once: bool = False) -> str | None:
        """Why the run was aborted at the backend; None where it was not, or where that was asked a moment ago."""
        now = time.monotonic()
        if now < self._looked + LOOK_SECONDS and not at_once:
            return None
        self._looked = now
        there = await self._there()
        if there.status.phase != phase_pb2.ACTION_PHASE_ABORTED:
            return None
        return there.abort_info.reason or "aborted at the backend"

    def _read(self, row: RunRow) -> tuple[list[ActionRow], dict[str, list[AttemptRow]]]:
        actions = self._store.actions(row.name)
        if any(action.kind == "task" and action.spec not in self._messages.tasks for action in actions):
            self._messages.tasks = {task.spec: task for task in self._store.tasks(row.name)}
        retried = any(action.attempt > 1 for action in actions)
        return actions, self._store.earlier_attempts(row.name) if retried else {}

    def _changes(self, action: ActionRow, run: RunRow, earlier: dict[str, list[AttemptRow]]) -> list[Change]:
        """What is new of an action, in order."""
        if action.kind == "trace" and action.phase not in PHASES_OVER:
            return []
        said = self._said.get(action.name, (0, -1))
        return [change for change in all_changes(action, run, earlier.get(action.name, [])) if change.place > said]

    async def _create(self, row: RunRow, root: ActionRow) -> bool:
        """Begins the run at the backend; False where all of it is there already.

        Raises:
            ValueError: what has its name there is another run, or ended otherwise.
        """
        offloaded = None
        if (inputs := self._messages.inputs(root)) is not None:
            digest = hashlib.sha256(inputs).hexdigest()
            uri = await self._upload("inputs", ROOT, None, inputs)
            offloaded = run_pb2.OffloadedInputData(uri=uri, inputs_hash=digest)
        request = tracked_run_service_pb2.CreateTrackedRunRequest(
            run_id=self._scope.run(self._name),
            task_spec=self._messages.spec(root, row),
            offloaded_input_data=offloaded,
            run_spec=task_run_pb2.RunSpec(
                labels=task_run_pb2.Labels(values=row.labels),
                annotations=task_run_pb2.Annotations(values=row.annotations),
            ),
            labels=row.labels,
            run_start_time=timestamp(row.started_ns),
        )
        try:
            await in_time(get_client().tracked_run_service.create_run(request))
        except ConnectError as error:
            if error.code != Code.ALREADY_EXISTS:
                raise
            return await self._goes_on(row)
        return True

    async def _goes_on(self, row: RunRow) -> bool:
        """Whether the run that is at the backend under this name is this one and waits for more of it."""
        status = (await self._there()).status
        phase = phase_name(status.phase)
        if status.start_time.ToNanoseconds() // 1000 != row.started_ns // 1000:
            raise ValueError(
                f"Another run is called {self._name!r} there: publish {self._run} under a name that is free, "
                f"Run.get({self._run!r}).publish(name=...)"
            )
        if phase not in PHASES_OVER:
            return True
        if phase == row.phase:
            return False
        raise ValueError(
            f"Run {self._name!r} has ended there as {phase} and takes no more: publish {self._run} under another name, "
            f"Run.get({self._run!r}).publish(name=...)"
        )

    async def _there(self) -> run_definition_pb2.ActionDetails:
        request = run_service_pb2.GetRunDetailsRequest(run_id=self._scope.run(self._name))
        return (await in_time(get_client().run_service.get_run_details(request))).details.action

    async def _updates(
        self, action: ActionRow, run: RunRow, changes: Sequence[Change]
    ) -> list[tracked_run_service_pb2.TrackedActionUpdate]:
        """The messages of an action's changes; its values are at the backend when this returns."""
        is_new = action.name not in self._said
        if is_new and action.name != ROOT and (inputs := self._messages.inputs(action)) is not None:
            await self._upload("inputs", action.name, None, inputs)
        updates = [self._messages.update(action, change) for change in changes]
        if is_new:
            self._messages.introduce(updates[0], action, run)
        last = updates[-1]
        if changes[-1].phase in PHASES_OVER:
            if (outputs := self._messages.outputs(action, changes[-1].phase)) is not None:
                last.event.outputs.output_uri = await self._upload("outputs", action.name, action.attempt, outputs)
            if (report := await asyncio.to_thread(self._report, action)) is not None:
                last.event.outputs.report_uri = await self._upload("report", action.name, action.attempt, report)
        return updates

    def _report(self, action: ActionRow) -> bytes | None:
        task = self._messages.tasks.get(action.spec)
        if task is None or "report" not in task.settings:
            return None
        html: str | None = self._store.report(self._run, action.name)
        return html.encode("utf-8", "replace") if html is not None else None

    async def _upload(self, kind: str, action: str, attempt: int | None, content: bytes) -> str:
        async with self._uploading:
            upload = upload_tracked_run_artifact(
                get_client().dataproxy_service,
                kind=kind,
                run_id=self._scope.run(self._name),
                action_name=action,
                attempt=attempt,
                data=content,
                verify=trusted(),
                content_type="text/html" if kind == "report" else None,
            )
            uri, _ = await in_time(upload)
        return uri

    async def _send(self, updates: Sequence[tracked_run_service_pb2.TrackedActionUpdate]) -> None:
        request = tracked_run_service_pb2.ReportTrackedActionsRequest(
            run_id=self._scope.run(self._name), updates=updates
        )
        answer = await in_time(get_client().tracked_run_service.report_actions(request))
        self._refused += [
            f"{update.event.id.name}: {status.message}"
            for update, status in zip(updates, answer.statuses, strict=False)
            if status.code
        ]


def scope_of(row: RunRow) -> Scope:
    """Where a run is published.

    Raises:
        ValueError: nothing names a project and a domain.
    """
    config = get_init_config()
    project, domain = (str(row.options.get(one) or getattr(config, one) or "") for one in ("project", "domain"))
    if not project or not domain:
        raise ValueError(
            "a published run has a project and a domain: flyte.init(endpoint=..., project=..., domain=...)"
        )
    return Scope(config.org or "", project, domain)


_publications: dict[tuple[str, str, str], Publication] = {}


@syncify
async def publish(store: str, run: str, name: str) -> Progress:
    """Tells the backend everything that is recorded of a run by now.

    Args:
        store: folder of the store that has it.
        run: its name there.
        name: its name at the backend.
    """
    key = store, run, name
    if key not in _publications:
        _publications[key] = await asyncio.to_thread(Publication, Store.open(Home.find(store)), run, name)
    progress = await _publications[key].bring_up()
    if progress.is_over or progress.aborted is not None:
        _publications.pop(key, None)
    return progress


def published_url(store: str, run: str, name: str) -> str:
    """The page of a run under a name; the backend is not asked."""
    return page_of(scope_of(Store.open(Home.find(store)).run(run)), name)


async def in_time(answer: Awaitable[T]) -> T:
    """The answer of a backend.

    Raises:
        TimeoutError: it takes too long.
    """
    try:
        return await asyncio.wait_for(answer, ANSWER_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"the backend did not answer within {ANSWER_SECONDS:g} s") from None


@cache
def trusted() -> Any:
    """Whom HTTPS is spoken with: httpx's own default, made once, for the SDK makes a client for every upload."""
    return httpx.create_ssl_context()


def page_of(scope: Scope, name: str) -> str:
    return str(get_client().console.tracked_run_url(scope.project, scope.domain, name))


@syncify
async def check_publishing(name: str) -> None:
    """Returns where a run can be published under a name.

    Raises:
        ValueError: there is a run of that name, or no project and domain to publish it in.
    """
    request = run_service_pb2.GetRunDetailsRequest(run_id=scope_of(RunRow(name, "", "", 0)).run(name))
    try:
        await in_time(get_client().run_service.get_run_details(request))
    except ConnectError as error:
        if error.code == Code.NOT_FOUND:
            return
        raise
    raise ValueError(f"There is a run {name!r} already: choose another name")


CALLS: dict[str, Callable[..., Any]] = {
    "check_publishing": check_publishing,
    "publish": publish,
    "published_url": published_url,
}
