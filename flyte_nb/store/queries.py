"""The store as others use it: what was recorded, as rows, and SQL over it.

    Store.open().runs(phase="failed")
    Store.open().sql("SELECT run, duration_seconds FROM runs")

Every answer includes what was recorded a moment ago, in whichever process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import starmap
from typing import TYPE_CHECKING, Any

from flyte_nb.store.database import Database
from flyte_nb.store.errors import missing
from flyte_nb.store.events import ErrorRecord, RunLabelled, encode_event
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.owner import Owner
from flyte_nb.store.rows import ActionRow, AttemptRow, LogRow, OutcomeRow, RunRow, TaskRow
from flyte_nb.store.segments import find_owner, list_segments
from flyte_nb.store.snapshot import snapshot
from flyte_nb.store.sql import has_pandas, select
from flyte_nb.store.values import ValueStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Store", "check_limit", "connect"]

RUN_COLUMNS = """run AS name, task, phase, started_ns, ended_ns, labels, annotations, notebook, cell, parent_run,
    environment, options, error, action_count, coalesce(code, '') AS code"""
ACTION_COLUMNS = """run, action AS name, parent, kind, task, spec, group_name AS "group", phase, queued_ns, started_ns,
    ended_ns, attempt, error, source, note, coalesce(isolation, '') AS "where", inputs, outputs, trace_inputs,
    initializing_ns"""
OUTCOME_COLUMNS = "action, parent, kind, spec, phase, note, coalesce(inputs, ''::BLOB), outputs"
TASK_COLUMNS = """task, spec, own_digest, deep_digest, source, inputs, outputs, settings, types, short_name, place,
    isolation, isolation_reason"""

Record = dict[str, Any]


class Store:
    """What was recorded in a home. Cheap to make; every method may be called from any thread.

    All methods raise `flyte_nb.store.errors.StoreError` when the store cannot be read.

    Args:
        home: the store's folder.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._database = Database.of(home)

    @classmethod
    def open(cls, home: Home | str | os.PathLike[str] | None = None) -> Store:
        """The store of a home; None finds it (see `flyte_nb.store.home`)."""
        return cls(home if isinstance(home, Home) else Home.find(home))

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
    ) -> list[RunRow]:
        """Runs, newest first.

        Args:
            limit: at most so many; None for all.
            phase: only runs in this phase, or in one of these.
            task: only runs of this task, by full name or by its last part.
            labels: only runs that have all of these labels.
            notebook: only runs of this notebook or script.
            since: only runs that started then or later.
            until: only runs that started before.
        """
        phases = [phase] if isinstance(phase, str) else phase
        conditions: list[tuple[str, Sequence[Any] | None]] = [
            ("list_contains(?, phase)", phases and [list(phases)]),
            ("(task = ? OR ends_with(task, '.' || ?))", task and [task, task]),
            ("notebook = ?", notebook and [notebook]),
            ("started_ns >= ?", [nanoseconds(since)] if since else None),
            ("started_ns < ?", [nanoseconds(until)] if until else None),
            *(("labels[?] = ?", [key, value]) for key, value in (labels or {}).items()),
        ]
        used = [(text, values) for text, values in conditions if values]
        where = " AND ".join(["true", *(text for text, _ in used)])
        values = [value for _, values in used for value in values]
        return self._runs(f"WHERE {where} ORDER BY started_ns DESC {limit_text(limit)}", values)

    def run(self, name: str) -> RunRow:
        """One run.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        rows = self._runs("WHERE run = ?", [name])
        if not rows:
            known = [row[0] for row in self._rows("SELECT run FROM store.runs ORDER BY started_ns DESC LIMIT 10000")]
            raise missing("run", name, known)
        return rows[0]

    def phase(self, run: str) -> str:
        """The phase of a run; cheaper than all of its row.

        Raises:
            KeyError: there is no such run; the message names near ones.
        """
        rows = self._rows("SELECT phase FROM store.runs WHERE run = ?", [run])
        return str(rows[0][0]) if rows else self.run(run).phase

    def repeated(self, runs: Sequence[str]) -> set[str]:
        """Those of the runs that others rerun, recover or fork."""
        query = """SELECT DISTINCT parent_run FROM store.runs
            WHERE list_contains(?, parent_run) AND options->>'lineage' IS NOT NULL"""
        return {name for (name,) in self._rows(query, [list(runs)])}

    def actions(self, run: str) -> list[ActionRow]:
        """All actions of a run, in the order in which they were queued: parents before their children."""
        query = f"SELECT {ACTION_COLUMNS} FROM store.actions WHERE run = ? ORDER BY queued_ns, rowid"
        return [action_row(record) for record in self._records(query, [run])]

    def outline(self, run: str) -> list[tuple[str, str, str]]:
        """(action, parent, task) of all actions of a run, parents before their children; their values stay unread."""
        return self._rows(
            "SELECT action, parent, task FROM store.actions WHERE run = ? ORDER BY queued_ns, rowid", [run]
        )

    def outcomes(self, run: str) -> list[OutcomeRow]:
        """What of each action of a run another run may reuse, in no order."""
        query = f"SELECT {OUTCOME_COLUMNS} FROM store.actions WHERE run = ?"
        return list(starmap(OutcomeRow, self._rows(query, [run])))

    def action(self, run: str, action: str) -> ActionRow:
        """One action, by its name or an unambiguous beginning of it.

        Raises:
            KeyError: there is none, or more than one.
        """
        query = f"SELECT {ACTION_COLUMNS} FROM store.actions WHERE run = ? AND starts_with(action, ?)"
        found = [action_row(record) for record in self._records(query, [run, action])]
        exact = [row for row in found if row.name == action]
        if exact or len(found) == 1:
            return (exact or found)[0]
        if found:
            names = ", ".join(row.name for row in found[:5])
            raise KeyError(f"{len(found)} actions of run {run} start with {action!r}: {names}; give more of the name")
        self.run(run)
        known = [row[0] for row in self._rows("SELECT action FROM store.actions WHERE run = ? LIMIT 10000", [run])]
        raise missing(f"action of run {run}", action, known)

    def attempts(self, run: str, action: str) -> list[AttemptRow]:
        """The attempts of an action, in order."""
        query = """SELECT attempt, phase, started_ns, ended_ns, error FROM store.all_attempts
            WHERE run = ? AND action = ? ORDER BY attempt"""
        return [AttemptRow(**with_error(record)) for record in self._records(query, [run, action])]

    def earlier_attempts(self, run: str) -> dict[str, list[AttemptRow]]:
        """The attempts before the last of every action that was retried, in order."""
        query = """SELECT action, attempt, phase, started_ns, ended_ns, error FROM store.attempts
            WHERE run = ? ORDER BY attempt"""
        earlier: dict[str, list[AttemptRow]] = {}
        for record in self._records(query, [run]):
            earlier.setdefault(record.pop("action"), []).append(AttemptRow(**with_error(record)))
        return earlier

    def logs(
        self, run: str, action: str | None = None, limit: int | None = None, after: int | None = None
    ) -> list[LogRow]:
        """What tasks printed, in order.

        Args:
            run: name of the run.
            action: only of this action.
            limit: the last so many; with `after` the first so many behind it.
            after: only what was written later than this time, in nanoseconds.
        """
        where = "run = ? AND (? IS NULL OR action = ?) AND at_ns > ?"
        direction = "DESC" if after is None else ""
        query = f"""SELECT action, attempt, at_ns, stream, text FROM store.logs WHERE {where}
            ORDER BY at_ns {direction}, rowid {direction} {limit_text(limit)}"""
        rows = [LogRow(*row) for row in self._rows(query, [run, action, action, -1 if after is None else after])]
        return rows if after is not None else rows[::-1]

    def tasks(self, run: str) -> list[TaskRow]:
        """The tasks of a run as they stood in it."""
        query = f"SELECT {TASK_COLUMNS} FROM store.tasks WHERE run = ? ORDER BY spec"
        return [task_row(record) for record in self._records(query, [run])]

    def report(self, run: str, action: str) -> str | None:
        """The HTML report of an action; None when it wrote none."""
        rows = self._rows("SELECT html FROM store.reports WHERE run = ? AND action = ?", [run, action])
        return str(rows[0][0]) if rows else None

    def owner(self, run: str) -> tuple[str, Owner | None]:
        """The journal in which a run was recorded, and the process that writes it.

        Returns:
            The journal's name, and its owner; None once the journal is folded and gone.

        Raises:
            KeyError: there is no such run.
        """
        self.run(run)
        journal = str(self._rows("SELECT journal FROM store.runs WHERE run = ?", [run])[0][0])
        segments = [segment for segment in list_segments(self.home.journals) if segment.journal == journal]
        return journal, find_owner(segments[-1]) if segments else None

    def sql(self, query: str, frames: Mapping[str, object] | None = None) -> Any:
        """The answer to one SELECT over the documented views (docs/store.md).

        Args:
            query: the SELECT.
            frames: tables that it may join, by name.

        Returns:
            A pandas frame where pandas is installed, else a `flyte_nb.store.table.Table`.

        Raises:
            QueryError: it is not one SELECT, or it failed; in one line.
        """
        has_pandas()  # imported before others have to wait for it
        with self._database.session() as cursor:
            return select(cursor, query, frames or {})

    def label(self, run: str, labels: Mapping[str, str | None], journal: Journal | None = None) -> None:
        """Sets labels of a run; None takes one away.

        Args:
            run: name of the run.
            labels: the labels.
            journal: records it; None takes a journal of its own.

        Raises:
            KeyError: there is no such run.
        """
        self.run(run)
        event = encode_event(RunLabelled(run, time.time_ns(), dict(labels)))
        if journal is not None:
            journal.append(event)
            journal.flush()
        else:
            own = Journal.create(self.home)
            own.append(event)
            own.close()

    def integrity(self) -> list[str]:
        """What is wrong with the store, a line each; empty when all is well. It reads every value."""
        wrong = [
            f"{end - start} bytes of the journal {segment} are lost: {reason}"
            for segment, start, end, reason in self._rows("FROM store.damage")
        ]
        for table, key in (("runs", "run"), ("actions", "run || '/' || action")):
            twice = self._rows(f"SELECT {key} AS name, count(*) FROM store.{table} GROUP BY name HAVING count(*) > 1")
            wrong += [f"{name} stands {count} times in {table}" for name, count in twice]
        values = ValueStore(self.home)
        digests = self._rows("SELECT DISTINCT digest FROM store.action_values WHERE digest IS NOT NULL")
        wrong += [f"the value {digest} is missing or damaged" for (digest,) in digests if not values.is_intact(digest)]
        return wrong

    def close(self) -> None:
        """Lets the database file go at once instead of after a short while."""
        self._database.close()

    def _runs(self, rest: str, values: Sequence[Any]) -> list[RunRow]:
        query = f"SELECT {RUN_COLUMNS} FROM store.runs LEFT JOIN store.current_labels USING (run) {rest}"
        return [run_row(record) for record in self._records(query, values)]

    def _records(self, query: str, values: Sequence[Any] = ()) -> list[Record]:
        with self._database.session() as cursor:
            answer = cursor.execute(query, list(values))
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._database.session() as cursor:
            return cursor.execute(query, list(values)).fetchall()


def connect(home: str | os.PathLike[str] | None = None) -> DuckDBPyConnection:
    """A DuckDB connection to a copy of the database as it stands now, to keep open as long as you like.

    The views of docs/store.md are there. The copy is read-only, belongs to this connection, and is gone when it is
    closed; runs go on recording meanwhile and do not show in it.

    Args:
        home: the store's folder; None finds it.

    Raises:
        flyte_nb.store.errors.StoreError: the store cannot be read.
    """
    return snapshot(Database.of(Home.find(home)))


def run_row(record: Record) -> RunRow:
    record["labels"] = record["labels"] or {}
    record["annotations"], record["options"] = json.loads(record["annotations"]), json.loads(record["options"])
    return RunRow(**with_error(record))


def action_row(record: Record) -> ActionRow:
    record["inputs"] = bytes(record["inputs"] or b"")
    record["trace_inputs"] = pairs(record["trace_inputs"])
    return ActionRow(**with_error(record))


def task_row(record: Record) -> TaskRow:
    record["inputs"], record["outputs"] = pairs(record["inputs"]), pairs(record["outputs"])
    record["settings"] = json.loads(record["settings"])
    return TaskRow(**record)


def with_error(record: Record) -> Record:
    if record["error"] is not None:
        record["error"] = ErrorRecord(**json.loads(record["error"]))
    return record


def pairs(declared: list[dict[str, str]] | None) -> list[tuple[str, str]] | None:
    return None if declared is None else [(item["name"], item["type"]) for item in declared]


def nanoseconds(moment: datetime) -> int:
    """A time (of the local time zone when it names none) as nanoseconds since the epoch."""
    return round(moment.timestamp() * 1e6) * 1000


def check_limit(limit: int | None) -> None:
    """Checks how many rows are asked for at most.

    Raises:
        ValueError: it is negative.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be 0 or more, got {limit}")


def limit_text(limit: int | None) -> str:
    check_limit(limit)
    return "" if limit is None else f"LIMIT {int(limit)}"
