"""The deployed tasks of a backend and their triggers, with the methods of `flyte_nb.store.deployments.Deployments`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from flyte_nb.remote.backend.answers import Answers
from flyte_nb.remote.backend.client import Client
from flyte_nb.remote.backend.translation import translated
from flyte_nb.store.rows import DeployedTaskRow, TriggerRow

__all__ = ["BackendDeployments", "hint_of"]

MOST_TASKS = 1000
KEPT_ANSWERS = 1000


class BackendDeployments:
    """Asks a backend.

    Args:
        client: the process that talks to it.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._answers = Answers(KEPT_ANSWERS)

    @property
    def endpoint(self) -> str:
        """The backend's address, for people."""
        return self.client.connection.endpoint

    def deployed_task(self, task: str, version: str | None = None) -> DeployedTaskRow:
        """One version of a deployed task, None for the newest.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        try:
            return self.client.call("deployed_task", DeployedTaskRow, task=task, version=version)
        except KeyError:
            versions = [row.version for row in self.deployed_tasks(task)] if version is not None else []
            if version is not None and versions:
                what = f"version {version!r} of task {task!r}"
                hint = hint_of(version, versions) or f" Its newest is {versions[0]}."
            else:
                what = f"deployed task {task!r}"
                hint = hint_of(task, [row.task for row in self.deployed_tasks()])
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

    def deployed_names(self) -> list[tuple[str, str]]:
        """(task, version) of deployed tasks, newest first."""
        return self._answers.get(
            ("deployed",),
            lambda: self.client.call("deployed_names", list[tuple[str, str]], limit=MOST_TASKS),
            lambda _: False,
        )

    def deployed_versions(self, tasks: Sequence[str], version: str) -> list[DeployedTaskRow]:
        """Those of the tasks that have this version."""
        return self.client.call("deployed_versions", list[DeployedTaskRow], tasks=list(tasks), version=version)

    def triggers(self, task: str | None = None, version: str | None = None) -> list[TriggerRow]:
        """The triggers of deployed tasks; see `Deployments.triggers`."""
        return self.client.call("triggers", list[TriggerRow], task=task, version=version)

    def trigger(self, task: str, name: str) -> TriggerRow:
        """One trigger.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        try:
            return self.client.call("trigger", TriggerRow, task=task, name=name)
        except KeyError:
            hint = hint_of(name, [row.name for row in self.triggers(task)])
            raise KeyError(f"There is no trigger {name!r} of task {task} at {self.endpoint}.{hint}") from None

    def trigger_url(self, task: str, name: str) -> str:
        """The page of a trigger."""
        return self.client.call("trigger_url", str, task=task, name=name)

    def create_trigger(self, trigger: Any, task: str, version: str | None) -> TriggerRow:
        """Adds a trigger to a deployed task; None for its latest version."""
        return self.client.call("create_trigger", TriggerRow, pickled=translated(trigger), task=task, version=version)

    def change_trigger(self, task: str, name: str, change: str) -> None:
        """Has a trigger `activated`, `deactivated` or `deleted`."""
        self.client.call("change_trigger", type(None), task=task, name=name, change=change)


def hint_of(name: str, known: Sequence[str]) -> str:
    """` Did you mean this or that?` where something known is near, else empty."""
    near = difflib.get_close_matches(name, known, n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""
