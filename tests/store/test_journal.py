"""The journal: what was flushed or synced is there, whatever happens to its process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.store import journal as journal_module
from flyte_nb.store.errors import JournalWriteError, StoreError
from flyte_nb.store.frames import read_frames
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal, lock_path
from flyte_nb.store.locks import is_locked
from flyte_nb.store.segments import list_segments
from tests.processes import until

Start = Callable[..., "subprocess.Popen[str]"]


class Aborted(BaseException):
    """What is raised into a thread to end it."""


def recorded(home: Home) -> list[bytes]:
    """Every payload in the home's journals, headers left out."""
    payloads: list[bytes] = []
    for segment in list_segments(home.journals):
        for frame, _ in read_frames(segment.path):
            payloads.extend(frame)
    return [payload for payload in payloads if not payload.startswith(b"{")]


def test_what_was_flushed_can_be_read_by_others(home: Home, journal: Journal) -> None:
    journal.append(b"one")
    journal.append(b"two")
    journal.flush()
    assert recorded(home) == [b"one", b"two"]


def test_what_is_durable_was_flushed_and_synced_after_what_it_names(home: Home) -> None:
    syncs: list[int] = []
    journal = Journal.create(home, before_sync=lambda: syncs.append(1))
    journal.wait_durable(journal.append(b"one"))
    assert recorded(home) == [b"one"]
    assert syncs
    assert journal.durable(1).done()


def test_waiters_at_the_same_time_share_a_sync(home: Home) -> None:
    syncs: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def first_sync_waits() -> None:
        syncs.append(1)
        begun.set()
        go_on.wait()

    journal = Journal.create(home, before_sync=first_sync_waits)
    futures = [journal.durable(journal.append(b"first"))]
    begun.wait()
    futures += [journal.durable(journal.append(b"%d" % k)) for k in range(50)]
    go_on.set()
    for future in futures:
        future.result()
    assert len(syncs) == 2


def test_nobody_has_to_flush(home: Home, journal: Journal) -> None:
    position = journal.append(b"left alone")
    until(lambda: journal.durable(position).done())
    assert recorded(home) == [b"left alone"]


def test_threads_that_append_and_flush_lose_nothing(home: Home, journal: Journal) -> None:
    def work(name: int) -> None:
        for k in range(500):
            position = journal.append(b"%d %d" % (name, k))
            if k % 7 == 0:
                journal.flush()
            if k % 100 == 0:
                journal.wait_durable(position)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    found = recorded(home)
    assert len(found) == len(set(found)) == 6 * 500
    for name in range(6):
        assert [payload for payload in found if payload.startswith(b"%d " % name)] == [
            b"%d %d" % (name, k) for k in range(500)
        ]


@pytest.mark.parametrize("step", ["pack_frames", "write_at"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_exception_raised_into_the_writing_thread_loses_and_repeats_nothing(
    home: Home, journal: Journal, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """An abort raises into the thread that runs a task, before or after any call that it makes."""
    original = getattr(journal_module, step)
    is_aborting = False

    def interrupted(*arguments: Any) -> Any:
        nonlocal is_aborting
        if threading.current_thread() is not threading.main_thread():
            return original(*arguments)
        aborts, is_aborting = is_aborting, False
        if aborts and not after:
            raise Aborted
        result = original(*arguments)
        if aborts:
            raise Aborted
        return result

    monkeypatch.setattr(journal_module, step, interrupted)
    for number in range(20):
        journal.append(b"%d" % number)
        is_aborting = True
        with contextlib.suppress(Aborted):
            journal.flush()
        is_aborting = False
        if number % 2:
            journal.flush()
    journal.close()
    assert recorded(home) == [b"%d" % number for number in range(20)]


def test_a_full_segment_is_followed_by_the_next(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 1000)
    journal = Journal.create(home)
    for k in range(100):
        journal.append(b"%d" % k * 10)
        journal.flush()
    journal.close()
    assert len(list_segments(home.journals)) > 2
    assert recorded(home) == [b"%d" % k * 10 for k in range(100)]


def test_a_closed_journal_takes_nothing(home: Home, journal: Journal) -> None:
    journal.append(b"one")
    journal.close()
    journal.close()
    with pytest.raises(JournalWriteError, match="is closed"):
        journal.append(b"two")
    assert recorded(home) == [b"one"]
    assert not is_locked(lock_path(home.journals, journal.identifier))


def test_the_owner_holds_its_lock(home: Home, journal: Journal) -> None:
    assert is_locked(lock_path(home.journals, journal.identifier))


FULL_DISK = """
import resource
from flyte_nb.store.errors import JournalWriteError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
journal = Journal.create(home)
for k in range(1000):
    position = journal.append(b"%d " % k * 20)
    try:
        journal.flush()
    except JournalWriteError as error:
        print(error, flush=True)
        break
try:
    journal.wait_durable(position)
except JournalWriteError as error:
    print("not durable", flush=True)
before = sum(file.stat().st_size for file in home.journals.iterdir())
if sys.argv[2] == "freed":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    position = journal.append(b"freed")
    journal.wait_durable(position)
print(k)
os._exit(0)
"""


def test_a_full_disk_is_one_clear_error_and_keeps_what_was_flushed(home: Home, answer: Callable[..., str]) -> None:
    message, durable, last = answer(FULL_DISK, "stays full").splitlines()
    assert "cannot be written: File too large" in message
    assert "Free some space" in message
    assert durable == "not durable"
    assert recorded(home) == [b"%d " % k * 20 for k in range(int(last))]


def test_a_journal_goes_on_when_a_full_disk_was_freed(home: Home, answer: Callable[..., str]) -> None:
    last = int(answer(FULL_DISK, "freed").splitlines()[-1])
    assert recorded(home) == [*(b"%d " % k * 20 for k in range(last + 1)), b"freed"]


def test_after_a_failed_sync_nothing_more_is_promised(home: Home) -> None:
    def refuse() -> None:
        raise StoreError("a value could not be synced")

    journal = Journal.create(home, before_sync=refuse)
    position = journal.append(b"one")
    with pytest.raises(JournalWriteError, match="could not be synced"):
        journal.wait_durable(position)
    with pytest.raises(JournalWriteError):
        journal.append(b"two")
    with pytest.raises(JournalWriteError):
        journal.flush()
    journal.close()


FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
from flyte_nb.store.errors import JournalWriteError
journal = Journal.create(home)
journal.append(b"before")
child = os.fork()
if child == 0:
    try:
        journal.append(b"from the child")
    except JournalWriteError as error:
        print(error, flush=True)
    sys.exit(0)
os.waitpid(child, 0)
journal.append(b"after")
journal.close()
"""


def test_a_forked_child_leaves_its_parents_journal_alone(home: Home, answer: Callable[..., str]) -> None:
    assert "belongs to the process that this one was forked from" in answer(FORK)
    assert recorded(home) == [b"before", b"after"]


WRITE_UNTIL_KILLED = """
journal = Journal.create(home)
for k in range(10**9):
    position = journal.append(b"%d" % k)
    if k % 3 == 0:
        journal.append(b"x" * (k * 7919 % 3000))
    journal.flush()
    if k % 50 == 0:
        journal.wait_durable(position)
    os.write(1, b"%d\\n" % k)
"""


def kill_while_it_writes(home: Home, start: Start, lines: int) -> None:
    """Kills a writer after it acknowledged so many payloads, and looks for each."""
    home.ensure()
    before = {segment.journal for segment in list_segments(home.journals)}
    process = start(WRITE_UNTIL_KILLED)
    assert process.stdout is not None
    acknowledged = -1
    for _ in range(lines):
        acknowledged = int(process.stdout.readline())
    process.kill()
    acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
    (journal,) = {segment.journal for segment in list_segments(home.journals)} - before
    found: list[bytes] = []
    for segment in list_segments(home.journals):
        if segment.journal == journal:
            found += [payload for frame, _ in read_frames(segment.path) for payload in frame]
    numbers = [int(payload) for payload in found if payload.isdigit()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > acknowledged
    assert not is_locked(lock_path(home.journals, journal))


def test_a_killed_process_loses_nothing_that_was_flushed(home: Home, start: Start) -> None:
    for lines in (1, 40):
        kill_while_it_writes(home, start, lines)


@pytest.mark.long
def test_a_killed_process_loses_nothing_wherever_it_is_killed(home: Home, start: Start) -> None:
    for lines in range(1, 200):
        kill_while_it_writes(home, start, lines)


def test_a_store_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be used: (Not a directory|File exists).*Set FLYTE_NB_HOME"):
        Journal.create(Home(tmp_path / "a file" / ".flyte_nb"))


def test_the_last_frames_are_written_at_the_end_of_the_interpreter(home: Home, answer: Callable[..., str]) -> None:
    answer("journal = Journal.create(home); journal.append(b'last words')")
    assert recorded(home) == [b"last words"]


def test_importing_the_journal_loads_nothing_heavy() -> None:
    program = "import sys, flyte_nb.store.journal, flyte_nb.store.queries; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=os.getcwd()
    )
    assert not {"duckdb", "pydantic", "IPython", "pandas", "numpy"} & set(loaded.stdout.split())
