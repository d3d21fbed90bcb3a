"""Runs as a list that people search and filter: pages of it, what there is to filter by, and whether it has changed.

revision(home)              cheap, the database stays closed: ask every second
list_runs(home, wanted)     the newest; then on from the cursor that came with a page
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flyte_nb.store.database import Database
from flyte_nb.store.home import Home
from flyte_nb.store.queries import RUN_COLUMNS, run_row
from flyte_nb.store.rows import RunRow
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.store.segments import Segment, is_abandoned, list_segments

__all__ = [
    "Activity",
    "Choices",
    "RunFilter",
    "RunPage",
    "activity",
    "amendment_count",
    "choices",
    "cursor_of",
    "list_runs",
    "revision",
]

CHOICES = 200
"""At most so many tasks, notebooks and labels are offered, those of the newest runs."""
FROM_RUNS = "FROM store.runs LEFT JOIN store.current_labels USING (run)"
SEARCHED = "concat_ws(chr(10), run, task, notebook, cast(labels AS VARCHAR), error->>'code', error->>'message')"
"""What a searched text may stand in."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are wanted; what is empty asks nothing."""

    text: str = ""
    """Stands in the name, task, notebook, labels or error, in whatever case; each of its words."""
    phases: Sequence[str] = ()
    task: str = ""
    """Full name, or its last part."""
    notebook: str = ""
    label: str = ""
    """`key=value`, or `key` for any value."""
    since_ns: int | None = None
    """Started then or later."""
    until_ns: int | None = None
    """Started before."""


@dataclass(frozen=True, slots=True)
class RunPage:
    rows: list[RunRow]
    """Newest first."""
    total: int
    """How many runs are wanted in all."""
    cursor: str
    """Where the next page begins; empty behind the last."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the runs can be filtered by, as the newest runs have it, sorted."""

    tasks: list[str]
    notebooks: list[str]
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Activity:
    live_runs: int
    running_actions: int


def revision(home: Home) -> str:
    """Names the state of a store: it changes with whatever is recorded, in whichever process. Opens no database."""
    try:
        segments = [(segment.name, segment.size_bytes, has_ended(segment)) for segment in list_segments(home.journals)]
    except FileNotFoundError:
        return "empty"  # nothing was ever recorded there
    try:
        database = os.stat(home.database).st_ino  # a pruned one is a new file
    except FileNotFoundError:
        database = 0
    return hashlib.blake2b(repr((segments, database)).encode(), digest_size=8).hexdigest()


def amendment_count(home: Home) -> int:
    """How often what had ended was amended: a run labelled, or a failed action tried again. A number that grows."""
    query = "SELECT (SELECT count(*) FROM store.labels) + (SELECT count(*) FROM store.attempts)"
    with Database.of(home).session() as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def list_runs(home: Home, wanted: RunFilter, cursor: str = "", limit: int = 100) -> RunPage:
    """A page of runs, newest first.

    Args:
        home: the store.
        wanted: which runs.
        cursor: where the page begins: the cursor of the one before; empty for the newest.
        limit: at most so many rows.

    Raises:
        ValueError: there is no such cursor.
        flyte_nb.store.errors.StoreError: the store cannot be read.
    """
    before = position_of(cursor) if cursor else None
    where, values = conditions(wanted)
    page, page_values = (f"{where} AND (started_ns, run) < (?, ?)", [*values, *before]) if before else (where, values)
    with Database.of(home).session() as connection:
        counted = connection.execute(f"SELECT count(*) {FROM_RUNS} WHERE {where}", values).fetchone()
        answer = connection.execute(
            f"SELECT {RUN_COLUMNS} {FROM_RUNS} WHERE {page} ORDER BY started_ns DESC, run DESC LIMIT {int(limit) + 1}",
            page_values,
        )
        names = [column[0] for column in answer.description or ()]
        rows = [run_row(dict(zip(names, row, strict=True))) for row in answer.fetchall()]
    following = cursor_of(rows[limit - 1]) if len(rows) > limit else ""
    return RunPage(rows[:limit], counted[0] if counted else 0, following)


def choices(home: Home) -> Choices:
    """What the runs of a store can be filtered by."""
    newest = "GROUP BY ALL ORDER BY max(started_ns) DESC"
    queries = (
        f"SELECT task FROM store.runs {newest}",
        f"SELECT notebook FROM store.runs WHERE notebook <> '' {newest}",
        f"""SELECT entry.key || '=' || entry.value AS label
            FROM (SELECT started_ns, unnest(map_entries(labels)) AS entry {FROM_RUNS} WHERE labels IS NOT NULL)
            {newest}""",
    )
    with Database.of(home).session() as connection:
        found = [connection.execute(f"{query} LIMIT {CHOICES}").fetchall() for query in queries]
    tasks, notebooks, labels = (sorted(value for (value,) in rows) for rows in found)
    return Choices(tasks, notebooks, labels)


def activity(home: Home) -> Activity:
    """What goes on in a store."""
    over = list(PHASES_OVER)
    with Database.of(home).session() as connection:
        row = connection.execute(
            """WITH live AS (SELECT run FROM store.runs WHERE NOT list_contains($1, phase))
            SELECT (SELECT count(*) FROM live), count(*) FROM store.actions
            WHERE phase = 'running' AND run IN (FROM live)""",
            [over],
        ).fetchone()
    return Activity(*(row or (0, 0)))


def conditions(wanted: RunFilter) -> tuple[str, list[Any]]:
    """The filter as SQL, and its values."""
    key, has_value, value = wanted.label.partition("=")
    every: list[tuple[str, list[Any]]] = [
        *((f"contains(lower({SEARCHED}), ?)", [word]) for word in wanted.text.lower().split()),
        *([("list_contains(?, phase)", [list(wanted.phases)])] if wanted.phases else []),
        *([("(task = ? OR ends_with(task, '.' || ?))", [wanted.task, wanted.task])] if wanted.task else []),
        *([("notebook = ?", [wanted.notebook])] if wanted.notebook else []),
        *([("labels[?] = ?", [key, value])] if has_value else []),
        *([("map_contains(labels, ?)", [key])] if key and not has_value else []),
        *([("started_ns >= ?", [wanted.since_ns])] if wanted.since_ns is not None else []),
        *([("started_ns < ?", [wanted.until_ns])] if wanted.until_ns is not None else []),
    ]
    return " AND ".join(["true", *(text for text, _ in every)]), [value for _, values in every for value in values]


def cursor_of(row: RunRow) -> str:
    """The place behind a run in the list; of two runs the later has the greater one, as text."""
    return f"{row.started_ns}-{row.name}"


def position_of(cursor: str) -> tuple[int, str]:
    started, _, run = cursor.partition("-")
    if not (started.isdecimal() and run):
        raise ValueError(f"{cursor!r} is not a cursor: take the one that came with the page before, or none")
    return int(started), run


def has_ended(segment: Segment) -> bool:
    """Whether the process that wrote the segment is known to have ended, or the segment is gone."""
    try:
        return is_abandoned(segment)
    except FileNotFoundError:  # folded and deleted just now
        return True
