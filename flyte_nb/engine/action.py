"""An action of a run, and its attempts, in memory.

Only the engine loop changes them. Others read; a reader may see an action between two states, never a torn value.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.engine.secrets.masking import MASKED_NOTE, OPEN_NOTE
from flyte_nb.engine.standing import Standing
from flyte_nb.executors.capture import Output
from flyte_nb.store.events import ErrorRecord, LogWritten, ReportWritten
from flyte_nb.store.rows import ActionRow, AttemptRow

if TYPE_CHECKING:
    from flyte_nb.engine.deadlines import Bounds
    from flyte_nb.engine.places import Place
    from flyte_nb.engine.plans import Plan
    from flyte_nb.engine.state import RunState
    from flyte_nb.executors.base import Call, Seat
    from flyte_nb.models import TaskContext

__all__ = ["TERMINAL", "Action", "Attempt"]

TERMINAL = frozenset({"succeeded", "failed", "aborted", "timed_out", "recovered"})


class Action:
    """A node of the run's tree. The fields are those of `ActionRow`, and what the engine needs beside them."""

    __slots__ = (
        "abort_reason",
        "asyncio_task",
        "attempt",
        "attempts",
        "bounds",
        "children",
        "depth",
        "ended_ns",
        "error",
        "group",
        "index",
        "initializing_ns",
        "inputs",
        "is_masked",
        "kind",
        "line_count",
        "name",
        "note",
        "outputs",
        "parent",
        "parent_action",
        "phase",
        "place",
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
        self.initializing_ns: int | None = None
        """When its process began to start, where it has one of its own or waits for one."""
        self.started_ns: int | None = None
        self.ended_ns: int | None = None
        self.attempt = 1
        self.error: ErrorRecord | None = None
        self.source = ""
        self.note = ""
        self.is_masked = False
        """Its record lacks values of secrets: the result is no other's."""
        self.outputs: bytes | None = None
        self.trace_inputs: list[tuple[str, str]] | None = None
        self.where = ""
        self.index = 0
        self.children: set[Action] | None = None
        """Child actions that have not ended."""
        self.asyncio_task: asyncio.Task[Any] | None = None
        self.abort_reason = ""
        """Why it is being aborted while its parent goes on, or empty."""
        self.attempts: list[AttemptRow] | None = None
        """Attempts before the present one."""
        self.tail: list[tuple[int, str, str]] | None = None
        """The last lines of output: (at_ns, stream, text)."""
        self.line_count = 0
        """Lines of output in all."""
        self.report: str | None = None
        self.bounds: Bounds | None = None
        """Where its time is bounded: until when."""
        self.place: Place | None = None
        """Where the run limits how many actions are at work: this one's place."""

    def cancel_children(self) -> None:
        """Cancels the children that run in asyncio tasks of their own. On the engine loop."""
        current = asyncio.current_task()
        for child in list(self.children or ()):
            if child.asyncio_task is not None and child.asyncio_task is not current:
                child.asyncio_task.cancel()

    def was_aborted_alone(self) -> bool:
        """Whether the cancellation that arrives in this asyncio task was for this action; its parent goes on then."""
        current = asyncio.current_task()
        return bool(self.abort_reason) and current is not None and current.uncancel() == 0

    def mask(self, outputs: bytes | None) -> None:
        """Takes the values of secrets out of the note, and says so where they stand in inputs or outputs."""
        masker = self.run_state.masker
        found = []
        if masker.is_masked(self.inputs) or masker.is_masked(outputs):
            found.append(MASKED_NOTE)
        if digest := masker.open_blob(self.inputs) or masker.open_blob(outputs):
            found.append(f"{OPEN_NOTE}: values/{digest[:2]}/{digest}")
        self.is_masked = bool(found)
        note = masker.mask(self.note)
        self.note = "; ".join(filter(None, [note, *(one for one in found if one not in note)]))

    def row(self) -> ActionRow:
        """This action as a plain row."""
        return ActionRow(**{name: getattr(self, name) for name in ROW_FIELDS})


ROW_FIELDS = tuple(ActionRow.__dataclass_fields__)
TAIL_LINES = 200


class Attempt:
    """A running attempt of an action: what its code's scope leads to."""

    __slots__ = (
        "__weakref__",
        "_output",
        "_standing",
        "action",
        "call",
        "calls",
        "checkpoint",
        "closed",
        "plan",
        "replays",
        "report",
        "task_context",
    )

    def __init__(self, action: Action, plan: Plan | None, replays: bool = True) -> None:
        self.action = action
        self.replays = replays
        """Steps of traced functions that are on record are not taken again."""
        self.plan = plan
        self.calls: dict[tuple[str, bytes, str | None], int] = {}
        """How often each call (task, inputs, group) was made: the sequence number of the next."""
        self.closed = False
        self.call: Call | None = None
        """What runs its code, where that holds anything that others may need."""
        self._standing: Standing | None = None
        self.task_context: TaskContext | None = None
        self.report: Any = None
        self.checkpoint: Any = None
        self._output: Output | None = None

    @property
    def standing(self) -> Standing | None:
        """What it gives up while its code waits for children, made when the first is called; None if nothing."""
        if self._standing is None and self.call is not None:
            self._standing = Standing(self._seats)
        return self._standing

    def leave(self) -> None:
        """Its code is over: nothing is given up or taken back for it any more."""
        self.closed = True
        self.call = None
        if self._standing is not None:
            self._standing.end()
            self._standing = None

    @property
    def has_output(self) -> bool:
        """Whether there is anything to flush when the attempt ends."""
        return self._output is not None or self.report is not None

    @property
    def output(self) -> Output:
        """Where what this attempt prints goes."""
        if self._output is None:
            run, action = self.action.run_state, self.action
            rest = Path(run.raw_data_path, "logs", f"{run.name}-{action.name}-{action.attempt}.log")
            self._output = run.outputs[self] = Output(self._record_output, rest, run.masker)
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

    def _seats(self) -> list[Seat]:
        seat = self.call.seat if self.call is not None else None
        return [held for held in (self.action.place, seat) if held is not None]

    def _record_output(self, stream: str, text: str, at_ns: int, in_file: bool) -> None:
        action = self.action
        if not in_file:
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
        html = action.run_state.masker.mask(html)
        action.report = html
        action.run_state.sink.record(ReportWritten(action.run, action.name, action.attempt, time.time_ns(), html))
        action.run_state.changed.add(action)


def _show(stream: str, text: str) -> None:
    (sys.stderr if stream == "stderr" else sys.stdout).write(text)
