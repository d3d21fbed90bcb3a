"""Triggers of deployed tasks: what starts them by itself. Flyte's `flyte.remote.Trigger`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from flyte_nb.authoring.trigger import Trigger as DeclaredTrigger
from flyte_nb.engine.session import session
from flyte_nb.remote.calls import blocking_classmethod, blocking_method, iterating_classmethod
from flyte_nb.remote.deploying.deployed import check_project, find, load
from flyte_nb.remote.phases import utc_time
from flyte_nb.remote.source import source
from flyte_nb.remote.triggers.schedule import due_times
from flyte_nb.remote.triggers.trigger_specs import automation_text, trigger_of
from flyte_nb.store.queries import check_limit
from flyte_nb.store.rows import TriggerRow

__all__ = ["Trigger", "TriggerDetails", "next_times"]

TIMES_SHOWN = 5


class TriggerDetails:
    """A trigger as it stands.

    Args:
        row: what is recorded of it.
    """

    def __init__(self, row: TriggerRow) -> None:
        self.row = row

    @blocking_classmethod
    def get(cls: type[TriggerDetails], *, name: str, task_name: str) -> TriggerDetails:
        """A trigger by its name and its task's.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        return cls(source.trigger(task_name, name))

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def task_name(self) -> str:
        """The full name of its task."""
        return self.row.task

    @property
    def task_version(self) -> str:
        """The version of the task that it starts."""
        return self.row.version

    @property
    def description(self) -> str:
        """What it says about itself."""
        return self.row.description

    @property
    def is_active(self) -> bool:
        """Whether it fires."""
        return self.row.is_active

    @property
    def automation_spec(self) -> dict[str, Any]:
        """When it fires, as it is recorded."""
        return self.row.automation

    @property
    def url(self) -> str:
        """Names it: store, task and trigger; at a backend, its page."""
        return source.trigger_url(self.task_name, self.name)

    @property
    def next_times(self) -> list[datetime]:
        """The next five times, UTC, at which it is due; none while it is paused."""
        return next_times(self.row)

    @property
    def last_run(self) -> str | None:
        """The name of the run that it started last; a backend does not tell."""
        return self.row.fired_run or None

    @blocking_method
    def get_details(self: TriggerDetails) -> TriggerDetails:
        """The trigger as it stands now.

        Raises:
            KeyError: it was deleted.
        """
        return TriggerDetails(source.trigger(self.task_name, self.name))

    def to_dict(self) -> dict[str, Any]:
        """What is known of it, as plain data."""
        return {
            "name": self.name,
            "task": self.task_name,
            "version": self.task_version,
            "description": self.description,
            "active": self.is_active,
            "automation": self.automation_spec,
            "next_times": self.next_times,
            "last_run": self.last_run,
        }

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), default=str)

    def __repr__(self) -> str:
        state = "active" if self.is_active else "paused"
        when = automation_text(self.row.automation)
        lines = [f"{self.task_name}/{self.name}  version {self.task_version}  {state}  {when}"]
        if times := self.next_times:
            precision = "minutes" if not any(one.second for one in times) else "seconds"
            shown = [one.replace(tzinfo=None).isoformat(" ", precision) for one in times]
            lines.append(f"next: {', '.join(shown)} UTC")
        if self.row.fired_ns is not None:
            outcome = self.row.fired_run or self.row.fired_error
            at = f"{utc_time(self.row.fired_ns):%Y-%m-%d %H:%M:%S} UTC"
            lines.append(f"last: {at}, {outcome}" if outcome else f"last: {at}")
        return "\n".join(lines)


class Trigger(TriggerDetails):
    """A trigger, in a list; and what is done with triggers. `flyte.run(trigger)` fires it by hand."""

    @blocking_classmethod
    def create(
        cls: type[Trigger], trigger: DeclaredTrigger, task_name: str, task_version: str | None = None
    ) -> Trigger:
        """Adds a trigger to a deployed task; one of that name is replaced.

        Args:
            trigger: a `flyte.Trigger`.
            task_name: the full name of the task.
            task_version: of it; None for the latest.

        Raises:
            flyte_nb.errors.RemoteTaskNotFoundError: there is no such task.
            flyte_nb.errors.DeploymentError: its inputs do not fit the task.
        """
        if source.backend is not None:
            return cls(source.backend.create_trigger(trigger, task_name, task_version))
        row = find(task_name, task_version)
        event = trigger_of(session(), load(row), trigger, time.time_ns())
        source.deploy([msgspec.structs.replace(event, version=row.version)])
        return cls(source.trigger(task_name, trigger.name))

    @iterating_classmethod
    def listall(
        cls: type[Trigger], /, task_name: str | None = None, task_version: str | None = None, limit: int = 100
    ) -> Iterator[Trigger]:
        """Triggers, by task and name.

        Args:
            task_name: only of this task, by its full name.
            task_version: only of this version of it.
            limit: at most so many.

        Raises:
            ValueError: `limit` is negative.
        """
        check_limit(limit)
        return iter([cls(row) for row in source.triggers(task_name, task_version)[:limit]])

    @blocking_classmethod
    def update(cls: type[Trigger], name: str, task_name: str, active: bool) -> None:
        """Pauses or resumes a trigger. What was due while it was paused is not made up for.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        row = source.trigger(task_name, name)
        if row.is_active != active:
            change = "activated" if active else "deactivated"
            source.change_trigger(task_name, name, change)

    @blocking_classmethod
    def delete(
        cls: type[Trigger], name: str, task_name: str, project: str | None = None, domain: str | None = None
    ) -> None:
        """Deletes a trigger; its runs stay.

        Args:
            name: of the trigger.
            task_name: full name of its task.
            project: that of `flyte.init`, if at all.
            domain: that of `flyte.init`, if at all.

        Raises:
            KeyError: there is none; the message names near ones.
            ValueError: it is another project or domain.
        """
        check_project(project, domain)
        source.trigger(task_name, name)
        source.change_trigger(task_name, name, "deleted")


def next_times(row: TriggerRow, count: int = TIMES_SHOWN, after: datetime | None = None) -> list[datetime]:
    """The next times, UTC, at which a trigger is due; none while it is paused.

    Args:
        row: the trigger.
        count: how many.
        after: from when on; now unless given.
    """
    if not row.is_active:
        return []
    times = due_times(row.automation, utc_time(row.changed_ns), after or datetime.now(UTC))
    return list(islice(times, count))
