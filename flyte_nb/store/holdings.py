"""What a store holds: its runs and what each names, its cached results, its values and folders, and their sizes.

named      by the payloads of runs and by cached results
stored     files of values, and folders of runs
waste      what is stored and nothing names
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from flyte_nb.store.cached_results import DamagedResultError, read_result
from flyte_nb.store.home import Home
from flyte_nb.store.names import SHORTEST_NAME_BYTES, NameReader, Names
from flyte_nb.store.schema import PHASES_OVER
from flyte_nb.store.values import ValueStore
from flyte_nb.types.contents import is_whole

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Cached", "Held", "Holdings", "Stored", "folder_bytes", "read_holdings", "stored_in"]

PAYLOADS = (
    "SELECT run, inputs FROM store.actions WHERE octet_length(inputs) >= {}",
    "SELECT run, outputs FROM store.actions WHERE octet_length(outputs) >= {}",
    "SELECT run, encode(settings::VARCHAR) FROM store.tasks WHERE length(settings::VARCHAR) >= {}",
)
"""Where runs name values and files in bytes, if there are so many."""
CODE = "SELECT run, code FROM store.runs WHERE code != ''"
DEPLOYED_PAYLOADS = "SELECT default_values FROM store.deployed_tasks UNION SELECT inputs FROM store.triggers"
"""Where deployments name values in bytes."""
DEPLOYED_CODE = """SELECT DISTINCT unnest([code, wire]) AS digest FROM store.deployed_tasks
    UNION SELECT wire FROM store.triggers"""
KEY = re.compile(r"[0-9a-f]{32}")
"""The name of a cached result's file."""
ROWS_AT_ONCE = 1_000


@dataclass(slots=True)
class Held:
    """One run.

    Attributes:
        started_ns: when it started.
        ended_ns: when it ended; None while it lives.
        is_labelled: it has the label that keeps it.
        parent_run: the run that it reruns, recovers or forks, or whose action started it.
        actions: how many it has.
        names: what it names.
    """

    run: str
    started_ns: int
    ended_ns: int | None
    is_labelled: bool
    parent_run: str
    actions: int
    names: Names = field(default_factory=Names)


@dataclass(slots=True)
class Cached:
    """One cached result.

    Attributes:
        used_ns: when it was stored or last used.
        is_whole: its values are stored.
    """

    path: Path
    size_bytes: int
    used_ns: int
    names: Names
    is_whole: bool


@dataclass(slots=True)
class Stored:
    """A file or folder that is kept as long as something names it."""

    size_bytes: int
    changed_seconds: float
    """When it was last put or written, in seconds since the epoch."""


@dataclass(slots=True)
class Holdings:
    """What the runs of a store name; see `read_holdings`."""

    runs: list[Held]
    """Newest first."""
    cached: list[Cached]

    def outworn(self, used_since_ns: int) -> list[Cached]:
        """The cached results that were not used since then, or that nobody can use any more."""
        return [cached for cached in self.cached if cached.used_ns < used_since_ns or not cached.is_whole]

    def names(self, without: Collection[str] = (), used_since_ns: int = 0) -> Names:
        """What stays named.

        Args:
            without: once these runs are gone.
            used_since_ns: once cached results that were not used since then are gone, too.
        """
        kept = [held for held in self.runs if held.run not in without]
        names = Names(folders={held.run for held in kept})
        names.update(held.names for held in kept)
        return names.update(cached.names for cached in self.cached if cached.used_ns >= used_since_ns)


def read_holdings(connection: DuckDBPyConnection, home: Home, keep_label: str) -> Holdings:
    """What the runs and cached results of a store name now.

    Args:
        connection: an open database, up to date.
        home: the store's folder.
        keep_label: the label that keeps a run.
    """
    reader = NameReader(home)
    runs = connection.execute(
        """SELECT run, started_ns, CASE WHEN list_contains($1, phase) THEN ended_ns END,
            coalesce(map_contains(labels, $2), false), parent_run, action_count
            FROM store.runs LEFT JOIN store.current_labels USING (run) ORDER BY started_ns DESC""",
        [list(PHASES_OVER), keep_label],
    ).fetchall()
    held = {row[0]: Held(*row) for row in runs}
    strays = Held("", 0, None, False, "", 0)
    """Holds what is named by actions whose run's own record was lost, and by deployments."""
    shortest_bytes = min(SHORTEST_NAME_BYTES, len(str(home.path)))
    for query in PAYLOADS:
        for run, payload in rows_of(connection, query.format(shortest_bytes)):
            reader.read(payload, held.get(run, strays).names)
    for run, code in connection.execute(CODE).fetchall():
        reader.read_value(code, held[run].names)
    for (payload,) in connection.execute(DEPLOYED_PAYLOADS).fetchall():
        reader.read(payload, strays.names)
    for (digest,) in connection.execute(DEPLOYED_CODE).fetchall():
        if digest:
            reader.read_value(digest, strays.names)
    return Holdings([*held.values(), strays], list(cached_in(home, reader)))


def rows_of(connection: DuckDBPyConnection, query: str) -> Iterator[tuple[str, bytes]]:
    """The rows of a large answer."""
    connection.execute(query)
    while rows := connection.fetchmany(ROWS_AT_ONCE):
        yield from rows


def cached_in(home: Home, reader: NameReader) -> Iterator[Cached]:
    """Every cached result."""
    values = ValueStore(home)
    for path in home.cache.glob("*/*"):
        if KEY.fullmatch(path.name):
            try:
                state, content = path.stat(), path.read_bytes()
            except FileNotFoundError:  # cleared meanwhile
                continue
            names = Names()
            reader.read(content, names)
            yield Cached(path, state.st_size, state.st_mtime_ns, names, is_usable(path, values))


def is_usable(path: Path, values: ValueStore) -> bool:
    """Whether the values of a cached result are stored; of one that cannot be read it is not known."""
    try:
        result = read_result(str(path))
        return result is None or is_whole(result.payload, lambda digest: values.path(digest).exists(), values)
    except (DamagedResultError, KeyError, msgspec.DecodeError):
        return True


def stored_in(home: Home) -> tuple[dict[str, Stored], dict[str, Stored]]:
    """The values by digest, and the folders of runs by their names."""
    values = {digest: Stored(state.st_size, state.st_mtime) for digest, state in ValueStore(home).stored()}
    if not home.data.exists():
        return values, {}
    return values, {
        path.name: Stored(folder_bytes(path), path.stat().st_mtime) for path in home.data.iterdir() if path.is_dir()
    }


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder; of those that vanish meanwhile, nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total
