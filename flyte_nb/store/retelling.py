"""A run as its events once more: what `flyte_nb.store.batch` made rows of, made of the rows.

Folding the events of a run gives its rows, and these events again give equal ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    ErrorRecord,
    Event,
    LogWritten,
    ReportWritten,
    RunEnded,
    RunLabelled,
    RunStarted,
    TaskDeclared,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["retold"]

Row = dict[str, Any]


def retold(connection: DuckDBPyConnection, run: str) -> Iterator[Event]:
    """The events of a run that is over.

    Args:
        connection: an open database.
        run: name of the run.
    """
    (row,) = rows(connection, "FROM store.runs WHERE run = $1", run)
    yield RunStarted(
        run,
        row["started_ns"],
        row["task"],
        annotations=json.loads(row["annotations"]),
        notebook=row["notebook"],
        cell=row["cell"],
        parent_run=row["parent_run"],
        options=json.loads(row["options"]),
        environment=row["environment"],
        code=row["code"] or "",
    )
    for task in rows(connection, "FROM store.tasks WHERE run = $1 ORDER BY rowid", run):
        yield task_declared(task)
    attempts: dict[str, list[Row]] = {}
    for attempt in rows(connection, "FROM store.attempts WHERE run = $1 ORDER BY rowid", run):
        attempts.setdefault(attempt["action"], []).append(attempt)
    for action in rows(connection, "FROM store.actions WHERE run = $1 ORDER BY rowid", run):
        yield action_started(action)
        for attempt in attempts.get(action["action"], ()):
            span = (attempt["started_ns"], attempt["ended_ns"])
            yield AttemptEnded(run, action["action"], attempt["attempt"], attempt["phase"], *span, error_of(attempt))
        if action["ended_ns"] is not None:
            yield action_ended(action)
    for log in rows(connection, "FROM store.logs WHERE run = $1 ORDER BY rowid", run):
        yield LogWritten(**log)
    for report in rows(connection, "FROM store.reports WHERE run = $1 ORDER BY rowid", run):
        yield ReportWritten(**report)
    yield RunEnded(run, row["ended_ns"], row["phase"], error_of(row))
    for label in rows(connection, "FROM store.labels WHERE run = $1 ORDER BY rowid", run):
        yield RunLabelled(run, label["at_ns"], {label["key"]: label["value"]})


def task_declared(row: Row) -> TaskDeclared:
    row["inputs"], row["outputs"] = pairs(row["inputs"]) or [], pairs(row["outputs"]) or []
    row["settings"] = json.loads(row["settings"])
    return TaskDeclared(**row)


def action_started(row: Row) -> ActionStarted:
    return ActionStarted(
        row["run"],
        row["action"],
        row["parent"],
        row["kind"],
        row["task"],
        row["spec"],
        row["sequence"],
        row["queued_ns"],
        row["inputs"] or b"",
        row["group_name"],
        row["position"],
        pairs(row["trace_inputs"]),
        json.loads(row["custom_context"] or "null"),
    )


def action_ended(row: Row) -> ActionEnded:
    return ActionEnded(
        row["run"],
        row["action"],
        row["attempt"],
        row["phase"],
        row["started_ns"] if row["started_ns"] is not None else row["ended_ns"],
        row["ended_ns"],
        row["outputs"],
        error_of(row),
        row["source"],
        row["note"],
        row["isolation"] or "",
        row["initializing_ns"],
    )


def error_of(row: Row) -> ErrorRecord | None:
    return ErrorRecord(**json.loads(row["error"])) if row["error"] is not None else None


def pairs(declared: list[dict[str, str]] | None) -> list[tuple[str, str]] | None:
    return None if declared is None else [(item["name"], item["type"]) for item in declared]


def rows(connection: DuckDBPyConnection, query: str, run: str) -> Iterator[Row]:
    """The answer's rows, each by its columns' names."""
    answer = connection.execute(query, [run])
    names = [column[0] for column in answer.description or ()]
    return (dict(zip(names, row, strict=True)) for row in answer.fetchall())
