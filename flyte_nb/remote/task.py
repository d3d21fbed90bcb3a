"""Deployed tasks as Flyte's `flyte.remote` shows them: fetched by name and version, called in a run, or run.

fit = flyte.remote.Task.get("train.fit", auto_version="latest")     nothing is looked up yet
await fit(depth=3)                                                  in a task: a child action with the deployed code
flyte.run(fit, depth=3)                                             a run of it
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from flyte_nb.remote.calls import iterating_classmethod
from flyte_nb.remote.deploying.deployed import AutoVersion, DeployedVersion, check_project
from flyte_nb.remote.listing import is_newest_first
from flyte_nb.remote.source import source
from flyte_nb.remote.task_details import LazyEntity, TaskDetails, lazy_task
from flyte_nb.store.queries import check_limit
from flyte_nb.store.rows import DeployedTaskRow

__all__ = ["Task"]


class Task(DeployedVersion):
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
            TypeError: name or version is no text.
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
            ValueError: they cannot be sorted by that, `limit` is negative, or there is no such project or domain.
        """
        check_project(project, domain)
        check_limit(limit)
        newest_first = is_newest_first(sort_by, "Deployed tasks", ("created_at", "deployed_at"))
        rows = source.deployed_tasks(
            by_task_name,
            environment=by_task_env,
            newest_first=newest_first,
            limit=limit if entrypoint is None else None,
        )
        kept = [row for row in rows if entrypoint in (None, bool(row.settings.get("entrypoint", False)))]
        return iter([cls(row) for row in kept[:limit]])

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
