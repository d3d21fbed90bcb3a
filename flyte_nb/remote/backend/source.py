"""The runs of a backend, or of a flyte_nb server, with the methods of `flyte_nb.remote.local_source.LocalSource`.

Everything is asked of the process of the official SDK. What cannot change any more (a run or an action that is over, a
task) is asked once; what can is at most 0.2 s old, so that the properties of a `Run` are one request. Of a
run that is followed the stream tells phases and actions: they are not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from flyte_nb.authoring.condition import Answer
from flyte_nb.errors import ConditionNotFoundError, RuntimeSystemError
from flyte_nb.models import ActionPhase
from flyte_nb.remote.aborting import fitting_answer
from flyte_nb.remote.backend.answers import Answers
from flyte_nb.remote.backend.client import UNANSWERED, Client
from flyte_nb.remote.backend.deployments import BackendDeployments, hint_of
from flyte_nb.remote.backend.followed import FollowedRun
from flyte_nb.remote.backend.translation import translated
from flyte_nb.store.rows import ActionRow, AttemptRow, LogRow, RunRow, TaskRow
from flyte_nb.types.base import Blobs

__all__ = ["BackendSource"]

WATCH_SECONDS = 5.0
"""How long one request for a change waits for it."""
ROOT = "a0"
KEPT_TREES = 8
"""Of so many runs the actions are kept; a run may have thousands."""
VALUED = 50
"""A run of so many actions at most is shown with their inputs."""
RETRIED = 50
"""Of so many retried actions the earlier attempts are asked for, each by a request of its own."""


class BackendSource(BackendDeployments):
    """Asks a backend.

    Args:
        client: the process that talks to it.
        store: gives the folder of the store that takes large values that are fetched.
    """

    def __init__(self, client: Client, store: Callable[[], Path]) -> None:
        super().__init__(client)
        self._store = store
        self._trees = Answers(KEPT_TREES)
        self._followed: dict[str, FollowedRun] = {}
        self.last_started: tuple[str, int] = "", 0
        """The run that was started last from here, and when (nanoseconds since the epoch)."""

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
        followed = self._followed.get(name)
        if followed is not None:
            return followed.row
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
        followed = self._followed.get(run)
        if followed is not None and action == ROOT and is_over(now):
            followed.row = self._run(run)
        return now

    # ---- To follow a run while it is shown.

    def followed(self, run: str) -> FollowedRun | None:
        """The run as its watch stream tells it, while somebody follows it."""
        return self._followed.get(run)

    def follow(self, run: str) -> FollowedRun:
        """Begins to follow a run; `look` then tells what changes, until `unfollow`.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        return self._followed.setdefault(run, FollowedRun(self._run(run)))

    def look(self, followed: FollowedRun, seconds: float) -> bool:
        """Waits until something changes, `seconds` at the most, and enters it; with the last change the run is over.

        Returns:
            Whether the stream told anything.
        """
        name = followed.name
        changed = self.client.call("follow", list[ActionRow], name=name, seconds=seconds)
        store = self._store()
        self._answers.renew(*(("action", name, row.name, store) for row in changed))
        for row in changed:
            if (known := followed.actions.get(row.name)) is not None:
                row.inputs, row.trace_inputs = known.inputs, known.trace_inputs
        are_few = len(followed.actions.keys() | {row.name for row in changed}) <= VALUED
        followed.names |= self._add_inputs(name, changed, are_few)
        followed.take(changed)
        if followed.order and is_over(followed.order[0].phase):
            followed.row = self._run(name)
            followed.row.action_count = len(followed.order)
            self.unfollow(followed)
            self._answers.keep(("run", name), followed.row)
            if followed.is_whole:
                self._trees.keep(("actions", name), list(followed.order))
            followed.closed = True
        return bool(changed)

    def unfollow(self, followed: FollowedRun) -> None:
        """Stops following a run, whose stream is closed."""
        name = followed.name
        if self._followed.pop(name, None) is None:
            return
        self._answers.renew(("run", name), ("action", name, ROOT, self._store()))
        self._trees.renew(("actions", name))
        self.client.call("unfollow", type(None), name=name)

    # ---- Actions.

    def actions(self, run: str) -> Sequence[ActionRow]:
        """All actions of a run, parents before their children; inputs and outputs are fetched one by one, see
        `action`."""
        followed = self._followed.get(run)
        if followed is not None and followed.order:
            return list(followed.order)
        return self._listed(run)

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

    def actions_with_inputs(self, run: str) -> tuple[Sequence[ActionRow], dict[int, list[str]]]:
        """The same, those of a run that has few with their inputs; and the names of these, by task."""
        followed = self._followed.get(run)
        if followed is not None and followed.order:
            return list(followed.order), followed.names
        rows = self._listed(run)
        return rows, self._add_inputs(run, rows, len(rows) <= VALUED)

    def outline(self, run: str) -> list[tuple[str, str, str]]:
        """(action, parent, task) of all actions of a run, parents before their children."""
        return [(row.name, row.parent, row.task) for row in self.actions(run)]

    def attempts(self, run: str, action: str) -> list[AttemptRow]:
        """The attempts of an action, the present one last."""
        return self.client.call("attempts", list[AttemptRow], name=run, action=action)

    def earlier_attempts(self, run: str) -> dict[str, list[AttemptRow]]:
        """The attempts before the last of the first actions that were retried."""
        retried = [row for row in self.actions(run) if row.attempt > 1][:RETRIED]

        def earlier(row: ActionRow) -> list[AttemptRow]:
            key = ("earlier", run, row.name, row.attempt)
            return self._answers.get(key, lambda: self.attempts(run, row.name)[: row.attempt - 1], lambda _: True)

        return {row.name: earlier(row) for row in retried}

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

    def _listed(self, run: str) -> list[ActionRow]:
        return self._trees.get(
            ("actions", run),
            lambda: self.client.call("actions", list[ActionRow], name=run),
            lambda rows: bool(rows) and is_over(rows[0].phase),
        )

    def _run(self, name: str) -> RunRow:
        try:
            return self.client.call("run", RunRow, name=name)
        except KeyError:
            raise KeyError(
                f"There is no run {name!r} at {self.endpoint}.{hint_of(name, [row.name for row in self.runs()])}"
            ) from None

    def _add_inputs(self, run: str, rows: Sequence[ActionRow], are_few: bool) -> dict[int, list[str]]:
        """Enters what no list tells and takes requests for each: what conditions ask that wait, and where actions are
        few the inputs of those that have begun. Returns the names of the inputs, by task."""
        wanted = [row for row in rows if is_question(row) or (are_few and row.started_ns is not None)]
        unknown = [row for row in wanted if not row.inputs]
        try:
            if unknown:
                names = [row.name for row in unknown]
                found = self.client.call("inputs", list[ActionRow], name=run, actions=names, store=str(self._store()))
                for row, valued in zip(unknown, found, strict=True):
                    row.inputs, row.trace_inputs = valued.inputs, valued.trace_inputs
            first_of = {row.spec: row.name for row in wanted if row.kind == "task"}
            tasks = {spec: self._task(run, spec, action) for spec, action in first_of.items()}
        except (KeyError, ValueError, *UNANSWERED):  # what is told of them is shown all the same
            return {}
        return {spec: [name for name, _ in task.inputs] for spec, task in tasks.items() if task is not None}

    def _whole_name(self, run: str, action: str) -> str:
        if action == ROOT:
            return action
        followed = self._followed.get(run)
        if followed is not None and action in followed.actions:
            return action
        names = [row.name for row in self._listed(run)]  # of some the stream may not have told yet
        found = [action] if action in names else [name for name in names if name.startswith(action)]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(
                f"{len(found)} actions of run {run} start with {action!r}: {', '.join(found[:5])}; give more of it"
            )
        raise KeyError(f"There is no action {action!r} of run {run} at {self.endpoint}.{hint_of(action, names)}")

    def signal(self, run: str, action: str, answer: Answer, blobs: Blobs) -> None:
        """Answers a condition; returns when the backend has taken the answer.

        Args:
            run: name of the run.
            action: name of the condition's action.
            answer: the answer, or its text as a person writes it.
            blobs: where large values of this process are.

        Raises:
            ValueError: the answer is not of the condition's type; the condition stays open.
            flyte_nb.errors.ConditionNotFoundError: the action is no condition, or does not wait any more.
        """
        value = fitting_answer(self.action(run, action), answer, blobs)
        try:
            self.client.call("signal", type(None), name=run, action=action, value=value)
        except RuntimeSystemError as error:
            if error.code != "failed_precondition":
                raise
            raise ConditionNotFoundError(str(error)) from None
        finally:
            self._answers.renew(("action", run, action, self._store()))
            self._trees.renew(("actions", run))

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

    def start_trigger(self, task: str, trigger: str, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        """Starts the run of a trigger, with these inputs in place of its own; see `start`."""
        pickled = translated((dict(kwargs), dict(options)))
        return self.client.call("start_trigger", str, pickled=pickled, task=task, trigger=trigger)

    def deploy(self, environments: Sequence[Any], version: str, dry_run: bool) -> None:
        """Deploys environments with all their tasks, under one version."""
        tasks = [task for environment in environments for task in environment.tasks.values()]
        pickled = translated((list(environments), tasks))
        self.client.call("deploy", list[Any], pickled=pickled, version=version, dry_run=dry_run)


def is_over(phase: str) -> bool:
    """Whether a phase is the last one."""
    return ActionPhase(phase).is_terminal


def is_question(row: ActionRow) -> bool:
    """Whether it is a condition that waits: its inputs, which no list tells, are what it asks."""
    return row.kind == "condition" and row.phase == "paused"
