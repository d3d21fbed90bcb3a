"""Stores that releases left behind (scripts/store_fixture.py): this one opens, reads, recovers and imports them."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.remote import Run, Task, import_run
from flyte_nb.store.deployments import Deployments
from flyte_nb.store.frames import pack_frames, read_frames
from flyte_nb.store.home import STORE_VERSION, Home
from flyte_nb.store.journal import SegmentHeader, new_identifier, segment_path
from flyte_nb.store.owner import Owner
from flyte_nb.store.queries import Store
from flyte_nb.store.segments import list_segments

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
STORES = sorted(FIXTURES.glob("store-*.zip"))
RUNS = sorted(FIXTURES.glob("run-*.zip"))
WRITTEN_BY = (3, 11)
"""The Python that wrote them: compiled code in pickles is for one version only."""
DEPLOYS_SINCE = 3
"""The version of the store that knows deployed tasks."""


@pytest.fixture(params=STORES, ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest, home: Home) -> Home:
    with zipfile.ZipFile(request.param) as members:
        members.extractall(home.path)
    return home


def test_there_is_a_store_of_this_release() -> None:
    assert FIXTURES / f"store-{STORE_VERSION}.zip" in STORES


def assert_told(home: Home, run: str, phase: str, phases: dict[str, str]) -> None:
    store = Store(home)
    assert store.run(run).phase == phase
    assert {action.task: action.phase for action in store.actions(run)} == phases


def assert_whole(home: Home) -> None:
    step = {"price": "succeeded"}
    assert_told(home, "succeeded", "succeeded", {"shop.main": "succeeded", **step, "shop.fit": "succeeded"})
    assert_told(home, "failed", "failed", {"shop.main": "failed", **step, "shop.fit": "succeeded"})
    assert Store(home).run("succeeded").labels == {"team": "red"}
    assert [log.text for log in Store(home).logs("failed")] == ["fitting 2000000"]
    assert Store(home).integrity() == []


def test_its_database_is_read(stored: Home) -> None:
    assert_whole(stored)
    assert Run.get("succeeded").outputs()[0] == 2_000_003
    assert len(Run.get("succeeded").actions(task="fit")[0].outputs()[0]) == 2_000_000


def test_its_journals_are_read(stored: Home) -> None:
    stored.database.unlink()
    assert_whole(stored)


def test_the_journal_of_a_killed_process_is_read(stored: Home) -> None:
    assert_told(stored, "crashed", "running", {"shop.crash": "running", "price": "succeeded"})


def test_the_run_of_a_killed_process_of_this_machine_is_aborted(stored: Home) -> None:
    crashed = list_segments(stored.journals)[-1].path
    _, begun = next(read_frames(crashed))
    identifier = new_identifier()
    header = msgspec.json.encode(SegmentHeader(identifier, 0, Owner.current()))
    segment_path(stored.journals, identifier, 0).write_bytes(pack_frames([header]) + crashed.read_bytes()[begun:])
    crashed.unlink()
    assert_told(stored, "crashed", "aborted", {"shop.crash": "aborted", "price": "succeeded"})


@pytest.mark.skipif(sys.version_info[:2] != WRITTEN_BY, reason="its pickles hold code of another Python")
def test_its_runs_are_recovered(stored: Home) -> None:
    (stored.path / "repaired").touch()
    recovered = flyte.rerun("failed", recover=True)
    assert recovered.outputs()[0] == 2_000_003
    assert {action.task_name: action.phase.value for action in recovered.actions()} == {
        "shop.main": "succeeded",
        "price": "recovered",
        "shop.fit": "recovered",
    }


@pytest.mark.skipif(sys.version_info[:2] != WRITTEN_BY, reason="its pickles hold code of another Python")
def test_its_deployed_tasks_are_run(stored: Home) -> None:
    if stored.check_version() < DEPLOYS_SINCE:
        assert list(Task.listall()) == []
        return
    discount = Task.get("offers.discount", auto_version="latest")
    assert flyte.run(discount, price=10.0).outputs()[0] == 9.0
    assert [trigger.name for trigger in Deployments(stored).triggers("offers.discount", "v1")] == ["daily"]


@pytest.mark.parametrize("archive", RUNS, ids=lambda path: path.stem)
def test_its_archives_are_imported(home: Home, archive: Path) -> None:
    run = import_run(archive)
    assert (run.name, run.phase.value, len(run.actions())) == ("failed", "failed", 4)
    assert len(run.actions(task="fit")[0].outputs()[0]) == 2_000_000
    end_session()
    assert Store(home).integrity() == []
