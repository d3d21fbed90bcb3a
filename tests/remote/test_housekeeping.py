"""Pruning and moving runs that tasks really made: what stays works on, what goes is gone."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.io import File
from flyte_nb.remote import Run, export_run, import_run, prune
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.upkeep.housekeeping import export, import_, prune_runs
from flyte_nb.store.queries import Store
from flyte_nb.store.retention import PENDING_SECONDS
from flyte_nb.store.values import ValueStore
from tests.processes import until

env = flyte.TaskEnvironment("keeping")


@env.task
async def fill(seed: int) -> Any:
    return numpy.full(300_000, seed)


@env.task(cache="auto")
async def fill_once(seed: int) -> Any:
    return numpy.full(300_000, seed)


@env.task(cache="auto")
async def write(text: str) -> File:
    file = File.new_remote("note.txt")
    async with file.open("wb") as handle:
        await handle.write(text.encode())
    return file


@env.task
async def main(seed: int) -> Any:
    print("seed", seed)
    await write(f"seed {seed}")
    return await fill(seed)


def age_values(seconds: float = 2 * PENDING_SECONDS) -> None:
    """As if all values had been put some time ago."""
    values = ValueStore()
    then = time.time() - seconds
    for digest, _ in list(values.stored()):
        os.utime(values.path(digest), (then, then))


def value_count() -> int:
    return len(list(ValueStore().stored()))


def test_pruned_runs_are_gone_and_the_others_still_give_their_values() -> None:
    runs = [flyte.run(main, seed) for seed in range(4)]
    age_values()
    pruned = prune(keep=1)
    assert pruned.runs == [run.name for run in runs[:3]]
    assert pruned.values >= 3
    assert [run.name for run in Run.listall()] == [runs[3].name]
    with pytest.raises(KeyError, match="No run is named"):
        Run.get(runs[0].name)
    assert runs[3].outputs()[0].sum() == 3 * 300_000
    end_session()
    assert Run.get(runs[3].name).outputs()[0].sum() == 3 * 300_000
    assert Store.open().integrity() == []


def test_the_file_of_a_cached_result_outlives_the_run_that_wrote_it() -> None:
    first = flyte.run(write, "once")
    second = flyte.run(write, "once")
    assert second.root.source.endswith(f"{first.name}/a0")
    prune(keep=1)
    file = Path(second.outputs()[0].path)
    assert file.read_text() == "once"
    os.utime(file.parents[1], (0, 0))
    prune(older_than=timedelta(0))
    assert not file.exists()
    assert not flyte.run(write, "once").root.source


def test_a_cached_result_that_is_used_stays_with_its_values(flyte_nb_home: Path) -> None:
    computed = flyte.run(fill_once, 7)
    (result,) = (path for path in (flyte_nb_home / "cache").glob("*/*") if not path.name.startswith("code-"))
    for _ in range(2):
        age_values()
        os.utime(result, (0, 0))
        hit = flyte.run(fill_once, 7)
        assert hit.root.source == f"cache:{computed.name}/a0"
        assert all(
            time.time() - state.st_mtime < PENDING_SECONDS
            for _, state in ValueStore().stored()
            if state.st_size > 10**6
        )
    pruned = prune(older_than=timedelta(minutes=1))
    assert (pruned.cached, pruned.values) == (0, 0)
    os.utime(result, (0, 0))
    assert prune(older_than=timedelta(minutes=1)).cached == 1


def test_a_live_run_and_its_values_stay() -> None:
    live = flyte.with_runcontext().start(wait_for, str(Path(os.environ["FLYTE_NB_HOME"]) / "go"), numpy.zeros(300_000))
    age_values()
    assert prune(keep=0).runs == []
    Path(os.environ["FLYTE_NB_HOME"], "go").touch()
    assert live.outputs()[0].sum() == 0
    prune(keep=0)
    assert list(Run.listall()) == []


@env.task
def wait_for(path: str, array: Any) -> Any:
    until(Path(path).exists)
    return array


def test_code_kept_in_memory_is_written_anew_once_it_was_pruned() -> None:
    flyte.run(fill, 1)
    age_values()
    prune(keep=0)
    assert value_count() == 0
    run = flyte.run(fill, 2)
    assert ValueStore().is_intact(Store.open().run(run.name).code)


def test_a_run_moves_to_another_store_and_gives_the_same_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = flyte.with_runcontext(name="moved", labels={"team": "red"}).run(main, 3)
    assert export_run(run, tmp_path / "moved.zip") == tmp_path / "moved.zip"
    end_session()
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "other"))
    moved = import_run(tmp_path / "moved.zip")
    assert (moved.name, moved.phase.value, moved.labels) == ("moved", "succeeded", {"team": "red"})
    assert moved.outputs()[0].sum() == 3 * 300_000
    assert list(moved.logs().lines()) == ["seed 3"]
    file = moved.actions(task="write")[0].outputs()[0]
    assert Path(file.path).is_relative_to(tmp_path / "other" / "data" / "moved")
    assert Path(file.path).read_text() == "seed 3"
    assert import_run(tmp_path / "moved.zip").name == "moved-2"
    assert Store.open().integrity() == []


def test_commands_say_what_they_did(tmp_path: Path) -> None:
    run = flyte.with_runcontext(name="r1").run(fill, 1)
    said = export("r1", str(tmp_path / "r1.zip"), False)
    assert said.startswith(f"Run r1 is in {tmp_path / 'r1.zip'} (")
    assert said.endswith(" kB): %flyte import r1.zip")
    assert import_(str(tmp_path / "r1.zip")) == "Run r1-2 of keeping.fill, succeeded: %flyte show r1-2"
    flyte.run(fill, 2)
    age_values()
    said = prune_runs(None, 1, None, True)
    assert said.startswith("Would delete 2 runs, 1 value")
    assert "(r1-2, r1); the store would shrink from" in said
    assert prune_runs("30d", None, "5GB", False).startswith("Deleted nothing; the store shrank from")
    assert prune_runs(None, 1, None, False).startswith("Deleted 2 runs, 1 value")
    assert run.name not in [one.name for one in Run.listall()]


@pytest.mark.parametrize(
    ("older_than", "max_size", "message"),
    [
        ("a month", None, "--older-than takes a length of time such as 7d, 12h or 30m, got 'a month'"),
        (None, "5", "--max-size takes a size such as 500MB or 5GB, got '5'"),
        (None, "5 apples", "--max-size takes a size such as 500MB or 5GB, got '5 apples'"),
    ],
)
def test_bounds_that_are_none_are_refused(older_than: str | None, max_size: str | None, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        prune_runs(older_than, None, max_size, False)


def test_negative_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="keep must not be negative, got -1"):
        prune(keep=-1)
    with pytest.raises(ValueError, match=r"older_than must not be negative, got -86400\.0"):
        prune(older_than=timedelta(days=-1))
