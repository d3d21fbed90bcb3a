"""Reads a backend for the kernel: the official client's answers as the rows of `flyte_nb.store.rows`."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import flyte
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyte._initialize import get_client, get_init_config
from flyte.remote import Action, ActionDetails, Run, RunDetails, TimeFilter
from flyte.syncify import syncify
from flyteidl2.common import identifier_pb2, phase_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2
from flyteidl2.workflow import run_definition_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.engine.conditions import INPUTS
from flyte_nb.remote.backend.neutral import rebuilt
from flyte_nb.remote.backend.sdk.conditions import asked_of
from flyte_nb.remote.backend.sdk.interfaces import interface_of, named_types
from flyte_nb.remote.backend.sdk.patience import ANSWER_SECONDS, VALUE_SECONDS, answered_within, at_most, silence
from flyte_nb.remote.backend.sdk.values import Values
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.rows import ActionRow, AttemptRow, LogRow, RunRow, TaskRow

__all__ = ["CALLS", "ERRORS", "ROOT", "TERMINAL", "about", "action_row", "add_errors", "run_id"]

ROOT = "a0"
FAILED = frozenset({"failed", "aborted", "timed_out"})
ERRORS = 50
"""Of so many actions of a run the errors are asked for, each by a request of its own."""
TERMINAL = frozenset({"succeeded", "failed", "aborted", "timed_out"})
LOG_SECONDS = 2.0
"""The log stream of an action that still runs has nothing new when it is silent for so long."""

REQUESTS = 16
"""So many requests for the logs of one run are under way at once."""


def about() -> dict[str, str]:
    """What the SDK connects to."""
    config = get_init_config()
    found = {name: getattr(config, name, None) or "" for name in ("org", "project", "domain")}
    client = get_client() if flyte.is_control_plane_available() else None
    return found | {"endpoint": str(getattr(client, "endpoint", "") or "")}


# ---------------------------------------------------------------- runs


@syncify
async def runs(
    phase: list[str] | None = None,
    task: str | None = None,
    labels: dict[str, str] | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    elsewhere: bytes = b"",
) -> list[RunRow]:
    """Runs, newest first."""
    window = TimeFilter(*(datetime.fromisoformat(moment) if moment else None for moment in (since, until)))
    found = Run.listall.aio(
        in_phase=tuple(phase) if phase else None,
        task_name=task,
        with_labels=labels,
        created_at=window if since or until else None,
        sort_by=("created_at", "desc"),
        limit=limit or 1_000_000,
        **(rebuilt(elsewhere) if elsewhere else {}),
    )
    return [_run_row(run.pb2.action, dict(run.pb2.labels)) async for run in found]


@syncify
@answered_within(ANSWER_SECONDS)
async def run(name: str) -> RunRow:
    """One run with its labels and its error."""
    details = await RunDetails.get.aio(name=name)
    spec = details.pb2.run_spec
    row = _run_row(details.pb2.action, dict(spec.labels.values), dict(spec.annotations.values))
    row.error = _error(details.pb2.action)
    row.options = {"queue": spec.queue} if spec.queue else {}
    return row


def url(name: str) -> str:
    """The page of a run."""
    return str(Run.get(name).url)


@syncify
async def abort(name: str, action: str, reason: str) -> None:
    """Ends a run, or one of its actions."""
    if action == ROOT:
        await (await Run.get.aio(name)).abort.aio(reason)
    else:
        await (await Action.get.aio(run_name=name, name=action)).abort.aio(reason)


@syncify
async def wait(name: str, action: str, phase: str, seconds: float) -> str:
    """The phase of an action, as soon as it is another than `phase`, after `seconds` at the latest."""
    now = phase
    async with at_most(seconds):
        async for details in ActionDetails.watch.aio(_action_id(name, action)):
            now = _phase(details.pb2.status.phase)
            if now != phase:
                break
    return now


# ---------------------------------------------------------------- actions


@syncify
async def actions(name: str) -> list[ActionRow]:
    """All actions of a run without their values, parents before their children; those that failed with their errors,
    which a list does not tell, as far as there are few."""
    rows = [action_row(action.pb2) async for action in Action.listall.aio(for_run_name=name)]
    await add_errors(name, rows)
    return rows


async def add_errors(run: str, rows: list[ActionRow], most: int = ERRORS) -> int:
    """Asks for the errors of the root and of the first others that failed, `most` of them; returns how many it asked
    for."""
    failed = [row for row in rows if row.phase in FAILED]
    asked = [row for row in failed if row.name == ROOT] + [row for row in failed if row.name != ROOT][:most]
    found = await asyncio.gather(*(_details(run, row.name) for row in asked))
    for row, details in zip(asked, found, strict=True):
        row.error = _error(details)
    return len(asked)


@syncify
@answered_within(VALUE_SECONDS)
async def action(name: str, action: str, store: str) -> ActionRow:
    """One action with its inputs and, once it has them, its outputs; large values go to the store of this folder."""
    return await _with_values(name, action, store)


@syncify
@answered_within(VALUE_SECONDS)
async def inputs(name: str, actions: list[str], store: str) -> list[ActionRow]:
    """Some actions of a run with their inputs."""
    several = asyncio.Semaphore(REQUESTS)

    async def with_inputs(one: str) -> ActionRow:
        async with several:
            return await _with_values(name, one, store, outputs=False)

    return await asyncio.gather(*map(with_inputs, actions))


@answered_within(ANSWER_SECONDS)
async def _details(name: str, action: str) -> run_definition_pb2.ActionDetails:
    return (await ActionDetails.get.aio(run_name=name, name=action)).pb2


async def _with_values(name: str, action: str, store: str, outputs: bool = True) -> ActionRow:
    values = Values.of(store)
    details = await _details(name, action)
    row = action_row(details)
    row.error = _error(details)
    row.attempt = max(1, details.status.attempts)
    if row.kind == "condition":
        row.inputs, row.trace_inputs = values.plain_payload(asked_of(details.condition)), list(INPUTS)
        if row.phase != "succeeded":
            return row
    data = await get_client().dataproxy_service.get_action_data(
        request=dataproxy_service_pb2.GetActionDataRequest(action_id=details.id)
    )
    interface = interface_of(details)
    if row.kind != "condition":
        row.inputs = await values.payload(interface.inputs.variables, data.inputs.literals)
    if row.kind == "trace":
        row.trace_inputs = named_types(interface.inputs.variables)
    if outputs and row.phase == "succeeded":
        row.outputs = await values.payload(interface.outputs.variables, data.outputs.literals)
    return row


@syncify
async def attempts(name: str, action: str) -> list[AttemptRow]:
    """The attempts of an action."""
    details = await _details(name, action)
    return [
        AttemptRow(
            attempt.attempt,
            _phase(attempt.phase),
            _ns(attempt.start_time),
            _ns_or_none(attempt, "end_time"),
            _error_record(attempt.error_info) if attempt.HasField("error_info") else None,
        )
        for attempt in details.attempts
    ]


@syncify
async def logs(name: str, action: str | None) -> list[LogRow]:
    """What an action, or every task of the run, printed so far, in order of time; of one that runs, what stands there
    now."""
    names = [action] if action else [row.name async for row in Action.listall.aio(for_run_name=name)]
    several = asyncio.Semaphore(REQUESTS)

    async def of_action(one: str) -> list[LogRow]:
        async with several:
            details = await _details(name, one)
            found = [attempt for attempt in details.attempts if attempt.logs_available]
            return [
                row
                for attempt in found
                for row in await _lines(details.id, attempt.attempt, _phase(attempt.phase) in TERMINAL)
            ]

    rows = [row for part in await asyncio.gather(*map(of_action, names)) for row in part]
    return rows if action else sorted(rows, key=lambda row: row.at_ns)


async def _lines(action_id: identifier_pb2.ActionIdentifier, attempt: int, is_over: bool) -> list[LogRow]:
    rows: list[LogRow] = []
    request = dataproxy_service_pb2.TailLogsRequest(action_id=action_id, attempt=attempt)
    stream = aiter(get_client().dataproxy_service.tail_logs(request))
    while True:
        answer = None
        async with at_most(ANSWER_SECONDS if is_over else LOG_SECONDS) as limit:
            answer = await anext(stream, None)
        if is_over and limit.expired():
            raise silence(ANSWER_SECONDS)
        if answer is None:
            return rows
        for part in answer.logs:
            for line in part.lines:
                text = line.message.rstrip("\n")
                rows.append(LogRow(action_id.name, attempt, _ns(line.timestamp), "stdout", text))


@syncify
@answered_within(VALUE_SECONDS)
async def report(name: str, action: str) -> str:
    """The HTML report of an action, empty if it has none."""
    try:
        text: str = await (await Action.get.aio(run_name=name, name=action)).get_report.aio()
    except flyte.errors.BaseRuntimeError:
        return ""
    except ConnectError as error:
        if error.code != Code.NOT_FOUND:
            raise
        return ""
    return text


@syncify
async def task(name: str, action: str) -> TaskRow | None:
    """The task of an action as the backend has it; None for a trace."""
    details = await _details(name, action)
    if not details.HasField("task"):
        return None
    template = details.task.task_template
    row = action_row(details)
    return TaskRow(
        task=row.task,
        spec=row.spec,
        own_digest=template.id.version,
        deep_digest=template.id.version,
        source="",
        inputs=named_types(template.interface.inputs.variables),
        outputs=named_types(template.interface.outputs.variables),
        settings={"version": template.id.version, "image": template.container.image},
        types=b"",
        short_name=details.task.short_name or row.task.rpartition(".")[2],
        place="",
        isolation="backend",
        isolation_reason="",
    )


# ---------------------------------------------------------------- rows


def _run_row(root: Any, labels: dict[str, str], annotations: dict[str, str] | None = None) -> RunRow:
    action = action_row(root)
    return RunRow(
        root.id.run.name,
        action.task,
        action.phase,
        action.queued_ns,
        action.ended_ns,
        labels,
        annotations or {},
        environment=root.metadata.environment_name,
    )


def action_row(action: run_definition_pb2.Action | run_definition_pb2.ActionDetails) -> ActionRow:
    """An action as a list tells it, without values and errors."""
    metadata, status = action.metadata, action.status
    is_trace = metadata.WhichOneof("spec") == "trace"
    is_condition = metadata.WhichOneof("spec") == "condition"
    named = metadata.trace if is_trace else metadata.condition if is_condition else metadata.task.id
    phase = _phase(status.phase)
    started = _ns(status.start_time)
    ended = _ns_or_none(status, "end_time") if phase in TERMINAL or phase == "recovered" else None
    return ActionRow(
        run=action.id.run.name,
        name=action.id.name,
        parent=metadata.parent,
        kind="trace" if is_trace else "condition" if is_condition else "task",
        task=named.name,
        spec=zlib.crc32(f"{named.name}@{metadata.task.id.version}".encode()),
        group=metadata.group,
        phase=phase,
        queued_ns=started,
        started_ns=None if phase in ("queued", "waiting_for_resources") else started,
        ended_ns=ended,
        attempt=max(1, status.attempts),
        where="backend",
    )


def _error(details: run_definition_pb2.ActionDetails) -> ErrorRecord | None:
    if details.HasField("error_info"):
        return _error_record(details.error_info)
    if details.HasField("abort_info"):
        return ErrorRecord("ActionAborted", "user", details.abort_info.reason or "aborted")
    return None


def _error_record(info: run_definition_pb2.ErrorInfo) -> ErrorRecord:
    kind = run_definition_pb2.ErrorInfo.Kind.Name(info.kind).removeprefix("KIND_").lower()
    return ErrorRecord(info.code or "UserError", "unknown" if kind == "unspecified" else kind, info.message)


def _phase(phase: int) -> str:
    name: str = phase_pb2.ActionPhase.Name(phase)
    return name.removeprefix("ACTION_PHASE_").lower()


def run_id(run: str) -> identifier_pb2.RunIdentifier:
    """Names a run of the project and domain that are connected."""
    config = get_init_config()
    return identifier_pb2.RunIdentifier(org=config.org, project=config.project, domain=config.domain, name=run)


def _action_id(run: str, action: str) -> identifier_pb2.ActionIdentifier:
    return identifier_pb2.ActionIdentifier(run=run_id(run), name=action)


def _ns(moment: Timestamp) -> int:
    at_ns: int = moment.ToNanoseconds()
    return at_ns


def _ns_or_none(message: Any, field: str) -> int | None:
    return _ns(getattr(message, field)) if message.HasField(field) else None


CALLS: dict[str, Callable[..., Any]] = {
    "abort": abort,
    "about": about,
    "action": action,
    "actions": actions,
    "attempts": attempts,
    "inputs": inputs,
    "logs": logs,
    "report": report,
    "run": run,
    "runs": runs,
    "task": task,
    "url": url,
    "wait": wait,
}
