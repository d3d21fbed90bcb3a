"""Runs that ended with their process (a kernel that was killed, a machine that stopped) and can be recovered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flyte_nb.remote.plain import lineage_of
from flyte_nb.remote.source import source
from flyte_nb.store.rows import RunRow

__all__ = ["find_interrupted", "interrupted_among", "is_interrupted"]

OFFERED_FOR = timedelta(days=3)
RUNS_LOOKED_AT = 20


def find_interrupted(notebook: str) -> list[RunRow]:
    """The interrupted runs of a notebook of the last three days, newest first; those repeated since left out.

    Args:
        notebook: file name of the notebook or script.
    """
    if not source.store.home.journals.is_dir():
        return []  # nothing was ever recorded
    since = datetime.now(UTC) - OFFERED_FOR
    rows = source.runs(notebook=notebook, phase="aborted", since=since, limit=RUNS_LOOKED_AT)
    found = interrupted_among(rows)
    return [row for row in rows if row.name in found]


def interrupted_among(rows: Sequence[RunRow]) -> set[str]:
    """Names of those runs that were interrupted, and that nobody has rerun, recovered or forked since."""
    names = [row.name for row in rows if is_interrupted(row)]
    return set(names) - source.store.repeated(names) if names else set()


def is_interrupted(row: RunRow) -> bool:
    """Whether a run ended with its process and can be recovered; one that a task of another started comes with that."""
    has_died = row.phase == "aborted" and row.error is not None and row.error.code == "ProcessEnded"
    return has_died and row.code != "" and (not row.parent_run or lineage_of(row) != "")
