"""A run in memory: its actions and attempts, while it lives and until the kernel forgets it.

Only the engine loop changes these objects, with one exception: `RunState.close`, by which an abort settles a run
whose loop does not answer. Others read; a reader may see an action between two states, never a torn value.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from flyte_nb.executors.capture import Output
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    AttemptStarted,
    ErrorRecord,
    LogWritten,
    ReportWritten,
    RunEnded,
    TaskDeclared,
)
from flyte_nb.store.rows import ActionRow, AttemptRow

if TYPE_CHECKING:
    from datetime import datetime

    from flyte_nb.engine.options import RunOptions
    from flyte_nb.engine.places import Places
    from flyte_nb.engine.plans import Plan
    from flyte_nb.engine.recorder import Sink
    from flyte_nb.models import TaskContext

__all__ = ["TERMINAL", "Action", "Attempt", "RunState"]

TERMINAL = frozenset({"succeeded", "failed", "aborted", "timed_out", "recovered"})


class Action:
    """A node of the run's tree. The fields are those of `ActionRow`, and what the engine needs beside them."""

    __slots__ = (
        "asyncio_task",
        "attempt",
        "attempts",
        "children",
        "depth",
        "ended_ns",
        "error",
        "group",
        "holds_place",
        "index",
        "inputs",
        "kind",
        "line_count",
        "name",
        "note",
        "outputs",
        "parent",
        "parent_action",
        "phase",
        "position",
        "queued_ns",
        "report",
        "run",
        "run_state",
        "source",
        "spec",
        "started_ns",
        "tail",
        "task",
        "trace_inputs",
        "where",
    )

    def __init__(
        self,
        run_state: RunState,
        parent: Action | None,
        kind: str,
        task: str,
        spec: int,
        group: str | None,
        name: str,
        position: bytes,
        inputs: bytes,
        queued_ns: int,
    ) -> None:
        self.run_state = run_state
        self.run = run_state.name
        self.parent_action = parent
        self.parent = parent.name if parent is not None else ""
        self.depth: int = parent.depth + 1 if parent is not None else 0
        self.kind = kind
        self.task = task
        self.spec = spec
        self.group = group or ""
        self.name: str = name
        self.position = position
        self.inputs = inputs
        self.queued_ns = queued_ns
        self.phase = "queued"
        self.started_ns: int | None = None
        self.ended_ns: int | None = None
        self.attempt = 1
        self.error: ErrorRecord | None = None
        self.source = ""
        self.note = ""
        self.outputs: bytes | None = None
        self.trace_inputs: list[tuple[str, str]] | None = None
        self.where = ""
        self.index = 0
        self.children: set[Action] | None = None
        """Child actions that have not ended."""
        self.asyncio_task: asyncio.Task[Any] | None = None
        self.attempts: list[AttemptRow] | None = None
        """Attempts before the present one."""
        self.tail: list[tuple[int, str, str]] | None = None
        """The last lines of output: (at_ns, stream, text)."""
        self.line_count = 0
        """Lines of output in all."""
        self.report: str | None = None
        self.holds_place = False
        """Where places are limited: whether this action's code may run."""

    def cancel_children(self) -> None:
        """Cancels the children that run in asyncio tasks of their own. On the engine loop."""
        current = asyncio.current_task()
        for child in list(self.children or ()):
            if child.asyncio_task is not None and child.asyncio_task is not current:
                child.asyncio_task.cancel()

    def row(self) -> ActionRow:
        """This action as a plain row."""
        return ActionRow(**{name: getattr(self, name) for name in ROW_FIELDS})


ROW_FIELDS = tuple(ActionRow.__dataclass_fields__)
TAIL_LINES = 200


class Attempt:
    """A running attempt of an action: what its code's scope leads to."""

    __slots__ = ("_output", "action", "calls", "checkpoint", "closed", "plan", "report", "task_context", "waiting")

    def __init__(self, action: Action, plan: Plan | None) -> None:
        self.action = action
        self.plan = plan
        self.calls: dict[tuple[str, bytes, str | None], int] = {}
        """How often each call (task, inputs, group) was made: the sequence number of the next."""
        self.closed = False
        self.waiting = 0
        """Children that this attempt awaits now; with a limit on places, its own is free while there are any."""
        self.task_context: TaskContext | None = None
        self.report: Any = None
        self.checkpoint: Any = None
        self._output: Output | None = None

    @property
    def has_output(self) -> bool:
        """Whether there is anything to flush when the attempt ends."""
        return self._output is not None or self.report is not None

    @property
    def output(self) -> Output:
        """Where what this attempt prints goes."""
        if self._output is None:
            self._output = Output(self._record_output)
            self.action.run_state.outputs[self] = self._output
            if self.closed:
                self._output.closed = True
        return self._output

    def close(self) -> None:
        """Ends the attempt: no more calls or output; its report is recorded as it stands."""
        self.closed = True
        if self.report is not None and self.report.has_content():
            self.record_report(self.report.get_final_report())
        if self._output is not None:
            self._output.close(show=_show)
            self.action.run_state.outputs.pop(self, None)

    def _record_output(self, stream: str, text: str) -> None:
        action = self.action
        now = time.time_ns()
        action.run_state.sink.record(LogWritten(action.run, action.name, action.attempt, now, stream, text))
        if action.tail is None:
            action.tail = []
        lines = [text] if stream == "display" else text.split("\n")
        action.line_count += len(lines)
        action.tail.extend((now, stream, line) for line in lines[-TAIL_LINES:])
        del action.tail[:-TAIL_LINES]
        action.run_state.changed.add(action)

    def record_report(self, html: str) -> None:
        """Records the report as it stands now."""
        action = self.action
        action.report = html
        action.run_state.sink.record(ReportWritten(action.run, action.name, action.attempt, time.time_ns(), html))
        action.run_state.changed.add(action)


def _show(stream: str, text: str) -> None:
    (sys.stderr if stream == "stderr" else sys.stdout).write(text)


class RunState:
    """A run of this process.

    Attributes:
        finished: done when the run is over: its result (the outputs' payload) or the error that `flyte.run` raises.
        changed: actions changed since whoever shows the run last took them.
        cancelled_by: why the run is being aborted, or empty.
    """

    def __init__(self, name: str, task: str, sink: Sink, options: RunOptions, start_time: datetime) -> None:
        self.name = name
        self.task = task
        self.sink = sink
        self.options = options
        self.start_time = start_time
        self.started_ns = time.time_ns()
        self.ended_ns: int | None = None
        self.phase = "queued"
        self.error: ErrorRecord | None = None
        self.first_failure: Action | None = None
        self.labels: dict[str, str] = dict(options.labels)
        self.notebook = ""
        self.cell = ""
        self.environment = ""
        self.parent_run = ""
        self.note = ""
        self.raw_data_path = ""
        self.actions: dict[str, Action] = {}
        self.order: list[Action] = []
        self.plans: dict[Any, Plan] = {}
        self.specs: dict[bytes, int] = {}
        self.declared: list[TaskDeclared] = []
        """The declarations recorded so far, by their number."""
        self.outputs: dict[Attempt, Output] = {}
        self.changed: set[Action] = set()
        self.counts: dict[str, int] = {}
        self.places: Places | None = None
        self.cancelled_by = ""
        self.finished: Future[Any] = Future()
        self.closed = False
        self._lock = threading.RLock()

    @property
    def root(self) -> Action:
        return self.order[0]

    def add(self, action: Action, sequence: int, custom_context: Mapping[str, str]) -> None:
        """Enters a new action into the tree and records it."""
        with self._lock:
            self.actions[action.name] = action
            action.index = len(self.order)
            self.order.append(action)
            counts = self.counts
            counts["queued"] = counts.get("queued", 0) + 1
            self.changed.add(action)
        self.sink.record(
            ActionStarted(
                self.name,
                action.name,
                action.parent,
                action.kind,
                action.task,
                action.spec,
                sequence,
                action.queued_ns,
                action.inputs,
                action.group,
                action.position.hex(),
                action.trace_inputs,
                dict(custom_context) if custom_context else None,
            )
        )

    def start(self, action: Action, started_ns: int, where: str, announce: bool) -> None:
        """The attempt's code runs from now on.

        Args:
            announce: record the start itself: it waited for its place, or is not the first attempt.
        """
        action.started_ns = started_ns
        action.where = where
        self.set_phase(action, "running")
        if announce:
            self.sink.record(AttemptStarted(self.name, action.name, action.attempt, started_ns, where))

    def fail_attempt(self, action: Action, phase: str, error: ErrorRecord) -> None:
        """An attempt is over, another follows."""
        now = time.time_ns()
        started = action.started_ns or now
        if action.attempts is None:
            action.attempts = []
        action.attempts.append(AttemptRow(action.attempt, phase, started, now, error))
        self.sink.record(AttemptEnded(self.name, action.name, action.attempt, phase, started, now, error))
        self.sink.flush()
        action.attempt += 1
        action.error = error

    def end(
        self,
        action: Action,
        phase: str,
        payload: bytes | None = None,
        error: ErrorRecord | None = None,
        source: str = "",
    ) -> int:
        """The action is over; when this returns, its record survives the end of this process.

        Returns:
            The position of the record, 0 when the action or the run had ended before.
        """
        with self._lock:
            if self.closed or action.phase in TERMINAL:
                return 0
            now = time.time_ns()
            action.ended_ns = now
            action.outputs = payload
            action.error = error
            action.source = source
            self.set_phase(action, phase)
            if error is not None and phase != "aborted" and self.first_failure is None:
                self.first_failure = action
            position = self.sink.record(
                ActionEnded(
                    self.name,
                    action.name,
                    action.attempt,
                    phase,
                    action.started_ns or now,
                    now,
                    payload,
                    error,
                    source,
                    action.note,
                )
            )
            self.sink.flush()
            return position

    def set_phase(self, action: Action, phase: str) -> None:
        """Moves the action to a phase, counted; recording it is the caller's."""
        with self._lock:
            counts = self.counts
            counts[action.phase] -= 1
            counts[phase] = counts.get(phase, 0) + 1
            action.phase = phase
            self.changed.add(action)

    def restart(self, action: Action) -> None:
        """An action that had ended is tried once more, because its parent is."""
        if action.attempts is None:
            action.attempts = []
        ended = action.ended_ns or action.queued_ns
        action.attempts.append(
            AttemptRow(action.attempt, action.phase, action.started_ns or ended, ended, action.error)
        )
        action.attempt += 1
        action.ended_ns = action.outputs = action.error = None
        self.set_phase(action, "queued")

    def take_changed(self) -> set[Action]:
        """The actions changed since the last call; for whoever shows the run."""
        with self._lock:
            changed, self.changed = self.changed, set()
        return changed

    def close(self, phase: str, error: ErrorRecord | None = None) -> bool:
        """Ends the run: what has not ended is aborted, and nothing is recorded afterwards. Callable from any thread.

        Returns:
            Whether this call closed it; a run is closed once.
        """
        for output in list(self.outputs.values()):
            output.close()
        with self._lock:
            if self.closed:
                return False
            self.closed = True
            now = time.time_ns()
            for action in reversed(self.order):
                if action.phase not in TERMINAL:
                    action.ended_ns = now
                    self.set_phase(action, "aborted")
                    self.sink.record(
                        ActionEnded(
                            self.name,
                            action.name,
                            action.attempt,
                            "aborted",
                            action.started_ns or now,
                            now,
                            error=error,
                            note=action.note,
                        )
                    )
            self.phase = phase
            self.error = error
            self.ended_ns = now
            self.sink.record(RunEnded(self.name, now, phase, error))
            self.sink.flush()
            return True
