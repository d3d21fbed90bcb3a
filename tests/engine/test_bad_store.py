"""Stores that fail under a run: full, deleted, written by a newer release. One error, and the next run works."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session, session
from flyte_nb.store.errors import StoreError, StoreVersionError

env = flyte.TaskEnvironment("store")

FILLS_ITS_DISK = """
import resource
import flyte_nb as flyte
from flyte_nb.store.errors import JournalWriteError, StoreError

env = flyte.TaskEnvironment("full")

@env.task
async def echo(x: str) -> str:
    return x

@env.task
async def many(count: int) -> int:
    for at in range(count):
        await echo(str(at) * 10_000)
    return count

@env.task
async def large(size: int) -> bytes:
    return bytes(size)

def attempt(task, **inputs):
    try:
        return flyte.run(task, **inputs).phase.value
    except StoreError as error:
        assert "Free some space there, or set FLYTE_NB_HOME" in str(error), error
        return type(error).__name__

def limit(size_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

print(attempt(many, count=3))
limit(200_000)
print(attempt(many, count=100), attempt(many, count=1), attempt(large, size=2_000_000))
limit(resource.RLIM_INFINITY)
print(attempt(many, count=4), attempt(large, size=2_000_000))
print(*[run.phase.value for run in flyte.remote.Run.listall()])
print(*[run.error_info.code for run in flyte.remote.Run.listall(in_phase=("failed",))])
"""


@env.task
async def double(x: int) -> int:
    return 2 * x


@env.task
async def wait_for_ever() -> int:
    return await flyte.durable.sleep.aio(3600) or 1


def recorded_inputs() -> list[int]:
    return [run.inputs()["x"] for run in flyte.remote.Run.listall()]


def test_a_full_disk_fails_the_run_and_room_lets_the_next_one_work(flyte_nb_home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FILLS_ITS_DISK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    before, full, after, phases, codes = [line.split() for line in done.stdout.splitlines()]
    assert before == ["succeeded"]
    assert full == ["JournalWriteError", "JournalWriteError", "JournalWriteError"]
    assert after == ["succeeded", "succeeded"]
    assert phases == ["succeeded", "succeeded", "failed", "failed", "failed", "succeeded"]
    assert codes == ["JournalWriteError"] * 3


def test_a_store_deleted_between_runs_is_begun_anew() -> None:
    flyte.run(double, x=1)
    assert recorded_inputs() == [1]
    shutil.rmtree(session().home.path)
    flyte.run(double, x=2)
    assert recorded_inputs() == [2]


def test_a_store_moved_away_keeps_what_it_holds(flyte_nb_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flyte.run(double, x=1)
    moved = flyte_nb_home.with_name(flyte_nb_home.name + "-moved")
    flyte_nb_home.rename(moved)
    flyte.run(double, x=2)
    assert recorded_inputs() == [2]
    end_session()
    monkeypatch.setenv("FLYTE_NB_HOME", str(moved))
    assert recorded_inputs() == [1]


def test_a_store_deleted_under_a_live_run_is_one_error_that_names_the_run() -> None:
    run = flyte.with_runcontext().start(wait_for_ever)
    shutil.rmtree(session().home.path)
    with pytest.raises(StoreError, match=f"while run {run.name} is live. Abort it, or restart the kernel"):
        flyte.run(double, x=1)
    run.abort("over")
    flyte.run(double, x=2)
    assert recorded_inputs() == [2]


def test_values_deleted_before_they_reached_the_disk_break_nothing() -> None:
    flyte.run(double, x=1)
    values = session().values
    values.path(values.put([b"gone"])).unlink()
    values.sync()
    flyte.run(double, x=2)
    assert recorded_inputs() == [2, 1]


def test_a_store_of_a_newer_release_is_refused_and_left_untouched(flyte_nb_home: Path) -> None:
    flyte_nb_home.mkdir()
    (flyte_nb_home / "version").write_text("99")
    for _ in range(2):
        with pytest.raises(StoreVersionError, match="has version 99"):
            flyte.run(double, x=1)
    assert [path.name for path in flyte_nb_home.iterdir()] == ["version"]


def test_a_store_that_cannot_be_made_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StoreError, match="Not a directory"):
        flyte.run(double, x=1)
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "home"))
    flyte.run(double, x=2)
    assert recorded_inputs() == [2]
