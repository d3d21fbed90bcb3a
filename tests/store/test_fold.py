"""Folding: each event counts once, whoever dies when."""

from __future__ import annotations

import socket
import subprocess
import uuid
import warnings
from collections.abc import Callable
from contextlib import suppress

import msgspec
import psutil
import pytest

from flyte_nb.store import database as database_module
from flyte_nb.store import fold as fold_module
from flyte_nb.store import journal as journal_module
from flyte_nb.store.errors import StoreWarning
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    AttemptStarted,
    ErrorRecord,
    LogWritten,
    ReportWritten,
    RunEnded,
    RunLabelled,
    RunStarted,
    encode_event,
)
from flyte_nb.store.frames import pack_frames
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal, SegmentHeader, segment_path
from flyte_nb.store.owner import Owner
from flyte_nb.store.queries import Store
from flyte_nb.store.segments import Segment, is_abandoned, list_segments
from flyte_nb.types.trees import pack

Start = Callable[..., "subprocess.Popen[str]"]
Record = Callable[..., None]


def test_what_was_recorded_is_there_at_once(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "first", count=3)
    (run,) = Store(home).runs()
    assert (run.name, run.task, run.phase, run.action_count) == ("first", "shop.main", "succeeded", 3)
    assert (run.labels, run.notebook, run.ended_ns) == ({"team": "red"}, "shop.ipynb", run.started_ns + 10**9)
    assert [action.name for action in Store(home).actions("first")] == ["a0", "a1", "a2"]


def test_a_run_that_grows_is_folded_piece_by_piece(home: Home, journal: Journal, record: Record) -> None:
    store, failure = Store(home), ErrorRecord("ValueError", "user", "unlucky", "Traceback", "cell 1, line 2")
    record(journal, RunStarted("r", 10, "shop.main"))
    assert store.run("r").phase == "running"
    record(journal, ActionStarted("r", "a0", "", "task", "shop.main", 0, 0, 11, pack([1])))
    assert store.action("r", "a0").phase == "running"
    assert store.run("r").action_count == 1
    record(journal, AttemptEnded("r", "a0", 1, "failed", 11, 12, failure))
    assert (store.action("r", "a0").phase, store.action("r", "a0").error) == ("queued", failure)
    record(journal, AttemptStarted("r", "a0", 2, 13, "kernel"))
    assert (store.action("r", "a0").phase, store.action("r", "a0").where) == ("running", "kernel")
    record(journal, ActionEnded("r", "a0", 2, "succeeded", 13, 14, pack([2]), note="slow"))
    record(journal, RunEnded("r", 15, "succeeded"))
    action = store.action("r", "a0")
    assert (action.phase, action.attempt, action.error, action.note) == ("succeeded", 2, None, "slow")
    assert (action.inputs, action.outputs, action.where) == (pack([1]), pack([2]), "kernel")
    assert [(attempt.attempt, attempt.phase) for attempt in store.attempts("r", "a0")] == [
        (1, "failed"),
        (2, "succeeded"),
    ]
    assert store.run("r").phase == "succeeded"


def test_one_fold_and_many_give_the_same(home: Home, journal: Journal, record: Record, tmp_path: object) -> None:
    store = Store(home)
    record(journal, "whole")
    from_one = store.sql("SELECT * EXCLUDE (run) FROM actions")
    from_many = Store(Home(home.path.with_name("many")))
    other = Journal.create(from_many.home)
    for event in record_events("whole"):
        other.append(event)
        other.flush()
        from_many.runs()
    assert from_many.sql("SELECT * EXCLUDE (run) FROM actions").equals(from_one)
    other.close()
    from_many.close()


def record_events(run: str) -> list[bytes]:
    """The events of a run, encoded."""
    at_ns = 1_700_000_000_000_000_000
    events = [RunStarted(run, at_ns, "shop.main")]
    started = [
        ActionStarted(run, f"a{k}", "a0" if k else "", "task", "shop.main", 0, k, at_ns + k, pack([k]), "g")
        for k in range(2)
    ]
    ended = [ActionEnded(run, f"a{k}", 1, "succeeded", at_ns + k, at_ns + k + 10, pack([k * k])) for k in range(2)]
    return [encode_event(event) for event in (*events, *started, *ended, RunEnded(run, at_ns + 10**9, "succeeded"))]


def test_labels_of_other_processes_count_by_their_time(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "r")
    store = Store(home)
    later, earlier = Journal.create(home), Journal.create(home)
    now = 1_800_000_000_000_000_000
    record(later, RunLabelled("r", now + 2, {"team": None, "best": "yes"}))
    assert store.run("r").labels == {"best": "yes"}
    record(earlier, RunLabelled("r", now + 1, {"team": "blue", "best": "no", "more": "1"}))
    assert store.run("r").labels == {"best": "yes", "more": "1"}


def test_only_the_last_report_of_an_action_is_kept(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "r")
    for html in ("one", "two"):
        record(journal, ReportWritten("r", "a0", 1, 5, html))
        record(journal, ReportWritten("r", "a0", 1, 6, html + "!"))
        assert Store(home).report("r", "a0") == html + "!"
    assert len(Store(home).sql("SELECT * FROM reports")) == 1


LEAVE_A_RUN = """
journal = Journal.create(home)
record(journal, RunStarted("left", 10, "shop.main"))
record(journal, ActionStarted("left", "a0", "", "task", "shop.main", 0, 0, 11, b"\\x90"))
record(journal, ActionStarted("left", "a1", "a0", "task", "shop.fit", 0, 0, 12, b"\\x90"))
record(journal, ActionEnded("left", "a1", 1, "succeeded", 12, 13, b"\\x90"))
journal.flush()
print("recorded", flush=True)
sys.stdin.readline()
os._exit(9)
"""


def test_the_runs_of_a_dead_process_are_aborted_and_its_journal_is_deleted(home: Home, start: Start) -> None:
    process = start(LEAVE_A_RUN)
    assert process.stdout is not None
    process.stdout.readline()
    store = Store(home)
    assert store.run("left").phase == "running"
    process.communicate("end\n")
    run = store.run("left")
    assert run.phase == "aborted"
    assert run.ended_ns is not None
    assert run.error is not None
    assert f"Process {process.pid} on {socket.gethostname()}" in run.error.message
    assert [(action.name, action.phase) for action in store.actions("left")] == [("a0", "aborted"), ("a1", "succeeded")]
    store.close()
    assert list(home.journals.iterdir()) == []
    assert [found.name for found in store.runs()] == ["left"]


ASK_AND_DIE = """
from flyte_nb.store import database
database.LINGER_SECONDS = 3600.0
print([run.phase for run in Store(home).runs()], Store(home).integrity(), flush=True)
os._exit(0)
"""


def test_a_journal_stays_until_the_database_is_closed_and_is_folded_once(
    home: Home, start: Start, answer: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(LEAVE_A_RUN).communicate("end\n")
    assert [answer(ASK_AND_DIE) for _ in range(2)] == ["['aborted'] []\n"] * 2
    assert len(list(home.journals.iterdir())) == 2
    monkeypatch.setattr(database_module, "LINGER_SECONDS", 3600.0)
    looked_at: list[Segment] = []

    def looks(segment: Segment) -> bool:
        looked_at.append(segment)
        return is_abandoned(segment)

    monkeypatch.setattr(fold_module, "is_abandoned", looks)
    assert [run.phase for _ in range(3) for run in Store(home).runs()] == ["aborted"] * 3
    assert len(looked_at) == 1
    Store(home).close()
    assert list(home.journals.iterdir()) == []
    assert Store(home).integrity() == []


LEAVE_A_CHILD = """
import subprocess
os.set_inheritable(journal._owner_lock._fd, True)
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False, **quiet)
print(child.pid, flush=True)
"""


def test_the_end_of_a_process_whose_lock_a_child_inherited_is_noticed(home: Home, start: Start) -> None:
    process = start(LEAVE_A_RUN.replace("sys.stdin.readline()", LEAVE_A_CHILD))
    assert process.stdout is not None
    process.stdout.readline()
    child = psutil.Process(int(process.stdout.readline()))
    process.wait()
    try:
        assert Store(home).run("left").phase == "aborted"
    finally:
        child.kill()


def foreign_journal(home: Home, owner: Owner) -> None:
    """A journal as another machine left it on a shared disk: nobody here holds its lock."""
    home.ensure()
    name = f"20260101-000000-{uuid.uuid4().hex}"
    header = msgspec.json.encode(SegmentHeader(name, 0, owner))
    events = [encode_event(RunStarted("far", 10, "shop.main"))]
    segment_path(home.journals, name, 0).write_bytes(pack_frames([header]) + pack_frames(events))


def test_the_runs_of_another_machine_are_never_aborted(home: Home) -> None:
    foreign_journal(home, Owner("elsewhere", "another boot", "", 1, "0"))
    assert Store(home).run("far").phase == "running"
    assert len(list_segments(home.journals)) == 1


def test_the_runs_of_an_earlier_boot_are_aborted(home: Home) -> None:
    foreign_journal(home, Owner(socket.gethostname(), "another boot", "", 1, "0"))
    assert Store(home).run("far").phase == "aborted"


def test_full_segments_of_a_living_process_are_deleted_once_folded(
    home: Home, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 500)
    journal = Journal.create(home)
    for k in range(5):
        record(journal, f"r{k}")
    assert len(list_segments(home.journals)) == 5
    assert len(Store(home).runs()) == 5
    Store(home).close()
    assert [segment.number for segment in list_segments(home.journals)] == [4]
    record(journal, "r5")
    assert len(Store(home).runs()) == 6
    assert Store(home).integrity() == []


def test_a_torn_tail_costs_one_warning_and_nothing_else(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "whole", "torn")
    path = segment_path(home.journals, journal.identifier, 0)
    journal.close()
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(StoreWarning, match="torn when its process ended"):
        assert Store(home).runs() == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Store(home).integrity()) == 1


def test_an_incomplete_frame_of_a_living_process_is_waited_for(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "whole")
    path = segment_path(home.journals, journal.identifier, 0)
    complete = path.read_bytes()
    following = pack_frames([encode_event(RunStarted("next", 10, "shop.main"))])
    with path.open("ab") as file:
        file.write(following[:20])
        file.flush()
        assert [run.name for run in Store(home).runs()] == ["whole"]
        file.write(following[20:])
    assert {run.name for run in Store(home).runs()} == {"whole", "next"}
    assert path.read_bytes().startswith(complete)


def test_damage_in_the_middle_costs_that_frame_only(home: Home, journal: Journal, record: Record) -> None:
    for run in ("one", "two", "three"):
        record(journal, run)
    path = segment_path(home.journals, journal.identifier, 0)
    data = bytearray(path.read_bytes())
    data[data.index(b"\xa3two")] ^= 1
    path.write_bytes(data)
    with pytest.warns(StoreWarning, match="damaged on the disk"):
        assert {run.name for run in Store(home).runs()} == {"one", "three"}
    assert "damaged on the disk" in Store(home).integrity()[0]


def test_what_is_not_an_event_is_reported_and_passed_over(home: Home, journal: Journal, record: Record) -> None:
    journal.append(msgspec.msgpack.encode(["of a later release", 1]))
    record(journal, "one")
    with pytest.warns(StoreWarning, match="not an event"):
        assert [run.name for run in Store(home).runs()] == ["one"]


def test_an_action_whose_beginning_was_lost_is_there_all_the_same(home: Home, journal: Journal, record: Record) -> None:
    record(journal, RunStarted("r", 10, "shop.main"), ActionEnded("r", "a9", 1, "succeeded", 11, 12, pack([1])))
    assert Store(home).action("r", "a9").phase == "succeeded"


def test_logs_keep_their_order(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "r", *(LogWritten("r", "a0", 1, 100 + k // 2, "stdout", f"line {k}") for k in range(10)))
    store = Store(home)
    assert [row.text for row in store.logs("r")] == [f"line {k}" for k in range(10)]
    assert [row.text for row in store.logs("r", "a0", limit=3)] == ["line 7", "line 8", "line 9"]
    assert [row.text for row in store.logs("r", after=102, limit=2)] == ["line 6", "line 7"]
    assert store.logs("r", "a1") == []


DIE_IN_A_FOLD = """
import os, signal, threading
delay = float(sys.argv[2])
threading.Thread(target=lambda: (time.sleep(delay), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
while True:
    Store(home).runs()
    Store(home).close()
"""


@pytest.mark.parametrize("delay_seconds", [0.05, 0.15])
def test_a_fold_that_is_killed_loses_and_repeats_nothing(
    home: Home, journal: Journal, record: Record, start: Start, delay_seconds: float
) -> None:
    die_in_a_fold(home, journal, record, start, [delay_seconds])


@pytest.mark.long
def test_a_fold_that_is_killed_anywhere_loses_and_repeats_nothing(
    home: Home, journal: Journal, record: Record, start: Start
) -> None:
    die_in_a_fold(home, journal, record, start, [k * 0.004 for k in range(60)])


def die_in_a_fold(home: Home, journal: Journal, record: Record, start: Start, delays_seconds: list[float]) -> None:
    for number, delay in enumerate(delays_seconds):
        process = start(DIE_IN_A_FOLD, delay)
        part = 0
        while process.returncode is None:
            record(journal, f"r{number}.{part}", count=20)
            part += 1
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.002)
        store = Store(home)
        assert len([run for run in store.runs(limit=None) if run.name.startswith(f"r{number}.")]) == part
    counted = store.sql("SELECT run, count(*) AS n FROM actions GROUP BY run")
    assert set(counted["n"]) == {20}
    assert store.integrity() == []
