"""Which runs a store keeps, and what goes with a run: its actions, logs and reports, its files, and then every value
that nothing names any more.

    choose runs -> delete their rows -> forget cached results of their time -> collect what nothing names -> compact

Files that clients of a server put go by the rule of `flyte_nb.store.uploaded`.

Others write meanwhile. A value is put before it is named, so one that was put lately stays, named or not; whoever puts
a value again makes it new (`ValueStore.drop`). A process killed anywhere leaves waste at most, for the next to collect.
"""

from __future__ import annotations

import shutil
import time
import uuid
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from flyte_nb.store.cached_results import remove_idle_locks, remove_results
from flyte_nb.store.compaction import compact
from flyte_nb.store.database import Database
from flyte_nb.store.holdings import Held, Holdings, Stored, folder_bytes, read_holdings, stored_in
from flyte_nb.store.home import Home
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.store.transactions import transaction
from flyte_nb.store.transfer import STAGED
from flyte_nb.store.uploaded import delete_uploaded, unneeded, uploaded_in
from flyte_nb.store.values import ValueStore

__all__ = ["KEEP_LABEL", "Keep", "Pruned", "prune"]

KEEP_LABEL = "keep"
"""A run with this label stays, whatever its value."""
PENDING_SECONDS = 600.0
"""How long a value may take from being put to being named by a record."""
RUNS_AT_ONCE = 1_000
REUSED = "SELECT DISTINCT parent_run FROM store.runs WHERE NOT list_contains($1, phase)"
TABLES = ("runs", "labels", "tasks", "actions", "attempts", "action_values", "logs", "reports")


@dataclass(frozen=True, slots=True)
class Keep:
    """What to keep. Live runs, the runs that they reuse, and runs with the label `keep` always stay.

    Attributes:
        older_than: delete runs that ended so long ago.
        newest: never delete the newest so many; delete all others when nothing else is said.
        size_bytes: then delete the oldest runs until the store is not larger.
    """

    older_than: timedelta | None = None
    newest: int | None = None
    size_bytes: int | None = None


@dataclass(slots=True)
class Pruned:
    """What was deleted, or would be."""

    runs: list[str]
    """Oldest first."""
    cached: int = 0
    values: int = 0
    folders: int = 0
    uploads: int = 0
    """What clients of a server had put, or its runs wrote."""
    pending_bytes: int = 0
    """Of what nothing names, but was written so lately that it may yet be named."""
    size_before_bytes: int = 0
    size_bytes: int = 0
    """Of the store, now or then; of a dry run, roughly."""


def prune(home: Home, keep: Keep, is_dry_run: bool = False) -> Pruned:
    """Deletes runs, and everything that nothing names then.

    Args:
        home: the store.
        keep: what stays.
        is_dry_run: only say what would be deleted.

    Raises:
        flyte_nb.store.errors.StoreError: the store cannot be used.
    """
    database = Database.of(home.ensure())
    now = time.time()
    with database.session() as cursor:
        holdings = read_holdings(cursor, home, KEEP_LABEL)
    forecast = Forecast(home, holdings, keep, now)
    doomed = forecast.choose()
    if is_dry_run:
        return forecast.outcome(doomed)
    used_since_ns = forecast.used_since_ns(doomed)
    size_before_bytes = folder_bytes(home.path)
    pruned = Pruned(delete_runs(database, [held.run for held in doomed]), size_before_bytes=size_before_bytes)
    outworn = [cached.path for cached in holdings.outworn(used_since_ns)]
    remove_results(home.cache, outworn)
    pruned.cached = len(outworn)
    remove_idle_locks(home.cache)
    collect(database, pruned, now)
    if pruned.runs:
        compact(database)
    pruned.size_bytes = folder_bytes(home.path)
    return pruned


class Forecast:
    """What a store would be without some of its runs.

    Args:
        home: the store.
        holdings: what it holds.
        keep: what stays.
        now: seconds since the epoch.
    """

    def __init__(self, home: Home, holdings: Holdings, keep: Keep, now: float) -> None:
        self._holdings = holdings
        self._keep = keep
        self._now = now
        self._size_bytes = folder_bytes(home.path)
        self._values, self._folders = stored_in(home)
        self._uploaded = uploaded_in(home)
        rows_bytes = home.database.stat().st_size
        self._bytes_per_action = rows_bytes / max(1, sum(held.actions for held in holdings.runs))
        self._reused = {held.parent_run for held in holdings.runs if held.ended_ns is None}

    def choose(self) -> list[Held]:
        """The runs to delete, oldest first."""
        keep = self._keep
        removable = [held for held in reversed(self._holdings.runs[keep.newest or 0 :]) if self._is_removable(held)]
        if keep.older_than is None and keep.size_bytes is None:
            return removable if keep.newest is not None else []
        limit_ns = self._limit_ns()
        doomed = [held for held in removable if (held.ended_ns or 0) < limit_ns]
        if keep.size_bytes is None:
            return doomed
        younger = [held for held in removable if (held.ended_ns or 0) >= limit_ns]
        bound = keep.size_bytes

        def surplus_bytes(count: int) -> int:
            return self.outcome(doomed + younger[:count]).size_bytes - bound

        return doomed + younger[: bisect_left(range(len(younger)), 0, key=lambda count: -surplus_bytes(count))]

    def outcome(self, doomed: Sequence[Held]) -> Pruned:
        """What the store would be without these runs."""
        used_since_ns = self.used_since_ns(doomed)
        gone = self._holdings.outworn(used_since_ns)
        runs = [held.run for held in doomed]
        names = self._holdings.names(set(runs), used_since_ns)
        values, pending = waste(self._values, names.values, self._now)
        folders, pending_folders = waste(self._folders, names.folders, self._now, runs)
        uploads = unneeded(self._uploaded, names.uploads, names.folders, runs, self._now)
        freed_bytes = sum(cached.size_bytes for cached in gone) + total_bytes(self._uploaded, uploads)
        freed_bytes += total_bytes(self._values, values) + total_bytes(self._folders, folders)
        freed_bytes += round(sum(held.actions for held in doomed) * self._bytes_per_action)
        pending_bytes = total_bytes(self._values, pending) + total_bytes(self._folders, pending_folders)
        size_bytes = max(0, self._size_bytes - freed_bytes)
        return Pruned(
            runs, len(gone), len(values), len(folders), len(uploads), pending_bytes, self._size_bytes, size_bytes
        )

    def used_since_ns(self, doomed: Sequence[Held]) -> int:
        """Cached results that were neither stored nor used since go with the runs of their time."""
        if self._keep.older_than is not None:
            return self._limit_ns()
        return max((held.ended_ns or 0 for held in doomed), default=0)

    def _limit_ns(self) -> int:
        """Runs that ended before are too old."""
        older_than = self._keep.older_than
        return 0 if older_than is None else round((self._now - older_than.total_seconds()) * 1e9)

    def _is_removable(self, held: Held) -> bool:
        return held.ended_ns is not None and not held.is_labelled and held.run not in self._reused


def delete_runs(database: Database, runs: Sequence[str]) -> list[str]:
    """Deletes every row of these runs, some runs at a time, so that others get their turn.

    Returns:
        The runs that were deleted: those which no live run has begun to reuse.
    """
    deleted: list[str] = []
    for start in range(0, len(runs), RUNS_AT_ONCE):
        with database.alone() as connection, transaction(connection):
            reused = connection.execute(REUSED, [list(PHASES_OVER)]).fetchall()
            some = [run for run in runs[start : start + RUNS_AT_ONCE] if (run,) not in reused]
            for table in TABLES:
                connection.execute(f"DELETE FROM store.{table} WHERE list_contains($1, run)", [some])
            deleted += some
    return deleted


def collect(database: Database, pruned: Pruned, now: float) -> None:
    """Deletes values and folders that nothing names, and counts them."""
    home = database.home
    values, folders = stored_in(home)  # before the names are read: what is put from here on is not looked at
    uploaded = uploaded_in(home)
    with database.session() as cursor:
        names = read_holdings(cursor, home, KEEP_LABEL).names()
    store = ValueStore(home)
    unnamed, pending = waste(values, names.values, now)
    pruned.values = sum(store.drop(digest, now - PENDING_SECONDS) > 0 for digest in unnamed)
    pruned.pending_bytes = total_bytes(values, pending)
    unnamed, pending = waste(folders, names.folders, now, pruned.runs)
    pruned.pending_bytes += total_bytes(folders, pending)
    for name in unnamed:
        delete_folder(home.data / name)
    pruned.folders = len(unnamed)
    uploads = unneeded(uploaded, names.uploads, names.folders, pruned.runs, now)
    for name in uploads:
        delete_uploaded(home, name)
    pruned.uploads = len(uploads)
    for folder in home.path.glob(f"{STAGED}*"):
        if folder.stat().st_mtime < now - PENDING_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def waste(
    stored: Mapping[str, Stored], named: Collection[str], now: float, deleted: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """What is stored and not named.

    Args:
        stored: by name.
        named: the names in use.
        now: seconds since the epoch.
        deleted: names that will not come into use, however lately they were written.

    Returns:
        What can be deleted, and what may yet be named.
    """
    gone = set(deleted)
    unnamed = [name for name in stored if name not in named]
    old = [name for name in unnamed if name in gone or stored[name].changed_seconds < now - PENDING_SECONDS]
    return old, sorted(set(unnamed).difference(old))


def total_bytes(stored: Mapping[str, Stored], names: Iterable[str]) -> int:
    return sum(stored[name].size_bytes for name in names)


def delete_folder(folder: Path) -> None:
    """Deletes a folder: all of it at once, as others see it. What cannot be deleted is tried again the next time."""
    aside = folder.with_name(f".{uuid.uuid4().hex}")
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
