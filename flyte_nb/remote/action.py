"""An action of a run: what it was given, what it gave, what it said. Flyte's `flyte.remote.Action` and
`ActionDetails`."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from flyte_nb.errors import ActionAbortedError, BaseRuntimeError, from_code
from flyte_nb.models import ActionID, ActionPhase
from flyte_nb.remote.calls import blocking_classmethod, blocking_method, iterating_classmethod, iterating_method
from flyte_nb.remote.logs import Logs
from flyte_nb.remote.outputs import ActionInputs, ActionOutputs
from flyte_nb.remote.paths import outline_of
from flyte_nb.remote.source import source
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.rows import AttemptRow
from flyte_nb.types.anything import decode_anything
from flyte_nb.types.offload import unpack_values

__all__ = ["Action", "ActionDetails", "Actions", "ErrorInfo"]


class ErrorInfo:
    """Why an action failed.

    Attributes:
        code: name of the original exception's class.
        kind: user, system or unknown.
        message: its message.
        place: cell and line of the innermost frame of the user's code.
        traceback: the user's frames, as text.
    """

    def __init__(self, code: str, kind: str, message: str, place: str, traceback: str) -> None:
        self.code = code
        self.kind = kind
        self.message = message
        self.place = place
        self.traceback = traceback

    def __repr__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        return f"{self.code}: {self.message}{where}"


class Action:
    """One action of a run, as it stood when it was looked up; `sync()` looks again.

    Args:
        run_name: name of the run.
        name: name of the action.
    """

    def __init__(self, run_name: str, name: str, row: Any = None) -> None:
        self._row = row if row is not None else source.action(run_name, name)
        self.run_name = run_name

    @blocking_classmethod
    def get(
        cls: type[Action], uri: str | None = None, /, run_name: str | None = None, name: str | None = None
    ) -> Action:
        """The action of a run: `Action.get("run/action")`, or by `run_name` and `name`.

        Raises:
            KeyError: there is no such run or action; the message names near ones.
            ValueError: neither form was given.
        """
        if uri is not None:
            run_name, _, name = uri.partition("/")
        if not run_name or not name:
            raise ValueError("Say which action: Action.get('run/action') or Action.get(run_name=..., name=...)")
        return cls(run_name, name)

    @iterating_classmethod
    def listall(
        cls: type[Action],
        for_run_name: str,
        in_phase: tuple[ActionPhase | str, ...] | None = None,
        parent_name: str | None = None,
    ) -> Iterator[Action]:
        """The actions of a run, parents before their children."""
        actions = Actions(cls(for_run_name, row.name, row) for row in source.actions(for_run_name))
        return iter(actions.where(phase=in_phase, parent=parent_name))

    @property
    def name(self) -> str:
        return str(self._row.name)

    @property
    def action_id(self) -> ActionID:
        return ActionID(name=self.name, run_name=self.run_name)

    @property
    def parent_name(self) -> str | None:
        return self._row.parent or None

    @property
    def task_name(self) -> str:
        return str(self._row.task)

    @property
    def path(self) -> str:
        """The tasks that lead to it, from the root on, `report/share[1]`; `run[path]` finds it."""
        return outline_of(self.run_name).path_of(self.name)

    @property
    def kind(self) -> str:
        """task, trace or condition."""
        return str(self._row.kind)

    @property
    def group(self) -> str | None:
        return self._row.group or None

    @property
    def phase(self) -> ActionPhase:
        return ActionPhase(self._row.phase)

    raw_phase = phase

    @property
    def start_time(self) -> datetime:
        """When it was queued, UTC."""
        return utc_time(self._row.queued_ns)

    @property
    def duration(self) -> timedelta:
        """From its (last attempt's) start to its end, or to now while it runs."""
        return duration_of(self._row.started_ns, self._row.ended_ns)

    @property
    def queue_duration(self) -> timedelta:
        """From queued to the start of its code."""
        return duration_of(self._row.queued_ns, self._row.started_ns)

    @property
    def attempt(self) -> int:
        """Number of the last attempt, from 1."""
        return int(self._row.attempt)

    @property
    def where(self) -> str:
        """Where it ran: kernel, cache ..."""
        return str(self._row.where)

    @property
    def source(self) -> str:
        """`cache:RUN/ACTION` or `RUN/ACTION` where the result was reused, else empty."""
        return str(self._row.source)

    @property
    def note(self) -> str:
        return str(self._row.note)

    @property
    def error(self) -> BaseRuntimeError | None:
        """The error as its caller saw it, without the original exception."""
        return error_of(self._row.phase, self._row.error)

    @property
    def error_info(self) -> ErrorInfo | None:
        record = self._row.error
        if record is None:
            return None
        return ErrorInfo(record.code, record.kind, record.message, record.place, record.traceback)

    @property
    def attempts(self) -> list[AttemptRow]:
        """Every attempt, in order."""
        return source.attempts(self.run_name, self.name)

    def done(self) -> bool:
        """Whether it is over."""
        return self.phase.is_terminal

    @blocking_method
    def inputs(self: Action) -> ActionInputs:
        """Its inputs by name: fresh values. Values whose types cannot be loaded come as plain data."""
        row = self._with_values()
        if row.kind != "task":
            names = [name for name, _ in row.trace_inputs or ()]
            return ActionInputs(zip(names, _decode_anything(row.inputs), strict=False))
        signature = source.signature(self.run_name, row)
        if signature is None:
            task = source.task(self.run_name, row.spec)
            names = [name for name, _ in task.inputs] if task is not None else []
            return ActionInputs(zip(names, _decode_anything(row.inputs), strict=False))
        return ActionInputs(signature.decode_inputs(row.inputs, source.blobs))

    @blocking_method
    def outputs(self: Action) -> ActionOutputs:
        """Its outputs: fresh values.

        Raises:
            flyte_nb.errors.BaseRuntimeError: it failed, or is not over.
        """
        row = self._with_values()
        if row.outputs is None:
            raise self.error or _no_outputs(self)
        if row.kind != "task":
            return ActionOutputs(_decode_anything(row.outputs), ["o0"])
        signature = source.signature(self.run_name, row)
        if signature is None:
            task = source.task(self.run_name, row.spec)
            names = [name for name, _ in task.outputs] if task is not None else []
            return ActionOutputs(_decode_anything(row.outputs), names)
        return ActionOutputs(signature.decode_outputs(row.outputs, source.blobs), signature.output_names)

    def _with_values(self) -> Any:
        """The row; one of a backend's list, which tells no values, is looked up again."""
        return self._row if self._row.inputs else self.sync()._row

    @blocking_method
    def logs(self: Action, limit: int | None = None) -> Logs:
        """What it printed, in order.

        Args:
            limit: only the last so many entries.
        """
        return Logs(source.logs(self.run_name, self.name, limit))

    @iterating_method
    def get_logs(
        self: Action, attempt: int | None = None, filter_system: bool = False, show_ts: bool = False
    ) -> Iterator[str]:
        """The lines that it printed.

        Args:
            attempt: only those of this attempt.
            filter_system: accepted for Flyte's sake; the engine writes no lines of its own into a log.
            show_ts: each line after its time.
        """
        return self.logs().of_attempt(attempt).lines(show_ts)

    @blocking_method
    def show_logs(
        self: Action,
        attempt: int | None = None,
        max_lines: int = 30,
        show_ts: bool = False,
        raw: bool = False,
        filter_system: bool = False,
    ) -> None:
        """Prints the last lines that it printed."""
        for line in deque(self.get_logs(attempt, filter_system, show_ts), maxlen=max_lines):
            print(line)

    @blocking_method
    def get_report(self: Action, attempt: int | None = None) -> str:
        """Its HTML report, empty if it has none."""
        return source.report(self.run_name, self.name) or ""

    @blocking_method
    def abort(self: Action, reason: str = "Manually aborted from the SDK.") -> None:
        """Ends it and all below it; its parent sees `flyte.errors.ActionAbortedError`. On the root it ends the run.

        Args:
            reason: recorded and shown.

        Raises:
            ValueError: it is a step of a task, or its run lives on another machine.
            TimeoutError: the process in which it lives does not answer.
        """
        if self.kind == "trace":
            raise ValueError(f"{self.task_name} is a step of {self.parent_name}: abort that action")
        source.abort(self.run_name, reason, self.name)

    @blocking_method
    def wait(self: Action, quiet: bool = False, wait_for: str = "terminal") -> None:
        """Returns when it is over (or, with `wait_for="running"`, when it runs)."""
        while not (self.sync().done() or (wait_for == "running" and self.phase == ActionPhase.RUNNING)):
            source.wait(self.run_name, self.name, self.phase.value)

    def details(self) -> ActionDetails:
        """The same action, under Flyte's name for its details."""
        return ActionDetails(self.run_name, self.name, self._row)

    def sync(self) -> Action:
        """Looks the action up again; returns itself."""
        self._row = source.action(self.run_name, self.name)
        return self

    def to_dict(self) -> dict[str, Any]:
        """What is known of it, as plain data."""
        return {
            "run": self.run_name,
            "name": self.name,
            "parent": self.parent_name,
            "task": self.task_name,
            "kind": self.kind,
            "group": self.group,
            "phase": self.phase.value,
            "attempt": self.attempt,
            "queued_at": self.start_time,
            "duration_seconds": self.duration.total_seconds(),
            "error": repr(self.error_info) if self.error_info is not None else None,
            "source": self.source,
        }

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), default=str)

    def __repr__(self) -> str:
        return f"<{self.task_name} {self.name} {self.phase.value} {self.duration.total_seconds():.3f} s>"


class ActionDetails(Action):
    """Flyte's name for an action with its details; an `Action` has them all."""


class Actions(list[Action]):
    """Actions of a run."""

    def where(
        self,
        task: str | None = None,
        phase: ActionPhase | str | Iterable[ActionPhase | str] | None = None,
        parent: str | None = None,
        kind: str | None = None,
    ) -> Actions:
        """Those that fit.

        Args:
            task: the task's full or plain function name.
            phase: one phase or several.
            parent: name of the parent action.
            kind: task, trace or condition.
        """
        phases = {phase} if isinstance(phase, str) else set(phase) if phase is not None else None
        wanted = {ActionPhase(one) for one in phases} if phases is not None else None
        return Actions(
            action
            for action in self
            if (task is None or task in (action.task_name, action.task_name.rpartition(".")[2]))
            and (wanted is None or action.phase in wanted)
            and (parent is None or action.parent_name == parent)
            and (kind is None or action.kind == kind)
        )

    def to_frame(self) -> Any:
        """A pandas frame, one row an action.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([action.to_dict() for action in self])


def error_of(phase: str, record: ErrorRecord | None) -> BaseRuntimeError | None:
    """The error that Flyte raises for a recorded failure, or for an end from outside; None without a record."""
    if record is None:
        return None
    if phase == ActionPhase.ABORTED:
        return ActionAbortedError(record.message)
    return from_code(record.code, record.kind, record.message)


def utc_time(at_ns: int) -> datetime:
    """A moment as people write it: its microsecond, never a later one."""
    return datetime.fromtimestamp(at_ns // 1000 / 1e6, UTC)


def duration_of(start_ns: int | None, end_ns: int | None) -> timedelta:
    """The time between two moments; up to now where the end is open, zero where the start is."""
    if start_ns is None:
        return timedelta(0)
    return timedelta(microseconds=((end_ns if end_ns is not None else time.time_ns()) - start_ns) / 1000)


def _decode_anything(payload: bytes) -> list[Any]:
    return [decode_anything(tree, source.blobs) for tree in unpack_values(payload, source.blobs)]


def _no_outputs(action: Action) -> BaseRuntimeError:
    if action.phase == ActionPhase.ABORTED:
        return ActionAbortedError(f"Action {action.name} was aborted: it has no outputs")
    return from_code("NoOutputs", "user", f"Action {action.name} is {action.phase.value}: it has no outputs yet")
