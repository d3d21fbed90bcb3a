"""An action of a run: what it was given, what it gave, what it said. Flyte's `flyte.remote.Action` and
`ActionDetails`."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.models import ActionID, ActionPhase
from flyte_nb.remote.actions import Actions
from flyte_nb.remote.calls import blocking_classmethod, blocking_method, iterating_classmethod, iterating_method
from flyte_nb.remote.failures import ErrorInfo, error_of, no_outputs
from flyte_nb.remote.listing import TimeFilter, is_newest_first
from flyte_nb.remote.logs import Logs
from flyte_nb.remote.outputs import ActionInputs, ActionOutputs
from flyte_nb.remote.paths import outline_of
from flyte_nb.remote.phases import PhaseTimes, check_awaited, duration_of, utc_time, utc_time_or_none
from flyte_nb.remote.plain import duration_text
from flyte_nb.remote.recorded_values import recorded_inputs, recorded_outputs
from flyte_nb.remote.source import source
from flyte_nb.remote.typed_values import TypedValues
from flyte_nb.store.rows import AttemptRow

__all__ = ["Action", "ActionDetails"]


class Action(TypedValues):
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
        sort_by: tuple[str, str] | None = None,
        created_at: TimeFilter | None = None,
        updated_at: TimeFilter | None = None,
    ) -> Iterator[Action]:
        """The actions of a run, parents before their children.

        Args:
            for_run_name: name of the run.
            in_phase: only actions in one of these phases.
            parent_name: only what this action called.
            sort_by: `("created_at", "asc" | "desc")`.
            created_at: only actions queued in this time.
            updated_at: only actions that ended in this time.

        Raises:
            KeyError: there is no such run; the message names near ones.
            ValueError: they cannot be sorted by that, or there is no such phase.
        """
        newest_first = is_newest_first(sort_by, "Actions", ("created_at", "start_time"))
        source.run(for_run_name)
        actions = Actions(cls(for_run_name, row.name, row) for row in source.actions(for_run_name))
        kept = [
            action
            for action in actions.where(phase=in_phase, parent=parent_name)
            if (created_at is None or created_at.holds(action.start_time))
            and (updated_at is None or (action.end_time is not None and updated_at.holds(action.end_time)))
        ]
        return iter(kept[::-1] if newest_first else kept)

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
    def initializing_at(self) -> datetime | None:
        """Since when the place where its last attempt runs was prepared, UTC; None where nothing had to be."""
        return utc_time_or_none(self._row.initializing_ns)

    @property
    def end_time(self) -> datetime | None:
        """When it ended, UTC; None while it lives."""
        return utc_time_or_none(self._row.ended_ns)

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
        """Its inputs by name: fresh values, see `flyte_nb.remote.recorded_values`."""
        return ActionInputs(recorded_inputs(self.run_name, self._with_values()))

    @blocking_method
    def outputs(self: Action) -> ActionOutputs:
        """Its outputs: fresh values.

        Raises:
            flyte_nb.errors.BaseRuntimeError: it failed, or is not over.
        """
        row = self._with_values()
        if row.outputs is None:
            raise self.error or no_outputs(self.name, self.phase)
        return ActionOutputs(*recorded_outputs(self.run_name, row, row.outputs))

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

        Raises:
            ValueError: there is no such attempt.
        """
        if attempt is not None and not 1 <= attempt <= self.attempt:
            raise ValueError(f"Action {self.name} has no attempt {attempt}; attempts: 1 to {self.attempt}")
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
        """Returns when it is over (or, with `wait_for="running"`, when it runs).

        Raises:
            ValueError: it is asked to wait for something else.
        """
        check_awaited(wait_for)
        while not (self.sync().done() or (wait_for == "running" and self.phase == ActionPhase.RUNNING)):
            source.wait(self.run_name, self.name, self.phase.value)

    async def watch(self, cache_data_on_done: bool = False, wait_for: str = "terminal") -> AsyncIterator[ActionDetails]:
        """Its details each time its phase changes, until it is over (or, with `wait_for="running"`, until it runs).

        Args:
            cache_data_on_done: accepted for Flyte's sake; inputs and outputs are at hand anyway.
            wait_for: `terminal` or `running`.

        Raises:
            ValueError: it is asked to wait for something else.
        """
        check_awaited(wait_for)
        seen = None
        while True:
            details = await asyncio.to_thread(Action(self.run_name, self.name).details)
            if details.phase != seen:
                seen = details.phase
                yield details
            if details.done() or (wait_for == "running" and details.is_running):
                return
            await asyncio.to_thread(source.wait, self.run_name, self.name, details.phase.value)

    @blocking_method
    def details(self: Action) -> ActionDetails:
        """The same action with its details."""
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
        return (
            f"<{self.task_name} {self.name} {self.phase.value} {duration_text(self.duration.total_seconds() * 1000)}>"
        )


class ActionDetails(Action, PhaseTimes):
    """An action with what Flyte tells of it under its details."""

    @property
    def error_message(self) -> str:
        """Why it failed; empty where it did not."""
        return self.error_info.message if self.error_info is not None else ""

    def logs_available(self, attempt: int | None = None) -> bool:
        """Whether it (its last attempt unless given) printed anything.

        Raises:
            ValueError: there is no such attempt.
        """
        return next(iter(self.get_logs(attempt)), None) is not None

    async def watch_updates(self, cache_data_on_done: bool = False) -> AsyncIterator[ActionDetails]:
        """See `Action.watch`."""
        async for details in self.watch(cache_data_on_done):
            yield details
