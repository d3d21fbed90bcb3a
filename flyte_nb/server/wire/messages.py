"""Rows of a store as Flyte's messages: runs, actions, their attempts, their errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flyteidl2.common import identifier_pb2, run_pb2
from flyteidl2.core import interface_pb2
from flyteidl2.task import task_definition_pb2
from flyteidl2.workflow import run_definition_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.engine.identity import ROOT
from flyte_nb.server.wire.filters import phase_number
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.pages import ListedAction
from flyte_nb.store.rows import AttemptRow
from flyte_nb.store.schema import PHASES_OVER

__all__ = [
    "CODE_BUNDLE",
    "NOWHERE",
    "Scope",
    "action_details",
    "bundle_uri",
    "listed_action",
    "listed_run",
    "task_spec",
    "timestamp",
]

ACTION_TYPES = {
    "task": run_definition_pb2.ACTION_TYPE_TASK,
    "trace": run_definition_pb2.ACTION_TYPE_TRACE,
    "condition": run_definition_pb2.ACTION_TYPE_CONDITION,
}
RELATIONS = {
    "reruns": run_pb2.RELATION_TYPE_RERUN,
    "recovers": run_pb2.RELATION_TYPE_RECOVER,
    "forks": run_pb2.RELATION_TYPE_RECOVER,
    "": run_pb2.RELATION_TYPE_SPAWN,
}
ERROR_KINDS = {"user": run_definition_pb2.ErrorInfo.KIND_USER, "system": run_definition_pb2.ErrorInfo.KIND_SYSTEM}
CODE_BUNDLE = "code_bundle"
"""The setting of a task of Flyte's own that says where its code lies."""
TRACKED = "tracked"
"""The option that marks a run which the official client published."""


class Scope(NamedTuple):
    """Under what a client looks for its things. A store is one project: whatever the client calls it, it finds it."""

    org: str
    project: str
    domain: str

    def run(self, name: str) -> identifier_pb2.RunIdentifier:
        return identifier_pb2.RunIdentifier(org=self.org, project=self.project, domain=self.domain, name=name)

    def action(self, run: str, name: str) -> identifier_pb2.ActionIdentifier:
        return identifier_pb2.ActionIdentifier(run=self.run(run), name=name)

    def task(self, name: str, version: str) -> task_definition_pb2.TaskIdentifier:
        return task_definition_pb2.TaskIdentifier(
            org=self.org, project=self.project, domain=self.domain, name=name, version=version
        )


NOWHERE = Scope("", "", "")
"""Of what no client asked for by a name, or where that does not matter."""


def timestamp(at_ns: int) -> Timestamp:
    """A moment in nanoseconds since the epoch."""
    return Timestamp(seconds=at_ns // 1_000_000_000, nanos=at_ns % 1_000_000_000)


def listed_run(scope: Scope, row: ListedAction) -> run_definition_pb2.Run:
    """A run, from its root action."""
    return run_definition_pb2.Run(action=listed_action(scope, row), labels=row.labels or {})


def listed_action(scope: Scope, row: ListedAction) -> run_definition_pb2.Action:
    """An action without its values, attempts and errors."""
    return run_definition_pb2.Action(
        id=scope.action(row.run, row.name), metadata=_metadata(scope, row), status=_status(row)
    )


def action_details(
    scope: Scope,
    row: ListedAction,
    attempts: Sequence[AttemptRow],
    error: ErrorRecord | None,
    spec: task_definition_pb2.TaskSpec | run_definition_pb2.ConditionAction | None,
    interface: interface_pb2.TypedInterface,
    has_report: bool,
) -> run_definition_pb2.ActionDetails:
    """All that is known of an action but its values.

    Args:
        scope: under what the client looks for it.
        row: the action.
        attempts: in order.
        error: why it failed, or was aborted.
        spec: its task, or what a condition asks; None of a trace.
        interface: the types of its values.
        has_report: whether it has written a report.
    """
    details = run_definition_pb2.ActionDetails(
        id=scope.action(row.run, row.name), metadata=_metadata(scope, row), status=_status(row)
    )
    if isinstance(spec, task_definition_pb2.TaskSpec):
        details.task.CopyFrom(spec)
    elif spec is not None:
        details.condition.CopyFrom(spec)
        details.metadata.condition.type.CopyFrom(spec.type)
    else:
        details.trace.interface.CopyFrom(interface)
    if error is not None and row.phase == "aborted":
        details.abort_info.reason = error.message
    elif error is not None:
        details.error_info.CopyFrom(_error(error))
    for attempt in attempts:
        details.attempts.append(_attempt(row, attempt, is_last=attempt is attempts[-1], has_report=has_report))
    return details


def task_spec(
    scope: Scope,
    name: str,
    version: str,
    short_name: str,
    environment: str,
    interface: interface_pb2.TypedInterface,
    settings: Mapping[str, Any],
) -> task_definition_pb2.TaskSpec:
    """A task of flyte_nb's as Flyte describes one; what it is made of stays in the store."""
    spec = task_definition_pb2.TaskSpec(short_name=short_name or name.rpartition(".")[2])
    spec.environment.name = environment
    template = spec.task_template
    template.id.org, template.id.project, template.id.domain = scope
    template.id.name, template.id.version = name, version
    template.type = "python"
    template.interface.CopyFrom(interface)
    counted = re.search(r"\d+", str(settings.get("retries", "")))  # 2, or count=2 of a strategy
    template.metadata.retries.retries = int(counted.group()) if counted else 0
    template.metadata.discoverable = "cache" in settings
    template.metadata.is_entrypoint = bool(settings.get("entrypoint"))
    template.metadata.code_bundle_uri = settings.get(CODE_BUNDLE, "")
    return spec


def bundle_uri(spec: task_definition_pb2.TaskSpec) -> str:
    """Where the code of a task lies that Flyte's own client brought; empty where it brought none."""
    arguments = list(spec.task_template.container.args)
    flags = (flag for flag in ("--tgz", "--pkl") if flag in arguments[:-1])
    flag = next(flags, None)
    if flag is None:
        return str(spec.task_template.metadata.code_bundle_uri)
    return str(arguments[arguments.index(flag) + 1])


def _metadata(scope: Scope, row: ListedAction) -> run_definition_pb2.ActionMetadata:
    metadata = run_definition_pb2.ActionMetadata(
        parent=row.parent, group=row.group, action_type=ACTION_TYPES[row.kind], environment_name=row.environment
    )
    if row.kind == "task":
        metadata.task.id.CopyFrom(scope.task(row.task, row.version))
        metadata.task.short_name = row.short_name or row.task.rpartition(".")[2]
        metadata.task.task_type = "python"
        metadata.funtion_name = row.task.rpartition(".")[2]
    elif row.kind == "trace":
        metadata.trace.name = row.task
    else:
        metadata.condition.name = row.task
    if row.parent_run and row.name == ROOT:
        metadata.relation.related_to.CopyFrom(scope.run(row.parent_run))
        metadata.relation.relation_type = RELATIONS.get(row.lineage, run_pb2.RELATION_TYPE_UNSPECIFIED)
    return metadata


def _status(row: ListedAction) -> run_definition_pb2.ActionStatus:
    status = run_definition_pb2.ActionStatus(
        phase=phase_number(row.phase),
        start_time=timestamp(row.queued_ns),
        attempts=row.attempt,
    )
    if row.ended_ns is not None:
        status.end_time.CopyFrom(timestamp(row.ended_ns))
        status.duration_ms = max(0, (row.ended_ns - row.queued_ns) // 1_000_000)
    return status


def _attempt(
    row: ListedAction, attempt: AttemptRow, *, is_last: bool, has_report: bool
) -> run_definition_pb2.ActionAttempt:
    message = run_definition_pb2.ActionAttempt(
        attempt=attempt.attempt,
        phase=phase_number(attempt.phase),
        start_time=timestamp(attempt.started_ns),
        logs_available=True,
    )
    if attempt.error is not None:
        message.error_info.CopyFrom(_error(attempt.error))
    if attempt.ended_ns is not None:
        message.end_time.CopyFrom(timestamp(attempt.ended_ns))
    if is_last and has_report:
        message.outputs.report_uri = f"flyte-nb:{row.run}/{row.name}/report"
    begun = row.queued_ns if attempt.attempt == 1 else attempt.started_ns
    initialized = row.initializing_ns if is_last else None
    steps = [
        ("queued", begun),
        *([("initializing", initialized)] if initialized is not None else []),
        ("running", attempt.started_ns),
        *([(attempt.phase, attempt.ended_ns)] if attempt.phase in PHASES_OVER and attempt.ended_ns is not None else []),
    ]
    ends = [at for _, at in steps[1:]] + [attempt.ended_ns]
    for (phase, at), end in zip(steps, ends, strict=True):
        step = message.phase_transitions.add(phase=phase_number(phase), start_time=timestamp(at))
        if end is not None:
            step.end_time.CopyFrom(timestamp(end))
    return message


def _error(error: ErrorRecord) -> run_definition_pb2.ErrorInfo:
    place = f" ({error.place})" if error.place else ""
    return run_definition_pb2.ErrorInfo(
        message=f"{error.message}{place}",
        code=error.code,
        kind=ERROR_KINDS.get(error.kind, run_definition_pb2.ErrorInfo.KIND_UNSPECIFIED),
    )
