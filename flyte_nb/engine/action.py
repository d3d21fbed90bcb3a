"""An action of a run, and its attempts, in memory.

Only the engine loop changes them. Others read; a reader may see an action between two states, never a torn value.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

from flyte_nb.executors.capture import Output
from flyte_nb.store.events import ErrorRecord, LogWritten, ReportWritten
from flyte_nb.store.rows import ActionRow, AttemptRow

if TYPE_CHECKING:
    from flyte_nb.engine.plans import Plan
    from flyte_nb.engine.state import RunState
    from flyte_nb.models import TaskContext

__all__ = ["TERMINAL", "Action", "Attempt"]

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

    def flush(self) -> None:
        """Records what was printed so far."""
        if self._output is not None:
            self._output.flush()

    def close(self) -> None:
        """Ends the attempt: no more calls or output; its report is recorded as it stands."""
        self.closed = True
        if self.report is not None and self.report.has_content():
            self.record_report(self.report.get_final_report())
        if self._output is not None:
            self._output.close(show=_show)
            self.action.run_state.outputs.pop(self, None)

    def _record_output(self, stream: str, text: str, at_ns: int) -> None:
        action = self.action
        action.run_state.sink.record(LogWritten(action.run, action.name, action.attempt, at_ns, stream, text))
        if action.tail is None:
            action.tail = []
        lines = [text] if stream == "display" else text.split("\n")
        action.line_count += len(lines)
        action.tail.extend((at_ns, stream, line) for line in lines[-TAIL_LINES:])
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
