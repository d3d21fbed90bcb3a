"""Runs that Flyte's own client runs itself and publishes here: recorded like others, in the journal of this server.

Its messages become the events that the engine would have written. Each is recorded before it is acknowledged.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from flyteidl2.task import common_pb2
from flyteidl2.workflow import run_definition_pb2, tracked_run_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.engine.identity import ROOT
from flyte_nb.server.wire.filters import phase_name
from flyte_nb.server.wire.messages import TRACKED
from flyte_nb.server.wire.recording import Beginning, Recording, RunOutline
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.server.wire.values.payloads import ActionTypes
from flyte_nb.store.events import (
    ActionEnded,
    AttemptEnded,
    AttemptStarted,
    ErrorRecord,
    Event,
    ReportWritten,
    RunEnded,
    RunStarted,
)
from flyte_nb.store.schema import PHASES_OVER

__all__ = ["Tracking", "nanoseconds"]

WITH_OUTPUTS = ("succeeded", "recovered")
KINDS = {run_definition_pb2.ErrorInfo.KIND_USER: "user", run_definition_pb2.ErrorInfo.KIND_SYSTEM: "system"}
INPUTS = "tracked-runs"
"""The folder under which Flyte's client puts what its runs receive and return."""
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

    outline: RunOutline
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
        self._recording = Recording(records, uploads, WHERE, "Flyte's own client ran it")

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
            run = TrackedRun(RunOutline(name))
            at_ns = nanoseconds(request.run_start_time)
            started = RunStarted(
                run=name,
                at_ns=at_ns,
                task=spec.task_template.id.name,
                labels=dict(request.labels),
                options={TRACKED: True},
                environment=spec.environment.name,
            )
            inputs = self._recording.read(request.offloaded_input_data.uri, common_pb2.Inputs)
            self._recording.record(
                [started, *self._start(run, Beginning(action=ROOT, at_ns=at_ns, spec=spec, inputs=inputs))]
            )
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
                began = Beginning(
                    action=event.id.name,
                    parent=update.parent_name or ROOT,
                    group=update.group,
                    at_ns=nanoseconds(update.status.start_time) if update.status.HasField("start_time") else at_ns,
                    spec=update.task.spec if update.WhichOneof("spec") == "task" else None,
                    name=update.trace.name,
                    interface=update.trace.spec.interface,
                    inputs=self._inputs(name, event.id.name),
                )
                events += self._start(run, began)
                action = run.actions[event.id.name]
            is_news = event.attempt >= action.attempt if action.phase not in PHASES_OVER else False
            if is_news or event.attempt > action.attempt:
                events += self._go_on(name, event, action, at_ns)
            self._recording.record(events)
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
            self._recording.record([*events, RunEnded(run, now_ns, "aborted", error)])
            del self._runs[run]

    def close(self) -> None:
        """Ends the journal: runs that have not ended by now read as aborted."""
        self._recording.close()

    def _tracked(self, name: str) -> TrackedRun:
        if name not in self._runs:
            self._records.store.run(name)
            raise KeyError(f"Run {name} is none that is being published: it has ended, or this server was restarted")
        return self._runs[name]

    def _inputs(self, run: str, action: str) -> common_pb2.Inputs | None:
        """The inputs of an action where the client has put them: no message names that place."""
        path = self._uploads.path(f"{INPUTS}/{run}/{action}/inputs.pb")
        return self._recording.read(self._uploads.uri(path), common_pb2.Inputs) if path.is_file() else None

    def _start(self, run: TrackedRun, began: Beginning) -> list[Event]:
        """The events by which an action begins, and its task where that is new in the run."""
        types, events = self._recording.begin(run.outline, began)
        retries = began.spec.task_template.metadata.retries.retries if began.spec is not None else 0
        run.actions[began.action] = TrackedAction(types, started_ns=began.at_ns, retries=retries)
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
                outputs = self._recording.outputs(event.outputs.output_uri, action.types.outputs)
            events.append(
                ActionEnded(name, event.id.name, attempt, phase, action.started_ns, at_ns, outputs, error, where=WHERE)
            )
            if event.id.name == ROOT:
                events.append(RunEnded(name, at_ns, phase, error))
        return events


def nanoseconds(at: Timestamp) -> int:
    """A moment, in nanoseconds since the epoch; now where none is given."""
    return at.ToNanoseconds() or time.time_ns()
