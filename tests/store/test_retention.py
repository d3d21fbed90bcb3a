"""What a store keeps: runs by age, number, size and label; values as long as anything names them, whoever writes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from flyte_nb.store import compaction
from flyte_nb.store.cached_results import CachedResult, write_file
from flyte_nb.store.database import Database
from flyte_nb.store.deployment_events import TaskDeployed, TriggerDeployed
from flyte_nb.store.deployments import Deployments
from flyte_nb.store.errors import StoreError
from flyte_nb.store.events import ActionEnded, ActionStarted, Event, RunEnded, RunLabelled, RunStarted
from flyte_nb.store.holdings import DEPLOYED_PAYLOADS, PAYLOADS
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.locks import FileLock
from flyte_nb.store.queries import Store
from flyte_nb.store.retention import PENDING_SECONDS, TABLES, Keep, prune
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blob
from flyte_nb.types.trees import blob_leaf, pack, tagged

Record = Callable[..., None]
Start = Callable[..., subprocess.Popen[str]]

DAY_NS = 86_400 * 10**9
LARGE = 100_000


def events(
    run: str, days_ago: float, payload: bytes = b"\x90", *, ended: bool = True, parent_run: str = "", code: str = ""
) -> list[Event]:
    at_ns = time.time_ns() - round(days_ago * DAY_NS)
    begun: list[Event] = [
        RunStarted(run, at_ns, "shop.main", parent_run=parent_run, code=code),
        ActionStarted(run, "a0", "", "task", "shop.main", 0, 0, at_ns, payload),
    ]
    done: list[Event] = [
        ActionEnded(run, "a0", 1, "succeeded", at_ns, at_ns + 1, payload),
        RunEnded(run, at_ns + 2, "succeeded"),
    ]
    return begun + done if ended else begun


def put(home: Home, content: bytes, *, age_seconds: float = 2 * PENDING_SECONDS) -> str:
    """A value that was put some time ago."""
    values = ValueStore(home)
    digest = values.put([content])
    then = time.time() - age_seconds
    os.utime(values.path(digest), (then, then))
    return digest


def naming(digest: str, codec: str = "pickle5") -> bytes:
    return pack([blob_leaf(Blob(digest, LARGE, codec, {"kind": "opaque", "text": "large"}))])


def names(home: Home) -> list[str]:
    return sorted(row.name for row in Store(home).runs())


def is_stored(home: Home, digest: str) -> bool:
    return ValueStore(home).path(digest).exists()


@pytest.fixture
def week(home: Home, journal: Journal, record: Record) -> list[str]:
    """A run a day, the first today; each names a value of its own."""
    digests = [put(home, bytes([day]) * LARGE) for day in range(7)]
    for day, digest in enumerate(digests):
        record(journal, *events(f"r{day}", day, naming(digest)))
    return digests


def test_runs_that_ended_long_ago_go_with_all_their_rows_and_values(home: Home, week: list[str]) -> None:
    pruned = prune(home, Keep(older_than=timedelta(days=2.5)))
    assert pruned.runs == ["r6", "r5", "r4", "r3"]
    assert names(home) == ["r0", "r1", "r2"]
    assert [is_stored(home, digest) for digest in week] == [True] * 3 + [False] * 4
    assert pruned.values == 4
    assert Store(home).integrity() == []
    with Database.of(home).session() as cursor:
        for table in TABLES:
            assert cursor.execute(f"SELECT count(*) FROM store.{table} WHERE run IN ('r3', 'r6')").fetchone() == (0,)


def test_every_table_that_has_runs_is_pruned(home: Home) -> None:
    Store(home).runs()
    with Database.of(home).session() as cursor:
        query = """SELECT table_name FROM duckdb_columns() JOIN duckdb_tables() USING (schema_name, table_name)
            WHERE schema_name = 'store' AND column_name = 'run'"""
        tables = {table for (table,) in cursor.execute(query).fetchall()}
    assert tables == set(TABLES)


def test_every_column_of_bytes_is_looked_at_for_names_of_values(home: Home) -> None:
    Store(home).runs()
    with Database.of(home).session() as cursor:
        query = """SELECT table_name, column_name
            FROM duckdb_columns() JOIN duckdb_tables() USING (schema_name, table_name)
            WHERE schema_name = 'store' AND data_type = 'BLOB'"""
        columns = set(cursor.execute(query).fetchall())
    types = {("tasks", "types"), ("deployed_tasks", "types")}  # pickled types: they name no value
    of_runs = {("actions", column) for column in ("inputs", "outputs")}
    deployed = {("deployed_tasks", "default_values"), ("triggers", "inputs")}
    assert columns - types == of_runs | deployed
    assert all(column in "".join(PAYLOADS) for _, column in of_runs)
    assert all(f"{column} FROM store.{table}" in DEPLOYED_PAYLOADS for table, column in deployed)


def test_what_deployments_name_stays(home: Home, week: list[str]) -> None:
    code, default, wire = (put(home, bytes([number]) * LARGE) for number in (101, 102, 103))
    Deployments(home).record(
        [
            TaskDeployed("env.f", "1", 1, "env", code, "", "", [], [], {}, naming(default), b""),
            TriggerDeployed("env.f", "daily", "1", 1, True, {"kind": "none"}, wire=wire),
        ]
    )
    assert prune(home, Keep(newest=0)).values == len(week)
    assert all(is_stored(home, digest) for digest in (code, default, wire))


def test_the_newest_are_kept(home: Home, week: list[str]) -> None:
    prune(home, Keep(newest=2))
    assert names(home) == ["r0", "r1"]
    assert prune(home, Keep(newest=2)).runs == []


def test_the_newest_are_kept_however_old(home: Home, week: list[str]) -> None:
    prune(home, Keep(older_than=timedelta(days=0.5), newest=3))
    assert names(home) == ["r0", "r1", "r2"]


def test_the_oldest_go_until_the_store_is_small_enough(home: Home, journal: Journal, record: Record) -> None:
    for day in range(6):
        record(journal, *events(f"r{day}", day, naming(put(home, bytes([day]) * 10_000_000))))
    pruned = prune(home, Keep(size_bytes=35_000_000))
    assert names(home) == ["r0", "r1", "r2"]
    assert pruned.size_before_bytes > 60_000_000
    assert pruned.size_bytes <= 35_000_000


def test_without_a_bound_no_run_goes_but_what_nothing_names_does(home: Home, week: list[str]) -> None:
    orphan = put(home, b"orphan" * LARGE)
    pruned = prune(home, Keep())
    assert (pruned.runs, pruned.values) == ([], 1)
    assert not is_stored(home, orphan)
    assert all(is_stored(home, digest) for digest in week)


def test_a_dry_run_says_the_same_and_deletes_nothing(home: Home, week: list[str]) -> None:
    keep = Keep(older_than=timedelta(days=2.5))
    said = prune(home, keep, is_dry_run=True)
    assert len(names(home)) == 7
    assert all(is_stored(home, digest) for digest in week)
    done = prune(home, keep)
    assert (said.runs, said.values, said.folders, said.cached) == (done.runs, done.values, done.folders, done.cached)


def test_labelled_live_and_reused_runs_stay(home: Home, journal: Journal, record: Record) -> None:
    record(journal, *events("labelled", 9), RunLabelled("labelled", 1, {"keep": "yes"}))
    record(journal, *events("unlabelled", 9), RunLabelled("unlabelled", 1, {"keep": "yes"}))
    record(journal, RunLabelled("unlabelled", 2, {"keep": None}))
    record(journal, *events("reused", 9), *events("live", 8, ended=False, parent_run="reused"))
    record(journal, *events("unused", 9), *events("over", 8, parent_run="unused"))
    assert sorted(prune(home, Keep(newest=0)).runs) == ["over", "unlabelled", "unused"]
    assert names(home) == ["labelled", "live", "reused"]


def test_a_value_stays_as_long_as_any_run_names_it(home: Home, journal: Journal, record: Record) -> None:
    shared = put(home, b"shared" * LARGE)
    record(journal, *events("old", 9, naming(shared)), *events("new", 0, naming(shared)))
    prune(home, Keep(newest=1))
    assert is_stored(home, shared)
    prune(home, Keep(newest=0))
    assert not is_stored(home, shared)


def test_values_named_deep_inside_or_by_values_stay(home: Home, journal: Journal, record: Record) -> None:
    inner = put(home, b"inner" * LARGE)
    leaf = blob_leaf(Blob(inner, 70_000, "pickle5", {"kind": "opaque", "text": "x"}))
    tree = put(home, pack([{"deep": [leaf]}, "x" * LARGE]))
    tucked = put(home, b"tucked" * LARGE)
    tucked_leaf = blob_leaf(Blob(tucked, 300, "arrow", {"kind": "opaque", "text": "x"}))
    code = put(home, b"code" * LARGE)
    nested = pack([tagged("tuple", [1, tagged("set", [{"k": tucked_leaf}])])])
    record(journal, *events("r", 0, naming(tree, "tree")), *events("s", 0, nested, code=code))
    orphan = put(home, b"orphan" * LARGE)
    assert prune(home, Keep()).values == 1
    assert [is_stored(home, digest) for digest in (inner, tree, tucked, code, orphan)] == [True] * 4 + [False]


def test_a_cached_result_names_its_values_until_it_is_forgotten(home: Home, journal: Journal, record: Record) -> None:
    digest = put(home, b"cached" * LARGE)
    entry = home.ensure().cache / "ab" / ("ab" * 16)
    entry.parent.mkdir()
    entry.write_bytes(b"anything that names " + naming(digest))
    record(journal, *events("old", 9, naming(digest)))
    assert prune(home, Keep(newest=0)).runs == ["old"]
    assert entry.exists()
    assert is_stored(home, digest)
    then = time.time() - 9 * 86_400
    os.utime(entry, (then, then))
    assert prune(home, Keep(older_than=timedelta(days=8))).cached == 1
    assert not entry.exists()
    assert not is_stored(home, digest)


def test_a_cached_result_whose_value_is_gone_goes_too(home: Home) -> None:
    kept, gone = put(home.ensure(), b"kept" * LARGE), put(home, b"gone" * LARGE)
    for key, digest in (("1" * 32, kept), ("2" * 32, gone)):
        result = CachedResult("t", naming(digest), "r", "a0", 1, 2, "", [], [("o0", "Any")], "v", "", "")
        write_file(str(home.cache / "task" / key), result)
    ValueStore(home).path(gone).unlink()
    assert prune(home, Keep(), is_dry_run=True).cached == 1
    assert prune(home, Keep()).cached == 1
    assert [path.name for path in home.cache.glob("*/*")] == ["1" * 32]
    assert is_stored(home, kept)


def test_locks_of_keys_stay_while_somebody_holds_them(home: Home) -> None:
    folder = home.ensure().cache / "task"
    folder.mkdir(parents=True)
    held, idle = folder / f"{'1' * 32}.lock", folder / f"{'2' * 32}.lock"
    idle.touch()
    lock = FileLock(held)
    assert lock.try_exclusive()
    prune(home, Keep())
    assert (held.exists(), idle.exists()) == (True, False)
    lock.close()
    prune(home, Keep())
    assert not held.exists()


def test_the_folder_of_a_run_goes_with_it_unless_another_names_it(home: Home, journal: Journal, record: Record) -> None:
    for run in ("old", "passed_on", "new"):
        (home.data / run).mkdir(parents=True)
        (home.data / run / "model.bin").write_bytes(b"m" * 1000)
    record(journal, *events("old", 9), *events("passed_on", 8))
    record(journal, *events("new", 0, pack([str(home.data / "passed_on" / "model.bin")])))
    pruned = prune(home, Keep(newest=1))
    assert pruned.runs == ["old", "passed_on"]
    assert sorted(path.name for path in home.data.iterdir()) == ["new", "passed_on"]


def test_the_folder_of_a_run_that_is_about_to_start_stays(home: Home) -> None:
    (home.ensure().data / "nightly").mkdir(parents=True)
    prune(home, Keep())
    assert (home.data / "nightly").exists()


def test_what_was_put_lately_stays_though_nothing_names_it_yet(home: Home, journal: Journal, record: Record) -> None:
    fresh = put(home.ensure(), b"fresh" * LARGE, age_seconds=PENDING_SECONDS / 2)
    pruned = prune(home, Keep())
    assert is_stored(home, fresh)
    assert (pruned.values, pruned.pending_bytes) == (0, ValueStore(home).path(fresh).stat().st_size)


def test_a_value_that_is_put_again_counts_as_new(home: Home) -> None:
    values = ValueStore(home.ensure())
    for again in (values.put, lambda parts: values.renew(values.put(parts))):
        digest = put(home, b"again" * LARGE)
        again([b"again" * LARGE])
        prune(home, Keep())
        assert is_stored(home, digest)


def test_a_value_that_is_renewed_while_it_is_dropped_stays(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer comes in at the last moment: between the look at the value's time and its removal."""
    values = ValueStore(home.ensure())
    digest = put(home, b"late" * LARGE)
    rename = Path.rename

    def renewed_first(path: Path, target: Path) -> Path:
        if path == values.path(digest):
            assert ValueStore(home).renew(digest)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renewed_first)
    assert values.drop(digest, time.time() - PENDING_SECONDS) == 0
    assert values.is_intact(digest)


def test_a_value_that_is_put_after_it_was_dropped_is_written_anew(home: Home) -> None:
    digest = put(home.ensure(), b"dropped" * LARGE)
    values = ValueStore(home)
    assert values.put([b"dropped" * LARGE]) == digest
    os.utime(values.path(digest), (0, 0))
    assert ValueStore(home).drop(digest, time.time()) > 0
    assert not values.renew(digest)
    assert values.put([b"dropped" * LARGE]) == digest
    values.sync()
    assert values.is_intact(digest)


WRITE = """
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blob
from flyte_nb.types.trees import blob_leaf, pack
values = ValueStore(home)
journal = Journal.create(home)

def record_run(run, number):
    digest = values.put([f"{journal.identifier} {number}".encode() * 1000])
    payload = pack([blob_leaf(Blob(digest, 20_000, "pickle5", {"kind": "opaque", "text": "x"}))])
    record(journal, RunStarted(run, time.time_ns(), "shop.main"))
    record(journal, ActionStarted(run, "a0", "", "task", "shop.main", 0, 0, time.time_ns(), payload))
    record(journal, ActionEnded(run, "a0", 1, "succeeded", time.time_ns(), time.time_ns(), payload))
    record(journal, RunEnded(run, time.time_ns(), "succeeded"))
    journal.flush()
    return digest

for number in range(int(sys.argv[2])):
    digest = record_run(f"{journal.identifier}-{number}", number)
    os.utime(values.path(digest), (0, 0))  # long ago: as soon as no run names it, a prune drops it ...
    if number >= 50:
        record_run(f"{journal.identifier}-{number}-again", number - 50)  # ... just while it is put again
    time.sleep(0.002)
journal.close()
"""


def prune_while_others_write(home: Home, start: Start, count: int) -> None:
    writers = [start(WRITE, count) for _ in range(2)]
    prunes = []
    are_writing = True
    while are_writing:
        are_writing = any(writer.poll() is None for writer in writers)  # once more when they have ended
        prunes.append(prune(home, Keep(newest=2)))
        assert Store(home).integrity() == []
    for writer in writers:
        _, err = writer.communicate()
        assert writer.returncode == 0, err
    assert sum(pruned.values for pruned in prunes) > 0
    assert len(Store(home).runs(limit=None)) == 2 * (2 * count - 50) - sum(len(pruned.runs) for pruned in prunes)
    assert Store(home).integrity() == []


def test_writers_and_prunes_at_the_same_time_lose_nothing(home: Home, start: Start) -> None:
    prune_while_others_write(home, start, 400)


@pytest.mark.long
def test_writers_and_many_prunes_lose_nothing(home: Home, start: Start) -> None:
    prune_while_others_write(home, start, 5_000)


def test_space_is_given_back(home: Home, journal: Journal, record: Record) -> None:
    for number in range(4):
        run = f"r{number}"
        logs = os.urandom(300_000).hex()
        record(journal, *events(run, number, pack([logs])))
    pruned = prune(home, Keep(newest=1))
    assert pruned.size_before_bytes - pruned.size_bytes > 2_000_000
    assert names(home) == ["r0"]
    assert Store(home).sql("SELECT count(*) AS n FROM actions")["n"][0] == 1


def test_a_compaction_that_finds_no_room_leaves_the_database_as_it_was(
    home: Home, week: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    def full(*arguments: object) -> None:
        raise duckdb.IOException("IO Error: No space left on device")

    monkeypatch.setattr(compaction, "fill", full)
    with pytest.raises(StoreError, match=r"is not given back: IO Error: No space left on device\."):
        prune(home, Keep(newest=1))
    assert names(home) == ["r0"]
    assert not list(home.path.glob(".new*"))


def test_others_ask_and_record_while_the_database_is_compacted(
    home: Home, week: list[str], journal: Journal, record: Record, start: Start
) -> None:
    asking = start(
        """
store = Store(home)
print("begun", flush=True)
for _ in range(60):
    assert len(store.runs()) >= 1
"""
    )
    assert asking.stdout is not None
    asking.stdout.readline()
    for number in range(6, 0, -1):
        prune(home, Keep(newest=number))
        record(journal, *events(f"later{number}", 0))
    _, err = asking.communicate(timeout=60)
    assert asking.returncode == 0, err
    assert "later1" in names(home)
