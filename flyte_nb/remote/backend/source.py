"""The runs of a backend, or of a flyte_nb server, with the methods of `flyte_nb.remote.local_source.LocalSource`.

Everything is asked of the process of the official SDK. What cannot change any more (a run or an action that is over, a
task) is asked once; what can is at most `FRESH_SECONDS` old, so that the properties of a `Run` are one request.
"""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from flyte_nb.models import ActionPhase
from flyte_nb.remote.backend.client import Client
from flyte_nb.remote.backend.translation import translated
from flyte_nb.store.rows import ActionRow, AttemptRow, DeployedTaskRow, LogRow, RunRow, TaskRow

__all__ = ["BackendSource"]

T = TypeVar("T")

FRESH_SECONDS = 0.2
WATCH_SECONDS = 5.0
"""How long one request for a change waits for it."""
ROOT = "a0"
KEPT_ANSWERS = 1000
MOST_TASKS = 1000


class BackendSource:
    """Asks a backend.

    Args:
        client: the process that talks to it.
        store: gives the folder of the store that takes large values that are fetched.
    """

    def __init__(self, client: Client, store: Callable[[], Path]) -> None:
        self.client = client
        self._store = store
        self._answers = _Answers()

    @property
    def endpoint(self) -> str:
        """The backend's address, for people."""
        return self.client.connection.endpoint

    def about(self) -> dict[str, str]:
        """What the SDK connects to: endpoint, org, project, domain; empty where not set."""
        return self.client.call("about", dict[str, str])

    # ---- Runs.

    def runs(
        self,
        *,
        limit: int | None = 100,
        phase: str | Sequence[str] | None = None,
        task: str | None = None,
        labels: Mapping[str, str] | None = None,
        notebook: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        **elsewhere: Any,
    ) -> list[RunRow]:
        """Runs, newest first; see `Store.runs`. Further filters are Flyte's own for backends.

        Raises:
            ValueError: a backend does not know which notebook started a run.
        """
        if notebook is not None:
            raise ValueError(
                f"{self.endpoint} does not record notebooks: filter its runs by task, phase, label or time"
            )
        return self.client.call(
            "runs",
            list[RunRow],
            limit=limit,
            phase=[phase] if isinstance(phase, str) else list(phase) if phase else None,
            task=task,
            labels=dict(labels) if labels else None,
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
            elsewhere=translated(elsewhere),
        )

    def run(self, name: str) -> RunRow:
        """One run.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        return self._answers.get(("run", name), lambda: self._run(name), lambda row: is_over(row.phase))

    def url(self, run: str) -> str:
        """The page of a run."""
        return self.client.call("url", str, name=run)

    def abort(self, run: str, reason: str, action: str = ROOT) -> None:
        """Ends a run, or one of its actions."""
        self.client.call("abort", type(None), name=run, action=action, reason=reason)

    def wait(self, run: str, action: str, phase: str) -> str:
        """The phase of an action, as soon as it is another than `phase`, or after some seconds."""
        now = self.client.call("wait", str, name=run, action=action, phase=phase, seconds=WATCH_SECONDS)
        self._answers.renew(("run", run), ("action", run, action, self._store()))
        return now

    # ---- Actions.

    def actions(self, run: str) -> list[ActionRow]:
        """All actions of a run, parents before their children; inputs and outputs are fetched one by one, see
        `action`."""
        return self.client.call("actions", list[ActionRow], name=run)

    def action(self, run: str, action: str) -> ActionRow:
        """One action with its values, by name or an unambiguous beginning of it.

        Raises:
            KeyError: there is none, or more than one.
        """
        name = self._whole_name(run, action)
        return self._answers.get(
            ("action", run, name, self._store()),
            lambda: self.client.call("action", ActionRow, name=run, action=name, store=str(self._store())),
            lambda row: is_over(row.phase),
        )

    def outline(self, run: str) -> list[tuple[str, str, str]]:
        """(action, parent, task) of all actions of a run, parents before their children."""
        return [(row.name, row.parent, row.task) for row in self.actions(run)]

    def attempts(self, run: str, action: str) -> list[AttemptRow]:
        """The attempts of an action, the present one last."""
        return self.client.call("attempts", list[AttemptRow], name=run, action=action)

    def earlier_attempts(self, run: str) -> dict[str, list[AttemptRow]]:
        """The attempts before the last of every action that was retried."""
        retried = [row.name for row in self.actions(run) if row.attempt > 1]
        return {name: self.attempts(run, name)[:-1] for name in retried}

    def logs(self, run: str, action: str | None = None, limit: int | None = None) -> list[LogRow]:
        """What tasks printed, in order of time; the last `limit` entries."""
        rows = self.client.call("logs", list[LogRow], name=run, action=action)
        return rows[-limit:] if limit is not None else rows

    def report(self, run: str, action: str) -> str | None:
        """The HTML report of an action."""
        return self.client.call("report", str, name=run, action=action) or None

    def tasks(self, run: str) -> list[TaskRow]:
        """The tasks of a run as the backend has them."""
        first_of = {row.spec: row.name for row in reversed(self.actions(run)) if row.kind == "task"}
        found = [self._task(run, spec, action) for spec, action in first_of.items()]
        return [row for row in found if row is not None]

    def task(self, run: str, spec: int) -> TaskRow | None:
        """A task as it stood in a run."""
        return next((row for row in self.tasks(run) if row.spec == spec), None)

    def _task(self, run: str, spec: int, action: str) -> TaskRow | None:
        return self._answers.get(
            ("task", run, spec),
            lambda: self.client.call("task", TaskRow | None, name=run, action=action),  # type: ignore[arg-type]
            lambda _: True,
        )

    def _run(self, name: str) -> RunRow:
        try:
            return self.client.call("run", RunRow, name=name)
        except KeyError:
            raise KeyError(
                f"There is no run {name!r} at {self.endpoint}.{hint_of(name, [row.name for row in self.runs()])}"
            ) from None

    def _whole_name(self, run: str, action: str) -> str:
        if action == ROOT:
            return action
        names = [row.name for row in self.actions(run)]
        found = [action] if action in names else [name for name in names if name.startswith(action)]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(
                f"{len(found)} actions of run {run} start with {action!r}: {', '.join(found[:5])}; give more of it"
            )
        raise KeyError(f"There is no action {action!r} of run {run} at {self.endpoint}.{hint_of(action, names)}")

    # ---- Deployed tasks.

    def deployed_task(self, task: str, version: str | None = None) -> DeployedTaskRow:
        """One version of a deployed task, None for the newest.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        try:
            return self.client.call("deployed_task", DeployedTaskRow, task=task, version=version)
        except KeyError:
            what = f"deployed task {task!r}" if version is None else f"version {version!r} of task {task!r}"
            known = self.deployed_tasks(task if version is not None else None)
            hint = hint_of(version or task, [row.task if version is None else row.version for row in known])
            raise KeyError(f"There is no {what} at {self.endpoint}.{hint}") from None

    def deployed_tasks(
        self,
        task: str | None = None,
        *,
        environment: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
    ) -> list[DeployedTaskRow]:
        """Versions of deployed tasks; see `Deployments.tasks`."""
        return self.client.call(
            "deployed_tasks",
            list[DeployedTaskRow],
            task=task,
            environment=environment,
            newest_first=newest_first,
            limit=limit or MOST_TASKS,
        )

    def deployed_versions(self, tasks: Sequence[str], version: str) -> list[DeployedTaskRow]:
        """Those of the tasks that have this version."""
        return self.client.call("deployed_versions", list[DeployedTaskRow], tasks=list(tasks), version=version)

    # ---- To run and deploy.

    def start(self, task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        """Starts a run of a task that was declared here.

        Args:
            task: the task.
            args: its inputs by position.
            kwargs: its inputs by name.
            options: of `flyte.with_runcontext`.

        Returns:
            The run's name.
        """
        pickled = translated((task, args, dict(kwargs), dict(options)))
        return self.client.call("start_run", str, pickled=pickled)

    def start_deployed(self, task: str, version: str, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        """Starts a run of a deployed task; see `start`."""
        pickled = translated((dict(kwargs), dict(options)))
        return self.client.call("start_deployed", str, pickled=pickled, task=task, version=version)

    def deploy(self, environments: Sequence[Any], version: str, dry_run: bool) -> None:
        """Deploys environments with all their tasks, under one version."""
        tasks = [task for environment in environments for task in environment.tasks.values()]
        pickled = translated((list(environments), tasks))
        self.client.call("deploy", list[Any], pickled=pickled, version=version, dry_run=dry_run)


def is_over(phase: str) -> bool:
    """Whether a phase is the last one."""
    return ActionPhase(phase).is_terminal


def hint_of(name: str, known: Sequence[str]) -> str:
    """` Did you mean this or that?` where something known is near, else empty."""
    near = difflib.get_close_matches(name, known, n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


class _Answers:
    """Answers that may be given again."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def renew(self, *keys: tuple[Any, ...]) -> None:
        """Has these asked again, even if they are fresh."""
        with self._lock:
            for key in keys:
                self._known.pop(key, None)

    def get(self, key: tuple[Any, ...], ask: Callable[[], T], is_final: Callable[[T], bool]) -> T:
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            answer: T = known[1]
            return answer
        answer = ask()
        until = float("inf") if is_final(answer) else time.monotonic() + FRESH_SECONDS
        with self._lock:
            self._known[key] = until, answer
            while len(self._known) > KEPT_ANSWERS:
                del self._known[next(iter(self._known))]
        return answer
