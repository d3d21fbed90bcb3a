"""The database file and those who want it: threads, processes, users, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import duckdb
import pytest

from flyte_nb.store import database as database_module
from flyte_nb.store import instance as instance_module
from flyte_nb.store.database import Database
from flyte_nb.store.errors import StoreBusyError, StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.locks import FileLock, is_locked
from flyte_nb.store.queries import Store, connect
from tests.processes import until

Start = Callable[..., subprocess.Popen[str]]
Answer = Callable[..., str]
Record = Callable[..., None]


def test_nobody_keeps_the_file_open(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "r")
    Store(home).runs()
    until(lambda: not is_locked(home.lock))
    with duckdb.connect(str(home.database), read_only=True) as other:
        assert other.execute("SELECT count(*) FROM actions").fetchone() == (2,)


def test_questions_that_are_held_together_look_at_the_journals_once(
    home: Home, journal: Journal, record: Record
) -> None:
    store = Store(home)
    record(journal, "first")
    with Database.of(home).held():
        assert len(store.runs()) == 1
        record(journal, "second")
        assert len(store.runs()) == 1
    assert len(store.runs()) == 2


ASK_MANY = """
store = Store(home)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    store.runs(limit=5)
"""
RECORD_MANY = """
journal = Journal.create(home)
sys.stdin.readline()
name = journal.identifier
record(journal, RunStarted(name, 10, "shop.main"))
for k in range(int(sys.argv[2])):
    record(journal, ActionStarted(name, f"a{k}", "", "task", "shop.main", 0, k, 11 + k, b"\\x90"))
    if k % 50 == 0:
        journal.flush()
        Store(home).runs(limit=1)
    record(journal, ActionEnded(name, f"a{k}", 1, "succeeded", 11 + k, 12 + k, b"\\x90"))
record(journal, RunEnded(name, 10**6, "succeeded"))
journal.close()
"""


def share_the_store(home: Home, start: Start, writers: int, readers: int, actions: int, questions: int) -> None:
    processes = [start(RECORD_MANY, actions) for _ in range(writers)] + [
        start(ASK_MANY, questions) for _ in range(readers)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    store = Store(home)
    assert [run.action_count for run in store.runs()] == [actions] * writers
    counted = store.sql(
        "SELECT count(*) AS n, count(DISTINCT run || action) AS d FROM actions WHERE phase = 'succeeded'"
    )
    assert counted["n"][0] == counted["d"][0] == actions * writers
    assert store.integrity() == []


def test_two_writers_and_a_reader_never_see_a_lock_error(home: Home, start: Start) -> None:
    share_the_store(home, start, writers=2, readers=1, actions=300, questions=30)


@pytest.mark.long
def test_four_writers_and_two_readers_never_see_a_lock_error(home: Home, start: Start) -> None:
    share_the_store(home, start, writers=4, readers=2, actions=5000, questions=300)


def test_threads_ask_at_the_same_time(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "r", count=50)
    answers: list[int] = []

    def ask() -> None:
        answers.extend(len(Store(home).actions("r")) for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [50] * 60


def test_the_file_is_handed_over_while_it_lingers(home: Home, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "LINGER_SECONDS", 3600.0)
    Store(home).runs()
    assert is_locked(home.lock)
    assert answer("print(Store(home).runs())") == "[]\n"
    assert not is_locked(home.lock)


def test_duckdb_stays_for_the_next_who_asks_and_ends_when_nobody_does(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "INSTANCE_SECONDS", 3600.0)
    monkeypatch.setattr(database_module, "LINGER_SECONDS", 0.0)
    Store(home).runs()
    duckdb_of_the_first = Database.of(home)._instance
    until(lambda: not is_locked(home.lock))
    Store(home).runs()
    assert duckdb_of_the_first is not None
    assert Database.of(home)._instance is duckdb_of_the_first
    monkeypatch.setattr(database_module, "INSTANCE_SECONDS", 0.0)
    until(lambda: Database.of(home)._instance is None)
    assert Store(home).runs() == []


def test_a_query_that_takes_long_is_named_to_those_who_wait(
    home: Home, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database.of(home).session():
        message = answer("""
from flyte_nb.store import database
from flyte_nb.store.errors import StoreBusyError
database.WAIT_SECONDS = 0.1
try:
    Store(home).runs()
except StoreBusyError as error:
    print(error)
""")
    assert f"in use by process {os.getpid()} for" in message


def test_a_users_own_connection_is_named_and_runs_go_on(
    home: Home, journal: Journal, record: Record, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_module, "FOREIGN_SECONDS", 0.05)
    Store(home).runs()
    Store(home).close()
    other = start(
        "import duckdb; c = duckdb.connect(str(home.database)); print('open', flush=True); sys.stdin.readline()"
    )
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(StoreBusyError, match=rf"is open in process {other.pid}.*Close it there"):
        Store(home).runs()
    record(journal, "meanwhile")
    other.communicate("close\n")
    assert [run.name for run in Store(home).runs()] == ["meanwhile"]


def test_a_users_connection_in_this_process_is_named(home: Home) -> None:
    Store(home).runs()
    Store(home).close()
    with duckdb.connect(str(home.database)):
        with pytest.raises(StoreBusyError, match="this process"):
            Store(home).runs()
    assert Store(home).runs() == []


def test_a_file_that_is_no_database_is_one_clear_error(home: Home) -> None:
    home.ensure().database.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match=r"runs\.duckdb cannot be opened.*not a valid DuckDB"):
        Store(home).runs()
    assert not is_locked(home.lock)


FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
journal = Journal.create(home)
record(journal, RunStarted("parents", 10, "shop.main"))
journal.flush()
store = Store(home)
store.runs()
child = os.fork()
if child == 0:
    own = Journal.create(home)
    record(own, RunStarted("childs", 11, "shop.main"))
    own.close()
    print(len(Store(home).runs()), flush=True)
    sys.exit(0)
_, status = os.waitpid(child, 0)
record(journal, RunLabelled("parents", 12, {"k": "v"}))
journal.flush()
print(status, sorted(run.name for run in store.runs()), store.run("parents").labels)
journal.close()
"""


def test_a_child_forked_while_the_file_is_open_harms_nothing(home: Home, answer: Answer) -> None:
    assert answer(FORK) == "2\n0 ['childs', 'parents'] {'k': 'v'}\n"
    assert Store(home).integrity() == []


FORK_DURING_A_QUERY = """
import threading, warnings
from flyte_nb.store import database
from flyte_nb.store.errors import StoreError
warnings.simplefilter("ignore", DeprecationWarning)
database.FORK_WAIT_SECONDS = 0.05
asking, forked = threading.Event(), threading.Event()
def ask():
    with database.Database.of(home).session() as cursor:
        asking.set()
        forked.wait()
        print(cursor.execute("SELECT count(*) FROM runs").fetchall())
thread = threading.Thread(target=ask)
thread.start()
asking.wait()
child = os.fork()
if child == 0:
    try:
        Store(home).runs()
    except StoreError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
forked.set()
thread.join()
"""


def test_a_child_forked_during_a_query_is_refused_and_the_query_goes_on(home: Home, answer: Answer) -> None:
    refused, counted = answer(FORK_DURING_A_QUERY).splitlines()
    assert "was being asked when this process was forked" in refused
    assert counted == "[(0,)]"


def test_a_copy_is_read_only_and_stands_in_nobodys_way(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "before")
    with connect(home.path) as copy:
        record(journal, "after")
        assert len(Store(home).runs()) == 2
        assert copy.execute("SELECT run FROM runs").fetchall() == [("before",)]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            copy.execute("DELETE FROM store.runs")


def test_importing_the_store_starts_no_thread_and_loads_no_duckdb() -> None:
    program = "import sys, threading, flyte_nb.store.queries; print('duckdb' in sys.modules, threading.active_count())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False 1\n"


def test_a_lock_is_let_go_by_whoever_dies(home: Home, start: Start) -> None:
    home.ensure()
    process = start(
        "from flyte_nb.store.locks import FileLock; FileLock(home.lock).try_exclusive(); print(flush=True);"
        " sys.stdin.readline()"
    )
    assert process.stdout is not None
    process.stdout.readline()
    lock = FileLock(home.lock)
    assert not lock.try_exclusive()
    process.kill()
    process.wait()
    assert lock.try_exclusive()
    lock.close()


def test_a_long_fold_is_done_in_turns_with_those_who_wait(
    home: Home, journal: Journal, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "FOLD_SECONDS", 0.0)
    monkeypatch.setattr(database_module, "TURN_SECONDS", 0.01)
    turns = []
    opened = Database._open

    def counted(database: Database) -> duckdb.DuckDBPyConnection:
        turns.append(is_locked(home.want))
        return opened(database)

    monkeypatch.setattr(Database, "_open", counted)
    record(journal, *(f"r{number}" for number in range(100)))
    waiting = FileLock(home.want)
    assert waiting.try_shared()
    try:
        assert len(Store(home).runs(limit=None)) == 100
    finally:
        waiting.close()
    assert len(turns) > 5
    assert Store(home).integrity() == []


def test_what_is_recorded_during_a_fold_does_not_make_it_endless(
    home: Home, journal: Journal, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "FOLD_SECONDS", 0.0)
    monkeypatch.setattr(database_module, "TURN_SECONDS", 0.0)
    opened = Database._open
    extra = iter(range(1000))

    def recording(database: Database) -> duckdb.DuckDBPyConnection:
        record(journal, *(f"extra{next(extra)}" for _ in range(20)))
        return opened(database)

    monkeypatch.setattr(Database, "_open", recording)
    record(journal, *(f"r{number}" for number in range(40)))
    waiting = FileLock(home.want)
    assert waiting.try_shared()
    try:
        assert len([run for run in Store(home).runs(limit=None) if run.name.startswith("r")]) == 40
    finally:
        waiting.close()
    assert Store(home).integrity() == []
