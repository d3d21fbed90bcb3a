"""Runs that Flyte's own client runs itself and publishes here: recorded like others, in the journal of this server.

Its messages become the events that the engine would have written. Each is recorded before it is acknowledged.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
from flyteidl2.task import common_pb2, task_definition_pb2
from flyteidl2.workflow import run_definition_pb2, tracked_run_service_pb2
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.engine.identity import ROOT
from flyte_nb.server.wire.filters import phase_name
from flyte_nb.server.wire.literals import tree_of
from flyte_nb.server.wire.messages import TRACKED
from flyte_nb.server.wire.records import ActionTypes, Records
from flyte_nb.server.wire.types import python_types
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    AttemptStarted,
    ErrorRecord,
    Event,
    ReportWritten,
    RunEnded,
    RunStarted,
    TaskDeclared,
    encode_event,
)
from flyte_nb.store.journal import Journal
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.types.names import describe_type
from flyte_nb.types.offload import pack_values

__all__ = ["Tracking"]

WITH_OUTPUTS = ("succeeded", "recovered")
KINDS = {run_definition_pb2.ErrorInfo.KIND_USER: "user", run_definition_pb2.ErrorInfo.KIND_SYSTEM: "system"}
WHERE = "elsewhere"
"""Where a published action ran."""


@dataclass(slots=True)
class TrackedAction:
    """What is recorded of an action so far."""

    types: ActionTypes
    attempt: int = 0
    phase: str = "queued"
    started_ns: int = 0
    retries: int = 0
    """How many attempts may follow one that failed."""

    @property
    def may_go_on(self) -> bool:
        """Whether more may be heard of it."""
        return self.phase not in PHASES_OVER or (self.phase == "failed" and self.attempt <= self.retries)


@dataclass(slots=True)
class TrackedRun:
    """What is recorded of a run so far."""

    tasks: dict[str, int] = field(default_factory=dict)
    """The number of each task in the run, by its name and interface."""
    actions: dict[str, TrackedAction] = field(default_factory=dict)


class Tracking:
    """Records what clients publish. Its methods block; they may be called from any thread.

    Args:
        records: the store.
        uploads: where clients have put the values.
    """

    def __init__(self, records: Records, uploads: Uploads) -> None:
        self._records = records
        self._uploads = uploads
        self._lock = threading.Lock()
        self._runs: dict[str, TrackedRun] = {}
        self._journal: Journal | None = None

    def create(self, request: tracked_run_service_pb2.CreateTrackedRunRequest) -> None:
        """Records that a run has started.

        Raises:
            FileExistsError: there is a run of that name.
            FileNotFoundError: its inputs were not uploaded.
            ValueError: it has no name, or its inputs cannot be read.
        """
        name, spec = request.run_id.name, request.task_spec
        if not name:
            raise ValueError("A published run brings its name: set run_id")
        if not spec.task_template.id.name:
            raise ValueError("A published run brings its task: set task_spec")
        with self._lock:
            if name in self._runs or self._records.has_run(name):
                raise FileExistsError(f"There is a run {name!r} already: publish it under another name")
            run = TrackedRun()
            at_ns = nanoseconds(request.run_start_time)
            started = RunStarted(
                run=name,
                at_ns=at_ns,
                task=spec.task_template.id.name,
                labels=dict(request.labels),
                options={TRACKED: True},
                environment=spec.environment.name,
            )
            events = [started, *self._start(name, run, ROOT, "", "", at_ns, spec, request.offloaded_input_data.uri)]
            self._record(events)
            self._runs[name] = run

    def report(self, update: tracked_run_service_pb2.TrackedActionUpdate) -> None:
        """Records what became of an action.

        Raises:
            KeyError: its run was not published, or has ended.
            FileNotFoundError: its values were not uploaded.
            ValueError: they cannot be read.
        """
        event = update.event
        name, at_ns = event.id.run.name, nanoseconds(event.updated_time)
        with self._lock:
            run = self._tracked(name)
            events: list[Event] = []
            action = run.actions.get(event.id.name)
            if action is None:
                begun_ns = nanoseconds(update.status.start_time) if update.status.HasField("start_time") else at_ns
                spec = update.task.spec if update.WhichOneof("spec") == "task" else None
                events += self._start(
                    name, run, event.id.name, update.parent_name or ROOT, update.group, begun_ns, spec, "", update.trace
                )
                action = run.actions[event.id.name]
            if action.phase not in PHASES_OVER or event.attempt > action.attempt:
                events += self._go_on(name, event, action, at_ns)
            self._record(events)
            if event.id.name == ROOT and not action.may_go_on:
                del self._runs[name]

    def abort(self, run: str, reason: str) -> None:
        """Records that a run is aborted: its client is out of reach, what it still publishes is refused."""
        with self._lock:
            tracked = self._tracked(run)
            now_ns, error = time.time_ns(), ErrorRecord("Aborted", "user", reason)
            events: list[Event] = [
                ActionEnded(run, name, max(action.attempt, 1), "aborted", action.started_ns, now_ns, error=error)
                for name, action in tracked.actions.items()
                if action.phase not in PHASES_OVER
            ]
            self._record([*events, RunEnded(run, now_ns, "aborted", error)])
            del self._runs[run]

    def close(self) -> None:
        """Ends the journal: runs that have not ended by now read as aborted."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()

    def _tracked(self, name: str) -> TrackedRun:
        if name not in self._runs:
            self._records.store.run(name)
            raise KeyError(f"Run {name} is none that is being published: it has ended, or this server was restarted")
        return self._runs[name]

    def _start(
        self,
        name: str,
        run: TrackedRun,
        action: str,
        parent: str,
        group: str,
        at_ns: int,
        spec: task_definition_pb2.TaskSpec | None,
        inputs_uri: str,
        trace: run_definition_pb2.TraceAction | None = None,
    ) -> list[Event]:
        """The events by which an action begins, and its task where that is new in the run."""
        events: list[Event] = []
        kind, number, full_name = "trace", -1, trace.name if trace is not None else action
        interface = trace.spec.interface if trace is not None else None
        if spec is not None:
            kind, full_name, interface = "task", spec.task_template.id.name, spec.task_template.interface
        types = ActionTypes(*python_types(interface)) if interface is not None else ActionTypes({}, {})
        described = [(key, describe_type(declared)) for key, declared in types.inputs.items()]
        if spec is not None:
            key = f"{full_name} {types}"
            if key not in run.tasks:
                run.tasks[key] = len(run.tasks)
                events.append(declared_task(name, run.tasks[key], spec, types))
            number = run.tasks[key]
        payload = pack_values(self._trees(inputs_uri, common_pb2.Inputs, types.inputs), self._records.values)
        retries = spec.task_template.metadata.retries.retries if spec is not None else 0
        run.actions[action] = TrackedAction(types, started_ns=at_ns, retries=retries)
        events.append(
            ActionStarted(
                name,
                action,
                parent,
                kind,
                full_name,
                number,
                len(run.actions) - 1,
                at_ns,
                payload,
                group,
                inputs=described if spec is None else None,
            )
        )
        return events

    def _go_on(
        self, name: str, event: run_definition_pb2.ActionEvent, action: TrackedAction, at_ns: int
    ) -> list[Event]:
        """The events by which an action goes on, or ends."""
        phase, attempt = phase_name(event.phase), max(event.attempt, 1)
        events: list[Event] = []
        error = None
        if event.HasField("error_info"):
            info = event.error_info
            error = ErrorRecord(info.code or "Error", KINDS.get(info.kind, "unknown"), info.message)
        if attempt > action.attempt >= 1:
            events.append(AttemptEnded(name, event.id.name, action.attempt, "failed", action.started_ns, at_ns, error))
        if attempt != action.attempt or phase != action.phase:
            action.attempt = attempt
            if phase == "running":
                action.started_ns = at_ns
                events.append(AttemptStarted(name, event.id.name, attempt, at_ns, WHERE))
        action.phase = phase
        if event.outputs.report_uri:
            html = self._uploads.read(event.outputs.report_uri).decode("utf-8", "replace")
            events.append(ReportWritten(name, event.id.name, attempt, at_ns, html))
        if phase in PHASES_OVER:
            outputs = None
            if phase in WITH_OUTPUTS:
                trees = self._trees(event.outputs.output_uri, common_pb2.Outputs, action.types.outputs)
                outputs = pack_values(trees, self._records.values)
            events.append(
                ActionEnded(name, event.id.name, attempt, phase, action.started_ns, at_ns, outputs, error, where=WHERE)
            )
            if event.id.name == ROOT:
                events.append(RunEnded(name, at_ns, phase, error))
        return events

    def _trees(self, uri: str, kind: type[Any], types: dict[str, Any]) -> list[Any]:
        """The values in an uploaded message, in the order of the interface; none where nothing was uploaded."""
        if not uri:
            return []
        try:
            literals = {one.name: one.value for one in kind.FromString(self._uploads.read(uri)).literals}
        except DecodeError as error:
            raise ValueError(f"{uri!r} holds no {kind.__name__}: {error}") from error
        if missing := [name for name in types if name not in literals]:
            raise ValueError(f"{uri!r} does not hold {', '.join(missing)}")
        return [tree_of(literals[name], declared, self._records.values) for name, declared in types.items()]

    def _record(self, events: list[Event]) -> None:
        if self._journal is None:
            self._journal = Journal.create(self._records.home)
        if events:
            self._journal.append_together([encode_event(event) for event in events])
            self._journal.flush()


def declared_task(run: str, number: int, spec: task_definition_pb2.TaskSpec, types: ActionTypes) -> TaskDeclared:
    """A task as it stands in a published run."""
    return TaskDeclared(
        run=run,
        task=spec.task_template.id.name,
        spec=number,
        own_digest="",
        deep_digest="",
        source="",
        inputs=[(name, describe_type(declared)) for name, declared in types.inputs.items()],
        outputs=[(name, describe_type(declared)) for name, declared in types.outputs.items()],
        settings={"version": spec.task_template.id.version} if spec.task_template.id.version else {},
        types=cloudpickle.dumps(types._asdict()),
        short_name=spec.short_name,
        isolation=WHERE,
        isolation_reason="Flyte's own client ran it",
    )


def nanoseconds(at: Timestamp) -> int:
    """A moment, in nanoseconds since the epoch; now where none is given."""
    return at.ToNanoseconds() or time.time_ns()
