"""Runs, actions and deployed tasks page by page, in any order and under any conditions, without their values.

A page goes on behind the last row of the one before, not at a number of rows: what is recorded meanwhile makes no row
stand twice and drops none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from flyte_nb.store.database import Database
from flyte_nb.store.home import Home
from flyte_nb.store.rows import ActionRow, RunRow, TaskRow

__all__ = [
    "ACTION_FIELDS",
    "RUN_FIELDS",
    "TASK_FIELDS",
    "TRIGGER_FIELDS",
    "Condition",
    "ListedAction",
    "ListedTask",
    "ListedTrigger",
    "Page",
    "TreeSize",
    "list_actions",
    "list_deployed_tasks",
    "list_root_actions",
    "list_triggers",
    "listed_row",
    "tree_size",
]

Condition = tuple[str, Sequence[Any]]
"""A part of a WHERE clause over the fields below, and its values."""


@dataclass(slots=True)
class ListedAction:
    """An action as a list shows it; that of a run is its root. Times are nanoseconds since the epoch, UTC."""

    run: str
    name: str
    parent: str
    kind: str
    task: str
    version: str
    short_name: str
    environment: str
    group: str
    phase: str
    queued_ns: int
    initializing_ns: int | None
    started_ns: int | None
    ended_ns: int | None
    attempt: int
    updated_ns: int
    """When the last of what is known of it happened."""
    labels: dict[str, str] | None
    parent_run: str
    lineage: str
    """How the run comes from its parent run; empty for an action below the root."""


@dataclass(slots=True)
class ListedTask:
    """A version of a deployed task as a list shows it."""

    task: str
    version: str
    deployed_ns: int
    environment: str
    short_name: str
    short_description: str
    key: str
    """Its name and version: what the order falls back on."""


@dataclass(slots=True)
class ListedTrigger:
    """A trigger of a deployed task as a list shows it."""

    task: str
    name: str
    version: str
    deployed_ns: int
    changed_ns: int
    """When it was deployed, paused or resumed last."""
    fired_ns: int | None
    is_active: bool
    automation: str
    """As JSON; see `flyte_nb.store.deployment_events.TriggerDeployed`."""
    time_inputs: list[str]
    key: str
    """Its task and name: what the order falls back on."""


Row = TypeVar("Row", ListedAction, ListedTask, ListedTrigger)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: list[Row]
    cursor: tuple[Any, str] | None
    """Where the next page begins; None behind the last."""


@dataclass(frozen=True, slots=True)
class TreeSize:
    """How large the tree of a run is."""

    actions: int
    depth: int
    """Levels, the root's included."""


UPDATED = "greatest(queued_ns, coalesce(initializing_ns, 0), coalesce(started_ns, 0), coalesce(ended_ns, 0))"
ROOT = "a0"
VERSION_CHARS = 32
VERSION = f"left(coalesce(t.settings->>'version', t.deep_digest, ''), {VERSION_CHARS})"
ROOTS = f"""SELECT *, {UPDATED} AS updated_ns FROM (SELECT
    r.run, coalesce(a.action, 'a0') AS name, '' AS parent, coalesce(a.kind, 'task') AS kind, r.task,
    {VERSION} AS version,
    coalesce(t.short_name, '') AS short_name, r.environment, '' AS "group", r.phase,
    r.started_ns AS queued_ns, a.initializing_ns, a.started_ns, r.ended_ns, coalesce(a.attempt, 1) AS attempt, l.labels,
    r.parent_run, coalesce(r.options->>'lineage', '') AS lineage
    FROM store.runs r LEFT JOIN store.actions a ON a.run = r.run AND a.action = 'a0'
    LEFT JOIN store.tasks t ON t.run = r.run AND t.spec = a.spec LEFT JOIN store.current_labels l ON l.run = r.run)"""
ACTIONS = f"""SELECT *, {UPDATED} AS updated_ns FROM (SELECT
    a.run, a.action AS name, a.parent, a.kind, a.task, {VERSION} AS version,
    coalesce(t.short_name, '') AS short_name, '' AS environment, a.group_name AS "group", a.phase, a.queued_ns,
    a.initializing_ns, a.started_ns, a.ended_ns, a.attempt, NULL AS labels, '' AS parent_run, '' AS lineage
    FROM store.actions a LEFT JOIN store.tasks t ON t.run = a.run AND t.spec = a.spec)"""
TASKS = """SELECT task, version, deployed_ns, environment, short_name, short_description, task || ':' || version AS key,
    coalesce(settings->>'entrypoint', '') = 'true' AS is_entrypoint FROM store.known_deployed_tasks"""
TRIGGERS = """SELECT task, name, version, deployed_ns, changed_ns, fired_ns, is_active, automation, time_inputs,
    task || ':' || name AS key FROM store.known_triggers"""
RUN_FIELDS = {
    "name": "run",
    "phase": "phase",
    "task_name": "task",
    "task_version": "version",
    "created_at": "queued_ns",
    "updated_at": "updated_ns",
    "labels": "labels",
}
"""What runs can be filtered and sorted by, and the column that holds it."""
ACTION_FIELDS = {
    "name": "name",
    "phase": "phase",
    "task_name": "task",
    "task_version": "version",
    "parent_name": "parent",
    "group": '"group"',
    "action_type": "kind",
    "created_at": "queued_ns",
    "updated_at": "updated_ns",
}
"""The same of actions."""
TASK_FIELDS = {
    "name": "task",
    "version": "version",
    "environment": "environment",
    "created_at": "deployed_ns",
    "deployed_at": "deployed_ns",
}
"""The same of deployed tasks."""
TRIGGER_FIELDS = {
    "name": "name",
    "task_name": "task",
    "task_version": "version",
    "created_at": "deployed_ns",
    "updated_at": "changed_ns",
}
"""The same of triggers."""


def list_root_actions(
    home: Home,
    conditions: Sequence[Condition] = (),
    *,
    order: str = "created_at",
    descending: bool = False,
    after: tuple[Any, str] | None = None,
    limit: int = 100,
) -> Page[ListedAction]:
    """A page of runs, each as its root action.

    Args:
        home: the store.
        conditions: all of them hold for every row.
        order: a name of RUN_FIELDS.
        descending: the greatest first.
        after: the cursor of the page before.
        limit: at most so many rows.

    Raises:
        flyte_nb.store.errors.StoreError: the store cannot be read.
    """
    return _page(home, ROOTS, ListedAction, RUN_FIELDS[order], "run", conditions, descending, after, limit)


def list_actions(
    home: Home,
    run: str,
    conditions: Sequence[Condition] = (),
    *,
    order: str = "created_at",
    descending: bool = False,
    after: tuple[Any, str] | None = None,
    limit: int | None = 100,
) -> Page[ListedAction]:
    """A page of the actions of a run; see `list_root_actions`.

    Args:
        home: the store.
        run: name of the run.
        conditions: all of them hold for every row.
        order: a name of ACTION_FIELDS.
        descending: the greatest first.
        after: the cursor of the page before.
        limit: at most so many rows; None for all.
    """
    wanted = [("run = ?", [run]), *conditions]
    return _page(home, ACTIONS, ListedAction, ACTION_FIELDS[order], "name", wanted, descending, after, limit)


def listed_row(run: RunRow, action: ActionRow, task: TaskRow | None) -> ListedAction:
    """What `list_root_actions` and `list_actions` say of an action whose rows were read already.

    Args:
        run: its run.
        action: the action.
        task: its task as it stood in the run; None of a trace or condition.
    """
    is_root = action.name == ROOT
    queued_ns = run.started_ns if is_root else action.queued_ns
    ended_ns = run.ended_ns if is_root else action.ended_ns
    return ListedAction(
        run=run.name,
        name=action.name,
        parent="" if is_root else action.parent,
        kind=action.kind,
        task=run.task if is_root else action.task,
        version=(task.settings.get("version") or task.deep_digest)[:VERSION_CHARS] if task is not None else "",
        short_name=task.short_name if task is not None else "",
        environment=run.environment if is_root else "",
        group="" if is_root else action.group,
        phase=run.phase if is_root else action.phase,
        queued_ns=queued_ns,
        initializing_ns=action.initializing_ns,
        started_ns=action.started_ns,
        ended_ns=ended_ns,
        attempt=action.attempt,
        updated_ns=max(queued_ns, action.initializing_ns or 0, action.started_ns or 0, ended_ns or 0),
        labels=(run.labels or None) if is_root else None,
        parent_run=run.parent_run if is_root else "",
        lineage=run.options.get("lineage", "") if is_root else "",
    )


def list_deployed_tasks(
    home: Home,
    conditions: Sequence[Condition] = (),
    *,
    order: str = "created_at",
    descending: bool = False,
    after: tuple[Any, str] | None = None,
    limit: int = 100,
) -> Page[ListedTask]:
    """A page of the versions of deployed tasks; `order` is a name of TASK_FIELDS. See `list_root_actions`."""
    return _page(home, TASKS, ListedTask, TASK_FIELDS[order], "key", conditions, descending, after, limit)


def list_triggers(
    home: Home,
    conditions: Sequence[Condition] = (),
    *,
    order: str = "created_at",
    descending: bool = False,
    after: tuple[Any, str] | None = None,
    limit: int = 100,
) -> Page[ListedTrigger]:
    """A page of the triggers of deployed tasks; `order` is a name of TRIGGER_FIELDS. See `list_root_actions`."""
    return _page(home, TRIGGERS, ListedTrigger, TRIGGER_FIELDS[order], "key", conditions, descending, after, limit)


def tree_size(home: Home, run: str) -> TreeSize:
    """How large the tree of a run is; zero of one that is not there."""
    query = """WITH RECURSIVE levels AS (
            SELECT action, 1 AS level FROM store.actions WHERE run = $1 AND parent = ''
            UNION ALL
            SELECT a.action, level + 1 FROM store.actions a JOIN levels ON a.parent = levels.action WHERE a.run = $1
        ) SELECT count(*), coalesce(max(level), 0) FROM levels"""
    with Database.of(home).session() as connection:
        row = connection.execute(query, [run]).fetchone()
    return TreeSize(*(row or (0, 0)))


def _page(
    home: Home,
    rows: str,
    kind: type[Row],
    column: str,
    name: str,
    conditions: Sequence[Condition],
    descending: bool,
    after: tuple[Any, str] | None,
    limit: int | None,
) -> Page[Row]:
    direction, behind = ("DESC", "<") if descending else ("ASC", ">")
    every: list[Condition] = list(conditions)
    if after is not None:
        every.append((f"({column}, {name}) {behind} (?, ?)", after))
    where = " AND ".join(["true", *(text for text, _ in every)])
    columns = ", ".join(f'"{one.name}"' for one in fields(kind))
    query = f"""SELECT {columns}, {column} FROM ({rows}) WHERE {where}
        ORDER BY {column} {direction}, {name} {direction} {"" if limit is None else f"LIMIT {int(limit) + 1}"}"""
    with Database.of(home).session() as connection:
        found = connection.execute(query, [value for _, values in every for value in values]).fetchall()
    listed = [kind(*row[:-1]) for row in found[:limit]]
    goes_on = limit is not None and len(found) > limit
    return Page(listed, (found[limit - 1][-1], getattr(listed[-1], name)) if goes_on and limit else None)
