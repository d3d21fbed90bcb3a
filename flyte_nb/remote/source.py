"""Where runs come from: this project, and the backend that `flyte.init` named for the runs that are there.

Both answer with the rows of `flyte_nb.store.rows`, so nothing above knows which it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from flyte_nb.authoring.condition import Answer
from flyte_nb.engine.action import Action as LiveAction
from flyte_nb.engine.identity import ROOT
from flyte_nb.remote.backend.followed import FollowedRun
from flyte_nb.remote.backend.publishing import Publisher
from flyte_nb.remote.backend.source import BackendSource
from flyte_nb.remote.local_source import LocalSource
from flyte_nb.store.rows import ActionRow, AttemptRow, DeployedTaskRow, LogRow, OutcomeRow, RunRow, TaskRow, TriggerRow

__all__ = ["Source", "source"]

MICROSECOND_NS = 1_000
LOOK_SECONDS = 0.1
"""How often a run of another process is looked at while one waits for it."""


class Source(LocalSource):
    """What `flyte.remote` reads: a backend where one is connected, this project otherwise. A run that is not known at
    the backend may still be one of this project's.

    Attributes:
        backend: None while runs are local.
        publisher: publishes runs of this project there.
    """

    backend: BackendSource | None = None
    publisher: Publisher | None = None

    def __init__(self) -> None:
        self._only_there: set[tuple[str, str]] = set()
        """Runs of backends that were not published from here: the store is not asked for them again."""

    @property
    def address(self) -> str:
        return super().address if self.backend is None else self.backend.endpoint

    def elsewhere(self, run: str) -> BackendSource | None:
        """The backend, if the run is there; one of this project that was published there is here all the same."""
        if self.backend is None or self.live(run) is not None:
            return None
        try:
            there = self.backend.run(run)
        except KeyError:
            with suppress(KeyError):
                super().run(run)
                return None
            raise
        if (known := (self.backend.endpoint, run)) in self._only_there:
            return self.backend
        with suppress(KeyError):
            if super().run(run).started_ns // MICROSECOND_NS == there.started_ns // MICROSECOND_NS:
                return None
        self._only_there.add(known)
        return self.backend

    def followed(self, run: str) -> FollowedRun | None:
        """The run as the backend's stream tells it, while it is followed there."""
        return self.backend.followed(run) if self.backend is not None else None

    def run_here(self, name: str) -> RunRow:
        """A run of this project, whose code is recorded here.

        Raises:
            KeyError: there is none of that name.
            ValueError: the run is at the backend.
        """
        backend = self.elsewhere(name)
        if backend is not None:
            raise ValueError(
                f"The run {name} is at {backend.endpoint}: to repeat it takes its code, which is kept here for runs of "
                "this project only. Run the task again with flyte.run."
            )
        return super().run(name)

    def runs(self, **filters: Any) -> list[RunRow]:
        return super().runs(**filters) if self.backend is None else self.backend.runs(**filters)

    def run(self, name: str) -> RunRow:
        backend = self.elsewhere(name)
        return super().run(name) if backend is None else backend.run(name)

    def url(self, run: str) -> str:
        published = self.publisher.url(run) if self.publisher is not None else None
        if published is not None:
            return published
        backend = self.elsewhere(run)
        return super().url(run) if backend is None else backend.url(run)

    def actions(self, run: str) -> Sequence[ActionRow | LiveAction]:
        backend = self.elsewhere(run)
        return super().actions(run) if backend is None else backend.actions(run)

    def actions_with_inputs(
        self, run: str
    ) -> tuple[Sequence[ActionRow | LiveAction], Mapping[int, Sequence[str]] | None]:
        backend = self.elsewhere(run)
        return super().actions_with_inputs(run) if backend is None else backend.actions_with_inputs(run)

    def outline(self, run: str) -> list[tuple[str, str, str]]:
        backend = self.elsewhere(run)
        return super().outline(run) if backend is None else backend.outline(run)

    def outcomes(self, run: str) -> list[OutcomeRow]:
        """See `LocalSource.outcomes`.

        Raises:
            ValueError: the run is at a backend, which runs it again itself.
        """
        backend = self.elsewhere(run)
        if backend is not None:
            raise ValueError(f"Run {run} is at {backend.endpoint}: what it computed cannot be reused by a run here")
        return super().outcomes(run)

    def action(self, run: str, action: str) -> ActionRow | LiveAction:
        backend = self.elsewhere(run)
        return super().action(run, action) if backend is None else backend.action(run, action)

    def attempts(self, run: str, action: str) -> list[AttemptRow]:
        backend = self.elsewhere(run)
        return super().attempts(run, action) if backend is None else backend.attempts(run, action)

    def earlier_attempts(self, run: str) -> dict[str, list[AttemptRow]]:
        backend = self.elsewhere(run)
        return super().earlier_attempts(run) if backend is None else backend.earlier_attempts(run)

    def logs(self, run: str, action: str | None = None, limit: int | None = None) -> list[LogRow]:
        backend = self.elsewhere(run)
        return super().logs(run, action, limit) if backend is None else backend.logs(run, action, limit)

    def report(self, run: str, action: str) -> str | None:
        backend = self.elsewhere(run)
        return super().report(run, action) if backend is None else backend.report(run, action)

    def task(self, run: str, spec: int) -> TaskRow | None:
        backend = self.elsewhere(run)
        return super().task(run, spec) if backend is None else backend.task(run, spec)

    def tasks(self, run: str) -> list[TaskRow]:
        backend = self.elsewhere(run)
        return super().tasks(run) if backend is None else backend.tasks(run)

    def label(self, run: str, labels: Mapping[str, str | None]) -> None:
        """See `LocalSource.label`.

        Raises:
            ValueError: the run is at a backend, which sets labels only when a run starts.
        """
        backend = self.elsewhere(run)
        if backend is not None:
            raise ValueError(
                f"Run {run} is at {backend.endpoint}, which labels runs when they start: "
                "flyte.with_runcontext(labels=...).run(...)"
            )
        super().label(run, labels)

    def abort(self, run: str, reason: str, action: str = ROOT) -> None:
        backend = self.elsewhere(run)
        if backend is None:
            super().abort(run, reason, action)
        else:
            backend.abort(run, reason, action)

    def signal(self, run: str, action: str, answer: Answer) -> None:
        backend = self.elsewhere(run)
        if backend is None:
            super().signal(run, action, answer)
        else:
            backend.signal(run, action, answer, self.blobs)

    def deployed_tasks(self, task: str | None = None, **filters: Any) -> list[DeployedTaskRow]:
        if self.backend is None:
            return super().deployed_tasks(task, **filters)
        return self.backend.deployed_tasks(task, **filters)

    def deployed_names(self) -> list[tuple[str, str]]:
        return super().deployed_names() if self.backend is None else self.backend.deployed_names()

    def deployed_versions(self, tasks: Sequence[str], version: str) -> list[DeployedTaskRow]:
        if self.backend is None:
            return super().deployed_versions(tasks, version)
        return self.backend.deployed_versions(tasks, version)

    def deployed_task(self, task: str, version: str | None = None) -> DeployedTaskRow:
        if self.backend is None:
            return super().deployed_task(task, version)
        try:
            return self.backend.deployed_task(task, version)
        except KeyError:
            with suppress(KeyError):
                return super().deployed_task(task, version)
            raise

    def triggers(self, task: str | None = None, version: str | None = None) -> list[TriggerRow]:
        return super().triggers(task, version) if self.backend is None else self.backend.triggers(task, version)

    def trigger(self, task: str, name: str) -> TriggerRow:
        return super().trigger(task, name) if self.backend is None else self.backend.trigger(task, name)

    def trigger_url(self, task: str, name: str) -> str:
        return super().trigger_url(task, name) if self.backend is None else self.backend.trigger_url(task, name)

    def change_trigger(self, task: str, name: str, change: str) -> None:
        if self.backend is None:
            super().change_trigger(task, name, change)
        else:
            self.backend.change_trigger(task, name, change)

    def wait(self, run: str, action: str, phase: str) -> None:
        """Returns when an action may have another phase than this one; soon, in any case."""
        backend = self.elsewhere(run)
        if backend is None:
            time.sleep(LOOK_SECONDS)
        else:
            backend.wait(run, action, phase)


source = Source()
