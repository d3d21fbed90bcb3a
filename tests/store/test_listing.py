"""The list of runs: whether it has changed is told without opening the database."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.listing import Activity, RunFilter, activity, list_runs, revision

Start = Callable[..., "subprocess.Popen[str]"]
Record = Callable[..., None]

RUNS_ON = """
journal = Journal.create(home)
record(journal, RunStarted("r1", time.time_ns(), "shop.main", {}))
record(journal, ActionStarted("r1", "a0", "", "task", "shop.main", 0, 0, time.time_ns(), b""))
journal.flush()
print("recorded", flush=True)
time.sleep(600)
"""


def test_the_death_of_a_process_is_a_change_and_ends_its_runs(home: Home, start: Start) -> None:
    process = start(RUNS_ON)
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    assert activity(home) == Activity(1, 1)
    living = revision(home)
    assert revision(home) == living
    process.kill()
    process.wait()
    assert revision(home) != living
    assert [run.phase for run in list_runs(home, RunFilter()).rows] == ["aborted"]
    assert activity(home) == Activity(0, 0)


def test_a_home_in_which_nothing_was_recorded_has_a_revision_and_stays_as_it_is(home: Home) -> None:
    assert revision(home) == "empty"
    assert not home.path.exists()


def test_runs_that_started_together_stand_on_one_page_each(home: Home, journal: Journal, record: Record) -> None:
    record(journal, *(f"r{number}" for number in range(5)))
    pages, cursor = [], ""
    while not pages or cursor:
        page = list_runs(home, RunFilter(), cursor, limit=2)
        pages.append([run.name for run in page.rows])
        cursor = page.cursor
    assert pages == [["r4", "r3"], ["r2", "r1"], ["r0"]]


@pytest.mark.parametrize("cursor", ["x", "-r1", "12", "12-", "1.5-r1"])
def test_what_is_no_cursor_is_refused(home: Home, cursor: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor: take the one that came with the page before"):
        list_runs(home, RunFilter(), cursor)
