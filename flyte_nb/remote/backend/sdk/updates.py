"""A recorded run as the messages by which it is published (TrackedRunService).

rows --all_changes--> Change, Change ... of each action --Messages--> TrackedActionUpdate, inputs, outputs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flyteidl2.core import catalog_pb2
from flyteidl2.task import common_pb2, task_definition_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow.tracked_run_service_pb2 import TrackedActionUpdate

from flyte_nb.server.wire.filters import phase_number
from flyte_nb.server.wire.messages import ERROR_KINDS, Scope, task_spec, timestamp
from flyte_nb.server.wire.values.payloads import action_types, named_literals
from flyte_nb.server.wire.values.types import typed_interface
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.rows import ActionRow, AttemptRow, RunRow, TaskRow
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.types.base import Blobs

__all__ = ["ROOT", "Change", "Messages", "News", "all_changes", "split"]

ROOT = "a0"
OVER = 2
RANKS = {"running": 1, "paused": 1} | dict.fromkeys(PHASES_OVER, OVER)
"""The order of the phases of an attempt; all others come before."""
WITH_OUTPUTS = ("succeeded", "recovered")


class Change(NamedTuple):
    """What there is to say of an action: the attempt that is in a phase since then."""

    attempt: int
    phase: str
    at_ns: int
    error: ErrorRecord | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Changes of an action come in the order of this."""
        return self.attempt, RANKS.get(self.phase, 0)


class News(NamedTuple):
    """What is new of an action, in order."""

    action: ActionRow
    changes: list[Change]


class Messages:
    """Makes the messages of one run.

    Args:
        scope: where it is published.
        name: its name there.
        values: where the large parts of its values are.

    Attributes:
        tasks: its tasks, by their number in it.
    """

    def __init__(self, scope: Scope, name: str, values: Blobs) -> None:
        self.tasks: dict[int, TaskRow] = {}
        self._scope = scope
        self._name = name
        self._values = values

    def update(self, action: ActionRow, change: Change) -> TrackedActionUpdate:
        """One change of an action."""
        at = timestamp(change.at_ns)
        phase, cache = phase_number(change.phase), self._cache_status(action, change)
        event = run_definition_pb2.ActionEvent(
            id=self._scope.action(self._name, action.name),
            attempt=change.attempt,
            phase=phase,
            version=RANKS.get(change.phase, 0),
            updated_time=at,
            reported_time=at,
            cache_status=cache,
        )
        if change.error is not None:
            event.error_info.code = change.error.code
            event.error_info.message = change.error.message
            event.error_info.kind = ERROR_KINDS.get(change.error.kind, run_definition_pb2.ErrorInfo.KIND_UNSPECIFIED)
        status = run_definition_pb2.ActionStatus(
            phase=phase, attempts=change.attempt, cache_status=cache, start_time=timestamp(action.queued_ns)
        )
        if change.phase in PHASES_OVER:
            status.end_time.CopyFrom(at)
        return TrackedActionUpdate(event=event, status=status)

    def introduce(self, update: TrackedActionUpdate, action: ActionRow, run: RunRow) -> None:
        """Says in the first message of an action what it is, and where it stands."""
        update.parent_name, update.group = action.parent, action.group
        if action.name == ROOT:
            return
        if action.kind == "trace":
            interface = typed_interface(*action_types(action, None, self._values))
            spec = task_definition_pb2.TraceSpec(interface=interface)
            update.trace.CopyFrom(run_definition_pb2.TraceAction(name=action.task, spec=spec))
        else:
            update.task.spec.CopyFrom(self.spec(action, run))

    def spec(self, action: ActionRow, run: RunRow) -> task_definition_pb2.TaskSpec:
        """The task of an action; a condition counts as one without values, as in Flyte's client."""
        task = self.tasks.get(action.spec)
        environment = run.environment if action.name == ROOT else action.task.rpartition(".")[0]
        if task is None:
            return task_spec(self._scope, action.task, "", "", environment, typed_interface({}, {}), {})
        interface = typed_interface(*action_types(action, task, self._values))
        version = str(task.settings.get("version", task.deep_digest))[:32]
        return task_spec(self._scope, action.task, version, task.short_name, environment, interface, task.settings)

    def inputs(self, action: ActionRow) -> bytes | None:
        """What an action received, as it is uploaded; None where it takes nothing."""
        types = action_types(action, self.tasks.get(action.spec), self._values)
        literals = named_literals(types.inputs, action.inputs, self._values)
        return bytes(common_pb2.Inputs(literals=literals).SerializeToString()) if literals else None

    def outputs(self, action: ActionRow, phase: str) -> bytes | None:
        """What an action that ended in a phase has returned, likewise."""
        if phase not in WITH_OUTPUTS or action.outputs is None:
            return None
        types = action_types(action, self.tasks.get(action.spec), self._values)
        literals = named_literals(types.outputs, action.outputs, self._values)
        return bytes(common_pb2.Outputs(literals=literals).SerializeToString())

    def _cache_status(self, action: ActionRow, change: Change) -> Any:
        task = self.tasks.get(action.spec)
        if action.source.startswith("cache:"):
            return catalog_pb2.CACHE_HIT
        if task is None or "cache" not in task.settings:
            return catalog_pb2.CACHE_DISABLED
        return catalog_pb2.CACHE_POPULATED if change.phase == "succeeded" else catalog_pb2.CACHE_MISS


def all_changes(action: ActionRow, run: RunRow, earlier: Sequence[AttemptRow]) -> Iterator[Change]:
    """Everything that became of an action, in order."""
    for attempt in earlier:
        if attempt.attempt < action.attempt:
            yield Change(attempt.attempt, "running", attempt.started_ns)
            yield Change(attempt.attempt, attempt.phase, attempt.ended_ns or attempt.started_ns, attempt.error)
    phase, ended_ns, error = action.phase, action.ended_ns, action.error
    if action.name == ROOT and run.phase in PHASES_OVER:
        phase, ended_ns, error = run.phase, run.ended_ns, run.error
    if action.started_ns is not None or phase in PHASES_OVER:  # a backend knows no end without a beginning
        beginning = "paused" if phase == "paused" else "running"
        yield Change(action.attempt, beginning, action.started_ns or action.queued_ns)
    else:
        yield Change(action.attempt, phase, action.queued_ns)
    if phase in PHASES_OVER:
        yield Change(action.attempt, phase, ended_ns or action.queued_ns, error)


def split(news: Sequence[News]) -> tuple[list[News], list[News]]:
    """How actions went on, as they began; then how they ended, in that order, the root at last: it ends the run."""
    beginnings, endings = [], []
    for action, changes in news:
        is_ended = bool(changes) and changes[-1].place[1] == OVER
        until = len(changes) - is_ended
        beginnings += [News(action, changes[:until])] if until else []
        endings += [News(action, changes[until:])] if is_ended else []
    endings.sort(key=lambda one: (one.action.name == ROOT, one.changes[-1].at_ns))
    return beginnings, endings
