"""Deployed tasks as Flyte's `flyte.remote` shows them: fetched by name and version, called in a run, or run.

fit = flyte.remote.Task.get("train.fit", auto_version="latest")     nothing is looked up yet
await fit(depth=3)                                                  in a task: a child action with the deployed code
flyte.run(fit, depth=3)                                             a run of it
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from flyte_nb.remote.action import utc_time
from flyte_nb.remote.calls import iterating_classmethod
from flyte_nb.remote.deployed import AutoVersion, check_project
from flyte_nb.remote.source import source
from flyte_nb.remote.task_details import LazyEntity, TaskDetails, lazy_task
from flyte_nb.store.rows import DeployedTaskRow

__all__ = ["Task"]


class Task:
    """A version of a deployed task, in a list.

    Args:
        row: what is recorded of it.
    """

    def __init__(self, row: DeployedTaskRow) -> None:
        self.row = row

    @classmethod
    def get(
        cls,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersion | None = None,
    ) -> LazyEntity:
        """A deployed task, looked up when it is first used.

        Args:
            name: its full name, `environment.function`.
            project: that of `flyte.init`, if any is given: a store has no projects.
            domain: the same.
            version: of it.
            auto_version: `latest` for the one deployed last, which stays the same throughout a run; `current` for the
                version of the deployed task that calls it.

        Raises:
            ValueError: neither version is given, or there is no such `auto_version`, project or domain.
        """
        return lazy_task(name, project, domain, version, auto_version)

    @iterating_classmethod
    def listall(
        cls: type[Task],
        /,
        by_task_name: str | None = None,
        by_task_env: str | None = None,
        project: str | None = None,
        domain: str | None = None,
        sort_by: tuple[str, Literal["asc", "desc"]] | None = None,
        limit: int = 100,
        entrypoint: bool | None = None,
    ) -> Iterator[Task]:
        """Versions of deployed tasks, the oldest first.

        Args:
            by_task_name: only of this full name.
            by_task_env: only of this environment.
            project: as of `get`.
            domain: as of `get`.
            sort_by: `("created_at", "asc" | "desc")`.
            limit: at most so many.
            entrypoint: only those that users are meant to start, or only others.

        Raises:
            ValueError: they cannot be sorted by that, or there is no such project or domain.
        """
        check_project(project, domain)
        if sort_by is not None and sort_by[0] not in ("created_at", "deployed_at"):
            raise ValueError(f"Deployed tasks are sorted by created_at, not by {sort_by[0]!r}")
        rows = source.deployed_tasks(
            by_task_name,
            environment=by_task_env,
            newest_first=sort_by is not None and sort_by[1] == "desc",
            limit=limit if entrypoint is None else None,
        )
        kept = [row for row in rows if entrypoint in (None, bool(row.settings.get("entrypoint", False)))]
        return iter([cls(row) for row in kept[:limit]])

    @property
    def name(self) -> str:
        """Its full name, `environment.function`."""
        return self.row.task

    @property
    def version(self) -> str:
        return self.row.version

    @property
    def entrypoint(self) -> bool:
        """Whether users are meant to start it."""
        return bool(self.row.settings.get("entrypoint", False))

    @property
    def deployed_at(self) -> datetime:
        """When it was deployed, UTC."""
        return utc_time(self.row.deployed_ns)

    @property
    def url(self) -> str:
        """Names it: store, task and version."""
        return f"flyte-nb://{source.store.home.path}/tasks/{self.name}/{self.version}"

    def details(self) -> TaskDetails:
        """All that is recorded of it."""
        return TaskDetails(self.row)

    def to_dict(self) -> dict[str, Any]:
        """See `TaskDetails.to_dict`."""
        return self.details().to_dict()

    def to_json(self) -> str:
        """The same as JSON."""
        return self.details().to_json()

    def __repr__(self) -> str:
        return f"Task(name={self.name!r}, version={self.version!r}, deployed_at={self.deployed_at:%Y-%m-%d %H:%M:%S})"
