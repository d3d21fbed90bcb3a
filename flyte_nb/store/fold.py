"""Folding: what journals gained since the last time is copied into the database, once, in one transaction.

    journals -> Batch -> tables, and how far each segment was read, all committed together

So a fold that dies anywhere loses nothing and repeats nothing. It also finds out about the dead: the unfinished
runs of a process that has ended are aborted, and its journal is deleted once the database holds it safely: when the
database is closed, so that nobody who asks has to wait for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flyte_nb.store.batch import Batch, json_text
from flyte_nb.store.errors import StoreWarning
from flyte_nb.store.events import ErrorRecord, decode_event
from flyte_nb.store.frames import read_frames
from flyte_nb.store.home import Home
from flyte_nb.store.journal import lock_path
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.store.segments import HEADER_START, Segment, find_owner, is_abandoned, list_segments
from flyte_nb.store.transactions import transaction
from flyte_nb.store.value_rows import ValueRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Goal", "fold"]

Damage = tuple[str, int, int, str]
"""segment, start_bytes, end_bytes, reason"""
Goal = dict[str, int]
"""Which segments are to be folded, and how far."""

EVENTS_BETWEEN_LOOKS = 100
"""How many events are read before a fold asks again whether its turn is over."""


def never() -> bool:
    """Nobody waits."""
    return False


def fold(
    connection: DuckDBPyConnection,
    home: Home,
    spent: set[Path],
    is_turn_over: Callable[[], bool] = never,
    goal: Goal | None = None,
) -> Goal | None:
    """Brings the database up to date with every journal.

    Args:
        connection: an open database that is ours alone.
        home: where the journals are.
        spent: files of journals that the database holds all of, and that will not grow: they are left out. This fold
            adds its own; they can be deleted once the database is closed.
        is_turn_over: whether to stop for now, because others wait for the database; asked every hundred events.
        goal: what a fold that was stopped returned; what journals gained since then is left to the next.

    Returns:
        None, or how far it has to go yet, when it was stopped.
    """
    abandoned = {segment.journal for segment in list_segments(home.journals, spent) if is_abandoned(segment)}
    segments = list_segments(home.journals, spent)  # again: an abandoned journal has its final length here
    folded = folded_bytes(connection, segments)
    due = {
        segment.name: segment.size_bytes if goal is None or segment.journal in abandoned else goal.get(segment.name, 0)
        for segment in segments
    }
    fresh = [segment for segment in segments if due[segment.name] > folded.get(segment.name, 0)]
    if not fresh and not abandoned:
        return None
    damage: list[Damage] = []
    read: dict[str, int] = {}
    is_stopped = False
    with transaction(connection):
        batch = Batch()
        for segment in fresh:
            end, is_stopped = read_segment(segment, folded.get(segment.name, 0), batch, damage, is_turn_over)
            read[segment.name] = end
            if is_stopped:
                break
            if end < segment.size_bytes and segment.journal in abandoned:
                damage.append((segment.name, end, segment.size_bytes, "torn when its process ended"))
        write_batch(connection, batch)
        write_folded_bytes(connection, read)
        append_rows(connection, "damage", damage)
        if not is_stopped:
            for journal in abandoned:
                abort_runs(connection, [segment for segment in segments if segment.journal == journal][-1])
    for name, start, end, reason in damage:
        message = f"{end - start} bytes of the journal {name} are lost ({reason}); all else is whole."
        warnings.warn(message, StoreWarning, stacklevel=2)
    if is_stopped:
        return due
    spent.update(files_spent(segments, folded | read, abandoned))
    return None


def read_segment(
    segment: Segment, offset: int, batch: Batch, damage: list[Damage], is_turn_over: Callable[[], bool]
) -> tuple[int, bool]:
    """Adds the segment's events from an offset on to the batch.

    Returns:
        The offset behind the last event, and whether the turn was over before the end.
    """

    def note_damage(start: int, end: int) -> None:
        damage.append((segment.name, start, end, "damaged on the disk"))

    looks_at = batch.size + EVENTS_BETWEEN_LOOKS
    for payloads, end in read_frames(segment.path, offset, note_damage):
        for payload in payloads:
            if payload.startswith(HEADER_START):
                continue
            try:
                batch.add(decode_event(payload), segment.journal)
            except msgspec.MsgspecError as error:
                damage.append((segment.name, end - len(payload), end, f"not an event: {error}"))
        offset = end
        if batch.size >= looks_at:
            looks_at = batch.size + EVENTS_BETWEEN_LOOKS
            if is_turn_over():
                return offset, True
    return offset, False


def write_batch(connection: DuckDBPyConnection, batch: Batch) -> None:
    """Adds the batch to the tables."""
    append_rows(connection, "runs", batch.new_runs())
    for patch in batch.patched_runs():
        connection.execute(
            """UPDATE store.runs SET phase = coalesce($1, phase), ended_ns = coalesce($2, ended_ns),
                error = coalesce($3, error), action_count = action_count + $4 WHERE run = $5""",
            patch,
        )
    append_rows(connection, "labels", batch.labels)
    append_rows(connection, "tasks", batch.tasks)
    append_rows(connection, "actions", batch.new_actions())
    merge_actions(connection, batch.patched_actions())
    append_rows(connection, "attempts", batch.attempts)
    append_values(connection, batch.action_values)
    append_rows(connection, "logs", batch.logs)
    append_rows(connection, "deployed_tasks", batch.deployed_tasks)
    append_rows(connection, "triggers", batch.triggers)
    append_rows(connection, "trigger_changes", batch.trigger_changes)
    if batch.reports:
        keys = [f"{run}/{action}" for run, action in batch.reports]
        connection.execute("DELETE FROM store.reports WHERE list_contains($1, run || '/' || action)", [keys])
        append_rows(connection, "reports", list(batch.reports.values()))


def append_values(connection: DuckDBPyConnection, rows: Sequence[ValueRow]) -> None:
    """Adds values. As text first: to check JSON a column at a time takes half as long as a value at a time."""
    if not rows:
        return
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE new_values (run VARCHAR, action VARCHAR, direction VARCHAR, position INTEGER,
            digest VARCHAR, size_bytes BIGINT, preview VARCHAR, value VARCHAR)"""
    )
    append_rows(connection, "new_values", rows, schema="temp")
    connection.execute("INSERT INTO store.action_values FROM temp.new_values")
    connection.execute("DROP TABLE temp.new_values")


def merge_actions(connection: DuckDBPyConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Brings actions that were queued before up to date; one whose beginning was lost gets a row all the same."""
    if not rows:
        return
    connection.execute("CREATE OR REPLACE TEMP TABLE patched_actions AS FROM store.actions LIMIT 0")
    append_rows(connection, "patched_actions", rows, schema="temp")
    connection.execute(
        """
        MERGE INTO store.actions AS known USING patched_actions AS patch
        ON known.run = patch.run AND known.action = patch.action
        WHEN MATCHED THEN UPDATE SET
            started_ns = patch.started_ns, ended_ns = patch.ended_ns, attempt = patch.attempt, phase = patch.phase,
            error = CASE WHEN patch.ended_ns IS NULL THEN coalesce(patch.error, known.error) ELSE patch.error END,
            source = patch.source, note = patch.note, isolation = coalesce(patch.isolation, known.isolation),
            outputs = patch.outputs, initializing_ns = patch.initializing_ns
        WHEN NOT MATCHED THEN INSERT
        """
    )
    connection.execute("DROP TABLE temp.patched_actions")


def abort_runs(connection: DuckDBPyConnection, last: Segment) -> None:
    """Ends what a process left unfinished, as of the last moment it wrote.

    Args:
        last: the last segment of its journal.
    """
    owner = find_owner(last)
    process = "The process" if owner is None else f"Process {owner.pid} on {owner.host}"
    error = json_text(ErrorRecord("ProcessEnded", "system", f"{process} that ran it ended before the run did."))
    ended = [last.changed_ns, error, last.journal, list(PHASES_OVER)]
    connection.execute(
        """UPDATE store.actions SET phase = 'aborted', ended_ns = $1, error = $2
            WHERE NOT list_contains($4, phase) AND run IN (SELECT run FROM store.runs WHERE journal = $3)""",
        ended,
    )
    connection.execute(
        """UPDATE store.runs SET phase = 'aborted', ended_ns = $1, error = $2
            WHERE NOT list_contains($4, phase) AND journal = $3""",
        ended,
    )


def files_spent(segments: Sequence[Segment], folded: dict[str, int], abandoned: Collection[str]) -> Iterator[Path]:
    """What will never grow again, once all of it is folded: journals whose process ended, and full segments."""
    for segment in segments:
        if segment.journal in abandoned:
            yield segment.path
            yield lock_path(segment.path.parent, segment.journal)
    for segment, following in pairwise(segments):
        if segment.journal == following.journal and folded[segment.name] == segment.size_bytes:
            yield segment.path


def folded_bytes(connection: DuckDBPyConnection, segments: Sequence[Segment]) -> dict[str, int]:
    """How far each segment was folded."""
    names = [segment.name for segment in segments]
    rows = connection.execute(
        "SELECT segment, folded_bytes FROM store.segments WHERE list_contains($1, segment)", [names]
    ).fetchall()
    return dict(rows)


def write_folded_bytes(connection: DuckDBPyConnection, folded: dict[str, int]) -> None:
    connection.execute("DELETE FROM store.segments WHERE list_contains($1, segment)", [list(folded)])
    append_rows(connection, "segments", list(folded.items()))


def append_rows(
    connection: DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]], schema: str = "store"
) -> None:
    """Appends rows to a table; the fastest way into DuckDB that needs no other library."""
    if rows:
        with connection.appender(f"{schema}.{table}") as appender:
            appender.append_rows(rows)
