"""A run, whole: what `flyte.run` returns and `flyte.remote.Run.get` finds again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from flyte_nb.engine.run import wait_for_run
from flyte_nb.engine.session import current_session
from flyte_nb.engine.tracebacks import without_machinery
from flyte_nb.errors import BaseRuntimeError
from flyte_nb.models import ActionID, ActionPhase
from flyte_nb.remote.action import Action, ActionDetails
from flyte_nb.remote.actions import Actions
from flyte_nb.remote.calls import blocking_classmethod, blocking_method, iterating_classmethod, iterating_method
from flyte_nb.remote.deploying.deployed import check_project
from flyte_nb.remote.failures import ErrorInfo, error_of
from flyte_nb.remote.listing import TimeFilter, backend_filters, is_newest_first
from flyte_nb.remote.logs import Logs
from flyte_nb.remote.outputs import ActionInputs, ActionOutputs
from flyte_nb.remote.paths import find_action
from flyte_nb.remote.phases import check_awaited, duration_of, utc_time, utc_time_or_none
from flyte_nb.remote.plain import duration_text, printable
from flyte_nb.remote.source import source
from flyte_nb.remote.tracking import publish_run
from flyte_nb.remote.typed_values import TypedValues
from flyte_nb.store.queries import check_limit

__all__ = ["Run", "RunDetails", "renderers"]

ROOT = "a0"
renderers: list[Callable[[Run], tuple[dict[str, Any], dict[str, Any]]]] = []
"""Who draws a run in a notebook: the notebook room puts itself here."""


class Run(TypedValues):
    """A run of this project, in whatever phase. Properties look it up each time: they are never stale.

    Args:
        name: the run's name.

    Raises:
        KeyError: there is none; the message names near ones.
    """

    def __init__(self, name: str) -> None:
        source.run(name)
        self.name = name

    @blocking_classmethod
    def get(cls: type[Run], name: str) -> Run:
        """The run of that name.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        return cls(name)

    @iterating_classmethod
    def listall(
        cls: type[Run],
        /,
        in_phase: tuple[ActionPhase | str, ...] | ActionPhase | str | None = None,
        task_name: str | None = None,
        sort_by: tuple[str, str] | None = None,
        limit: int = 100,
        created_at: TimeFilter | None = None,
        with_labels: dict[str, str] | None = None,
        with_label_keys: list[str] | None = None,
        notebook: str | None = None,
        **elsewhere: Any,
    ) -> Iterator[Run]:
        """Runs, newest first.

        Args:
            in_phase: only runs in this phase, or these.
            task_name: only runs of this task.
            sort_by: `("created_at", "asc" | "desc")`.
            limit: at most so many.
            created_at: only runs started in this time.
            with_labels: only runs with these labels.
            with_label_keys: only runs that have these labels, whatever their values.
            notebook: only runs that this notebook started.
            elsewhere: Flyte's filters that only a backend has an answer to (project, domain, task_version ...).

        Raises:
            ValueError: runs cannot be sorted by that, there is no such phase, `limit` is negative, the project is not
                that of `flyte.init`, or a filter needs a backend.
            TypeError: there is no such filter.
        """
        check_limit(limit)
        asked = backend_filters(elsewhere)
        if source.backend is None:
            check_project(asked.pop("project", None), asked.pop("domain", None))
        if asked and source.backend is None:
            raise ValueError(f"Runs of this project cannot be filtered by {', '.join(asked)}; leave it out")
        oldest_first = not is_newest_first(sort_by, "Runs", ("created_at", "start_time"), default=True)
        window = (created_at or TimeFilter()).in_utc()
        phases = (in_phase,) if isinstance(in_phase, str) else in_phase
        rows = source.runs(
            phase=[ActionPhase(phase).value for phase in phases] if phases else None,
            task=task_name,
            labels=with_labels,
            notebook=notebook,
            since=window.after,
            until=window.before,
            limit=None if with_label_keys or oldest_first else limit,
            **asked,
        )
        kept = [row for row in rows if all(key in row.labels for key in with_label_keys or ())]
        return iter([cls(row.name) for row in (kept[::-1] if oldest_first else kept)[:limit]])

    @property
    def url(self) -> str:
        """Names this run: store and name; of a run at a backend, its page there."""
        return source.url(self.name)

    @property
    def action_id(self) -> ActionID:
        return ActionID(name=ROOT, run_name=self.name)

    @property
    def task_name(self) -> str:
        return source.run(self.name).task

    @property
    def phase(self) -> ActionPhase:
        return ActionPhase(source.run(self.name).phase)

    raw_phase = phase

    @property
    def labels(self) -> dict[str, str]:
        return source.run(self.name).labels

    @property
    def annotations(self) -> dict[str, str]:
        return source.run(self.name).annotations

    @property
    def notebook(self) -> str:
        """The notebook or script that started it."""
        return source.run(self.name).notebook

    @property
    def parent_run(self) -> str | None:
        """The run that this one reruns, recovers or forks, or whose action started it."""
        return source.run(self.name).parent_run or None

    @property
    def options(self) -> dict[str, Any]:
        """What `with_runcontext` was given that only a cluster acts on."""
        return source.run(self.name).options

    @property
    def start_time(self) -> datetime:
        """When it started, UTC."""
        return utc_time(source.run(self.name).started_ns)

    @property
    def end_time(self) -> datetime | None:
        """When it ended, UTC; None while it lives."""
        return utc_time_or_none(source.run(self.name).ended_ns)

    @property
    def duration(self) -> timedelta:
        """From its start to its end, or to now while it runs."""
        row = source.run(self.name)
        return duration_of(row.started_ns, row.ended_ns)

    @property
    def error(self) -> BaseRuntimeError | None:
        """The error as `flyte.run` raised it, without the original exception."""
        row = source.run(self.name)
        return error_of(row.phase, row.error)

    @property
    def error_info(self) -> ErrorInfo | None:
        record = source.run(self.name).error
        if record is None:
            return None
        return ErrorInfo(record.code, record.kind, record.message, record.place, record.traceback)

    @property
    def root(self) -> Action:
        """The root action."""
        return Action(self.name, ROOT)

    def actions(
        self, task: str | None = None, phase: Any = None, parent: str | None = None, kind: str | None = None
    ) -> Actions:
        """The actions, parents before their children; see `Actions.where` for the filters."""
        found = Actions(Action(self.name, row.name, row) for row in source.actions(self.name))
        return found.where(task, phase, parent, kind)

    def __getitem__(self, action: str) -> Action:
        """An action by its path (`run["report/share[1]"]`), its name, or an unambiguous beginning of that.

        A path is the names of tasks from a caller to what it called; `[i]` picks the i-th call, from 0 on. It need not
        begin at the root.

        Raises:
            KeyError: there is none, or more than one; the message names those that fit, or near ones.
        """
        return Action(self.name, find_action(self.name, action))

    def done(self) -> bool:
        """Whether it is over."""
        return self.phase.is_terminal

    @blocking_method
    def wait(self: Run, quiet: bool = False, wait_for: str = "terminal") -> None:
        """Returns when it is over (or, with `wait_for="running"`, when it runs). Stop aborts a run of this process.

        Raises:
            ValueError: it is asked to wait for something else.
        """
        check_awaited(wait_for)
        live, active = source.live(self.name), current_session()
        if live is not None and active is not None and wait_for == "terminal":
            try:
                wait_for_run(active, live)
            except BaseRuntimeError:  # `wait` says when, `raise_for_status` and `outputs` say what
                return
        while not (self.done() or (wait_for == "running" and self.phase == ActionPhase.RUNNING)):
            source.wait(self.name, ROOT, self.phase.value)

    async def watch(self, cache_data_on_done: bool = False) -> AsyncIterator[ActionDetails]:
        """The root action's details each time its phase changes, until it is over.

        Args:
            cache_data_on_done: accepted for Flyte's sake; inputs and outputs are at hand anyway.
        """
        root = await asyncio.to_thread(lambda: self.root)
        async for details in root.watch(cache_data_on_done):
            yield details

    @blocking_method
    def inputs(self: Run) -> ActionInputs:
        """The root task's inputs by name."""
        return self.root.inputs()

    @blocking_method
    def outputs(self: Run) -> ActionOutputs:
        """The root task's outputs; waits for the run.

        Raises:
            flyte_nb.errors.BaseRuntimeError: the run failed or was aborted.
        """
        self.wait()
        if self.phase in (ActionPhase.FAILED, ActionPhase.ABORTED, ActionPhase.TIMED_OUT):
            self.raise_for_status()
        return self.root.outputs()

    @blocking_method
    def logs(self: Run, action: str | None = None, limit: int | None = None) -> Logs:
        """What the run's tasks printed, in order.

        Args:
            action: only this action's.
            limit: only the last so many entries.
        """
        return Logs(source.logs(self.name, self[action].name if action else None, limit))

    @iterating_method
    def get_logs(
        self: Run, attempt: int | None = None, filter_system: bool = False, show_ts: bool = False
    ) -> Iterator[str]:
        """The lines that the root task printed; see `Action.get_logs`."""
        return self.root.get_logs(attempt, filter_system, show_ts)

    @blocking_method
    def show_logs(
        self: Run,
        attempt: int | None = None,
        max_lines: int = 100,
        show_ts: bool = False,
        raw: bool = False,
        filter_system: bool = False,
    ) -> None:
        """Prints the last lines that the root task printed."""
        self.root.show_logs(attempt, max_lines, show_ts, raw, filter_system)

    @blocking_method
    def get_report(self: Run, attempt: int | None = None) -> str:
        """The root task's HTML report, empty if it has none."""
        return self.root.get_report(attempt)

    def report(self, action: str = ROOT) -> str:
        """The HTML report of an action, empty if it has none."""
        return self[action].get_report()

    @blocking_method
    def abort(self: Run, reason: str = "Manually aborted from the SDK api.") -> None:
        """Ends the run with all that it runs, in whichever process it lives; one that is over stays as it is.

        Args:
            reason: recorded and shown.

        Raises:
            ValueError: it lives on another machine.
            TimeoutError: the process in which it lives does not answer.
        """
        source.abort(self.name, reason)

    @blocking_method
    def publish(self: Run, name: str | None = None) -> str:
        """Publishes this run of this project at the backend that is connected, and what it records from now on.

        Args:
            name: its name there; by default its own, behind `local-` where backends keep that for themselves.

        Returns:
            Its page there.

        Raises:
            flyte_nb.errors.InitializationError: no backend is connected.
            ValueError: it is at the backend already, or its name is taken there, or is none for a published run.
            ConnectionError, PermissionError: the backend does not answer, or refuses.
        """
        return publish_run(self.name, name)

    @blocking_method
    def first_failure(self: Run) -> ActionDetails | None:
        """The action that failed first, where there is one."""
        failed = [action for action in self.actions() if action.error_info is not None and action.done()]
        return min(failed, key=lambda action: action._row.ended_ns or 0).details() if failed else None

    @blocking_method
    def raise_for_status(self: Run) -> None:
        """Raises the run's error if it failed.

        Raises:
            flyte_nb.errors.BaseRuntimeError: it did; `.run` is this run, and `__cause__` the original exception while
                that is in this process's memory.
        """
        live = source.live(self.name)
        failure = live.finished.exception() if live is not None and live.finished.done() else None
        if isinstance(failure, BaseRuntimeError):
            failure.with_traceback(without_machinery(failure.__traceback__))
        error = failure or self.error
        if error is not None:
            error.run = self  # type: ignore[attr-defined]  # as `flyte.run` does
            raise error

    @blocking_method
    def details(self: Run) -> RunDetails:
        """The same run, under Flyte's name for its details."""
        return RunDetails(self.name)

    def tag(self, **labels: str | None) -> Run:
        """Sets labels; None takes one away. Returns the run."""
        source.label(self.name, labels)
        return self

    def sync(self) -> Run:
        """Nothing to do: a run is looked up each time. Returns the run."""
        return self

    def to_frame(self) -> Any:
        """A pandas frame, one row an action."""
        return self.actions().to_frame()

    def to_dict(self) -> dict[str, Any]:
        """What is known of it, as plain data."""
        return {
            "name": self.name,
            "task": self.task_name,
            "phase": self.phase.value,
            "started_at": self.start_time,
            "duration_seconds": self.duration.total_seconds(),
            "labels": self.labels,
            "error": repr(self.error_info) if self.error_info is not None else None,
        }

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), default=str)

    def __repr__(self) -> str:
        row = source.run(self.name)
        took = duration_text(duration_of(row.started_ns, row.ended_ns).total_seconds() * 1000)
        failure = f" · {row.error.code}: {row.error.message.splitlines()[0]}" if row.error and row.error.message else ""
        counted = f" · {row.action_count:,} action{'s' * (row.action_count != 1)}" if row.action_count else ""
        return printable(f"<Run {row.name} · {row.task} · {row.phase} · {took}{counted}{failure}>")

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        for render in renderers:
            return render(self)
        return {"text/plain": repr(self)}, {}


class RunDetails(Run):
    """Flyte's name for a run with its details; a `Run` has them all."""
