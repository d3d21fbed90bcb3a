"""Deployed tasks, called in a run and run, where their source was never seen."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine.code.digests import own_digest
from flyte_nb.engine.session import end_session
from flyte_nb.remote.task import Task
from flyte_nb.store.queries import Store

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = """
from pathlib import Path
import flyte_nb as flyte
written = Path("tests/remote/deployed_tasks.py").read_text()
exec(written)  # as a notebook's cells would declare them
flyte.deploy(env, version="v1")
exec(written.replace("FACTOR = 10", "FACTOR = 20"))
flyte.deploy(env, version="v2")
"""

env = flyte.TaskEnvironment("app")
latest = Task.get("train.fit", auto_version="latest")


def fail_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        raise RuntimeError("stopped")


@env.task
async def fits(depth: int) -> list[float]:
    older = Task.get("train.fit", version="v1")
    return [(await latest(depth=depth))[0], (await older(depth=depth, rate=1.0))[0]]


@env.task
async def overridden() -> int:
    patient = await Task.get("train.fit", version="v1").override.aio(retries=7, short_name="patient")
    await patient(depth=1)
    return 1


@env.task
async def fetched() -> list[Any]:
    details, changed = await latest.fetch.aio(), await latest.override.aio(retries=1)
    run = await flyte.run.aio(details, depth=2)
    return [details.version, *[(await task(depth=2))[0] for task in (details, changed)], run.outputs()[0]]


@env.task
async def stops(mark: str) -> float:
    score, _ = await latest(depth=3)
    fail_once(Path(mark))
    return score


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to which another process has deployed two versions."""
    home = tmp_path_factory.mktemp("deployed") / "store"
    environment = {**os.environ, "FLYTE_NB_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", DEPLOY], env=environment, cwd=PROJECT, check=True, timeout=60)
    return home


@pytest.fixture(autouse=True)
def here(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FLYTE_NB_HOME", str(deployed))
    yield
    end_session()


def tasks_of(run: Any) -> dict[str, str]:
    return {action.task_name: action.phase.value for action in run.actions()}


@pytest.mark.parametrize("isolation", ["kernel", "process"])
def test_a_running_task_calls_deployed_ones_with_the_code_that_was_deployed(isolation: Any) -> None:
    run = flyte.with_runcontext(isolation=isolation).run(fits, 3)
    assert run.outputs()[0] == [30.0, 30.0]
    assert [action.task_name for action in run.actions()].count("train.fit") == 2
    declared = {task.settings.get("version") for task in Store.open().tasks(run.name) if task.task == "train.fit"}
    assert declared == {"v1", "v2"}


def test_a_deployed_task_can_be_run() -> None:
    assert tuple(flyte.run(latest, depth=2).outputs().named_outputs.values()) == (10.0, "a")
    assert flyte.run(latest.fetch(), 2, 1.0, ["b"]).outputs().named_outputs["label"] == "b"
    assert asyncio.run(flyte.run.aio(Task.get("train.fit", version="v1"), depth=2)).outputs()[0] == 5.0
    assert asyncio.run(latest.fetch.aio()).version == "v2"


@pytest.mark.parametrize("isolation", ["kernel", "process"])
def test_a_running_task_fetches_changes_and_runs_deployed_ones(isolation: Any) -> None:
    assert flyte.with_runcontext(isolation=isolation).run(fetched).outputs()[0] == ["v2", 10.0, 10.0, 10.0]


def test_its_code_knows_its_version() -> None:
    run = flyte.run(Task.get("train.both_versions", version="v1"))
    assert run.outputs()[0] == ["v1", "v1"]


def test_override_changes_a_call() -> None:
    run = flyte.run(overridden)
    (row,) = [task for task in Store.open().tasks(run.name) if task.task == "train.fit"]
    assert (row.short_name, row.settings["retries"]) == ("patient", "count=7")
    details = latest.fetch()
    assert details.override(queue="fast").queue == "fast" and details.queue is None
    with pytest.raises(flyte.errors.RemoteTaskUsageError, match="do not support overriding with kwargs"):
        details.override(interruptible=True)
    with pytest.raises(ValueError, match="must be 'disable' or 'override'"):
        details.override(cache=flyte.Cache("auto"))


def test_a_run_that_called_one_goes_on_where_it_stopped_with_the_same_version(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(flyte.errors.RuntimeUserError, match="stopped") as failed:
        flyte.run(stops, str(mark))
    end_session()  # as if the kernel had been started again
    recovered = flyte.rerun(failed.value.run.name, recover=True)  # type: ignore[attr-defined]
    assert recovered.outputs()[0] == 30.0
    assert tasks_of(recovered)["train.fit"] == "recovered"


def test_its_results_are_cached_as_of_any_task() -> None:
    load = Task.get("base.load", version="v1")
    first, again = flyte.run(load, n=40), flyte.run(load, n=40)
    assert first.outputs()[0] == again.outputs()[0]
    assert Store.open().action(again.name, "a0").source == f"cache:{first.name}/a0"


def test_another_version_is_other_code_of_the_task_that_calls_it() -> None:
    def calling(remote: Any) -> str:
        async def calls() -> float:
            return float((await remote(depth=1))[0])

        return own_digest(calls)

    v1, v2 = (Task.get("train.fit", version=version) for version in ("v1", "v2"))
    assert calling(v1) == calling(Task.get("train.fit", version="v1"))
    assert len({calling(v1), calling(v2), calling(v1.override(retries=3))}) == 3


def test_all_versions_are_listed() -> None:
    assert [(task.name, task.version) for task in Task.listall(by_task_env="base")] == [
        ("base.load", "v1"),
        ("base.load", "v2"),
    ]
    newest = Task.listall(by_task_name="train.fit", sort_by=("created_at", "desc"), limit=1)
    assert [task.version for task in newest] == ["v2"]
    assert list(Task.listall(entrypoint=True)) == []
    with pytest.raises(ValueError, match="sorted by created_at, not by 'name'"):
        Task.listall(sort_by=("name", "asc"))


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("train.fitt", None, r"No deployed task is named 'train.fitt'; did you mean train.fit"),
        ("train.fit", "v3", r"No version of deployed task train.fit is named 'v3'; did you mean v"),
    ],
)
def test_what_was_not_deployed_is_refused_with_near_names(name: str, version: str | None, said: str) -> None:
    lazy = Task.get(name, version=version, auto_version=None if version else "latest")
    with pytest.raises(flyte.errors.RemoteTaskNotFoundError, match=said):
        lazy.fetch()


def test_a_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="Either version or auto_version must be provided"):
        Task.get("train.fit")
    with pytest.raises(TypeError, match="takes a text for version, got 3"):
        Task.get("train.fit", version=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be either 'latest' or 'current', got 'newest'"):
        Task.get("train.fit", auto_version="newest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the store on this machine has no projects"):
        Task.get("train.fit", project="flytesnacks", auto_version="latest")
    with pytest.raises(flyte.errors.RemoteTaskUsageError, match="does not support positional arguments"):
        asyncio.run(latest(3))
    with pytest.raises(flyte.errors.RemoteTaskUsageError, match=r"outside of one, flyte.run\(task, ...\)"):
        asyncio.run(latest(depth=3))
    with pytest.raises(flyte.errors.RemoteTaskUsageError, match="the code that runs here was not deployed"):
        Task.get("train.fit", auto_version="current").fetch()
