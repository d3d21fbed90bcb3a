"""What was deployed to a store: versions of tasks, and triggers. Queries, and the one way in.

Deployments(home).tasks(task="train.fit")       its versions, newest first
Deployments(home).task("train.fit", "v1")       one; None for the newest
Deployments(home).record([TaskDeployed(...)])   recorded like a run's events, in a journal
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from flyte_nb.store.database import Database
from flyte_nb.store.deployment_events import TaskDeployed, TriggerChanged, TriggerDeployed
from flyte_nb.store.errors import missing
from flyte_nb.store.events import encode_event
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.queries import Record, limit_text, pairs
from flyte_nb.store.rows import DeployedTaskRow, TriggerRow

__all__ = ["DeploymentEvent", "Deployments"]

DeploymentEvent = TaskDeployed | TriggerDeployed | TriggerChanged
TASK_COLUMNS = ", ".join(DeployedTaskRow.__dataclass_fields__)
TRIGGER_COLUMNS = ", ".join(TriggerRow.__dataclass_fields__)


class Deployments:
    """The deployments of a home. Cheap to make; every method may be called from any thread.

    All methods raise `flyte_nb.store.errors.StoreError` when the store cannot be read.

    Args:
        home: the store's folder.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._database = Database.of(home)

    def tasks(
        self,
        task: str | None = None,
        *,
        version: str | None = None,
        environment: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
    ) -> list[DeployedTaskRow]:
        """Versions of deployed tasks.

        Args:
            task: only of this full name.
            version: only this one.
            environment: only of this environment.
            limit: at most so many; None for all.
            newest_first: in the order of their deployment, the newest first; else the oldest.
        """
        direction = "DESC" if newest_first else ""
        query = f"""SELECT {TASK_COLUMNS} FROM store.known_deployed_tasks
            WHERE ($1 IS NULL OR task = $1) AND ($2 IS NULL OR version = $2) AND ($3 IS NULL OR environment = $3)
            ORDER BY deployed_ns {direction}, task {limit_text(limit)}"""
        return [deployed_task_row(record) for record in self._records(query, [task, version, environment])]

    def task(self, task: str, version: str | None = None) -> DeployedTaskRow:
        """One version of a deployed task.

        Args:
            task: its full name.
            version: of it; None for the newest.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        found = self.tasks(task, version=version, limit=1)
        if found:
            return found[0]
        versions = [row.version for row in self.tasks(task)]
        if versions:
            raise missing(f"version of deployed task {task}", str(version), versions)
        raise missing("deployed task", task, list(dict.fromkeys(row.task for row in self.tasks())))

    def triggers(self, task: str | None = None, version: str | None = None) -> list[TriggerRow]:
        """The triggers of deployed tasks, by task and name.

        Args:
            task: only of this full name.
            version: only of this version of it.
        """
        query = f"""SELECT {TRIGGER_COLUMNS} FROM store.known_triggers
            WHERE ($1 IS NULL OR task = $1) AND ($2 IS NULL OR version = $2) ORDER BY task, name"""
        return [trigger_row(record) for record in self._records(query, [task, version])]

    def trigger(self, task: str, name: str) -> TriggerRow:
        """One trigger.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        known = self.triggers(task)
        for row in known:
            if row.name == name:
                return row
        raise missing(f"trigger of task {task}", name, [row.name for row in known])

    def has_fired(self, task: str, name: str, due_ns: int) -> bool:
        """Whether it is recorded that a trigger fired for a time."""
        query = """SELECT 1 FROM store.trigger_changes
            WHERE change = 'fired' AND task = $1 AND name = $2 AND due_ns = $3 LIMIT 1"""
        return bool(self._records(query, [task, name, due_ns]))

    def record(self, events: Sequence[DeploymentEvent]) -> None:
        """Records events, after what is recorded, in a journal of their own: all of them are found, or none.

        Raises:
            flyte_nb.store.errors.StoreError: they cannot be written.
        """
        later = self.after_recorded(events)
        own = Journal.create(self.home)
        try:
            own.append_together([encode_event(event) for event in later])
        finally:
            own.close()

    def after_recorded(self, events: Sequence[DeploymentEvent]) -> list[DeploymentEvent]:
        """Events as they are to be recorded: of a task or trigger the latest holds. So where one was recorded under a
        clock that was ahead, those that follow it are of just after its time."""
        ahead = self._recorded_ahead()
        return [_after(event, ahead) for event in events]

    def _recorded_ahead(self) -> dict[tuple[str, str], int]:
        """The latest time, of those to come, that is recorded of a task, or of a trigger of it."""
        query = """SELECT task, name, max(at_ns) AS at_ns FROM (
            SELECT task, '' AS name, deployed_ns AS at_ns FROM store.deployed_tasks
            UNION ALL SELECT task, name, deployed_ns FROM store.triggers
            UNION ALL SELECT task, name, at_ns FROM store.trigger_changes
        ) WHERE at_ns > $1 GROUP BY ALL"""
        return {(row["task"], row["name"]): row["at_ns"] for row in self._records(query, [time.time_ns()])}

    def _records(self, query: str, values: Sequence[Any]) -> list[Record]:
        with self._database.session() as cursor:
            answer = cursor.execute(query, list(values))
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _after(event: DeploymentEvent, ahead: Mapping[tuple[str, str], int]) -> DeploymentEvent:
    """The event, of a time after what is recorded of the same task or trigger for a time to come."""
    name = "" if isinstance(event, TaskDeployed) else event.name
    latest_ns = ahead.get((event.task, name), 0)
    return event if event.at_ns > latest_ns else msgspec.structs.replace(event, at_ns=latest_ns + 1)


def deployed_task_row(record: Record) -> DeployedTaskRow:
    record["inputs"], record["outputs"] = pairs(record["inputs"]), pairs(record["outputs"])
    for name in ("defaults", "input_descriptions", "resources", "settings"):
        record[name] = json.loads(record[name])
    return DeployedTaskRow(**record)


def trigger_row(record: Record) -> TriggerRow:
    for name in ("automation", "settings"):
        record[name] = json.loads(record[name])
    return TriggerRow(**record)
