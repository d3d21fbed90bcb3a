"""`flyte.run` and `flyte.with_runcontext`: each parameter acts or is recorded, and what Flyte refuses is refused."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.errors import InitializationError
from flyte_nb.models import ActionPhase
from flyte_nb.remote import Run
from tests.remote import tasks

PROJECT = Path(__file__).resolve().parents[2]

RECORDED: dict[str, Any] = {
    "service_account": "robot",
    "version": "v7",
    "copy_style": "all",
    "copy_bundle_to": Path("bundle"),
    "interactive_mode": True,
    "project": "flytesnacks",
    "domain": "development",
    "isolation": "process",
    "interruptible": True,
    "log_format": "json",
    "reset_root_logger": True,
    "queue": "gpu",
    "cache_lookup_scope": "project-domain",
    "preserve_original_types": True,
    "debug": True,
    "overwrite_cache": True,
    "disable_run_cache": True,
    "max_action_concurrency": 5,
    "custom_context": {"team": "red"},
    "run_base_dir": "base",
}
"""Parameters that are kept with the run as they were given, with a value that is not the default."""

ACTING = {"mode", "name", "labels", "annotations", "run_start_time"}
PUBLISHING = {"tracked", "tracked_strict"}
OTHERS = {"raw_data_path", "dry_run", "env_vars", "notifications", "log_level", "user_log_level", "_tracker"}


def test_every_parameter_is_tested_here() -> None:
    assert set(inspect.signature(flyte.with_runcontext).parameters) == {*RECORDED, *ACTING, *PUBLISHING, *OTHERS}


@pytest.mark.parametrize("parameter", RECORDED)
def test_what_means_something_on_a_cluster_only_is_recorded(parameter: str) -> None:
    value = RECORDED[parameter]
    run = flyte.with_runcontext(**{parameter: value}).run(tasks.both, 1)
    assert run.options == {parameter: str(value) if isinstance(value, Path) else value}


def test_defaults_are_not_recorded() -> None:
    assert flyte.run(tasks.both, 1).options == {}
    assert flyte.with_runcontext().run(tasks.both, 1).options == {}


def test_of_what_may_be_secret_only_names_are_recorded() -> None:
    run = flyte.with_runcontext(
        env_vars={"TOKEN": "s3cret", "A": "1"},
        notifications=flyte.notify.Email(on_phase=ActionPhase.FAILED, recipients=("someone@example.com",)),
    ).run(tasks.both, 1)
    assert run.options == {"env_vars": ["A", "TOKEN"], "notifications": ["Email"]}


def test_labels_and_annotations_are_kept_with_the_run() -> None:
    name = flyte.with_runcontext(labels={"a": "1"}, annotations={"why": "because"}).run(tasks.both, 1).name
    end_session()
    assert (Run(name).labels, Run(name).annotations) == ({"a": "1"}, {"why": "because"})


def test_a_name_is_the_runs_and_numbered_when_it_is_used_again() -> None:
    nightly = flyte.with_runcontext(name="nightly")
    assert [nightly.run(tasks.both, 1).name for _ in range(3)] == ["nightly", "nightly-2", "nightly-3"]


def test_what_tasks_see_of_the_options(tmp_path: Path) -> None:
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    run = flyte.with_runcontext(
        name="seen",
        run_start_time=start,
        raw_data_path=f"file://{tmp_path}/raw",
        run_base_dir=str(tmp_path / "base"),
        custom_context={"team": "red"},
    ).run(tasks.what_it_sees)
    assert run.outputs()[0] == {
        "run": "seen",
        "start": start.isoformat(),
        "raw_data_path": f"{tmp_path}/raw",
        "run_base_dir": str(tmp_path / "base"),
        "team": "red",
    }
    assert run.start_time > start


def test_files_of_a_run_go_into_the_store_by_default(flyte_nb_home: Path) -> None:
    run = flyte.run(tasks.what_it_sees)
    seen = run.outputs()[0]
    assert seen["raw_data_path"] == seen["run_base_dir"] == str(flyte_nb_home / "data" / run.name)


@pytest.mark.parametrize(("parameter", "name"), [("log_level", "flyte"), ("user_log_level", "flyte.user")])
def test_log_levels_are_set(parameter: str, name: str) -> None:
    logger = logging.getLogger(name)
    before = logger.level
    try:
        flyte.with_runcontext(**{parameter: logging.ERROR})  # type: ignore[arg-type]
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(before)


@pytest.mark.parametrize("mode", [None, "local"])
def test_runs_are_local(mode: Any) -> None:
    assert flyte.with_runcontext(mode).run(tasks.both, 1).phase == "succeeded"


def test_hybrid_runs_are_local_too_and_need_a_name_and_a_folder(tmp_path: Path) -> None:
    run = flyte.with_runcontext("hybrid", name="both-worlds", run_base_dir=str(tmp_path)).run(tasks.both, 1)
    assert run.name == "both-worlds"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "cloud"}, ValueError, "mode must be local, remote or hybrid, got 'cloud'"),
        ({"mode": "hybrid"}, ValueError, "needs name= and run_base_dir="),
        ({"name": "../escape"}, ValueError, r"got '\.\./escape'"),
        ({"name": "run/action"}, ValueError, "letters, digits"),
        ({"name": ""}, ValueError, "got ''"),
        ({"copy_style": "some"}, ValueError, "copy_style must be one of .*, got 'some'"),
        ({"copy_style": "none"}, ValueError, "needs version="),
        ({"copy_style": "custom"}, ValueError, "Flyte's own"),
        ({"max_action_concurrency": -1}, ValueError, "got -1"),
        ({"max_action_concurrency": 1}, ValueError, "at least 2"),
        ({"dry_run": True}, NotImplementedError, "leave it out to run here"),
        ({"raw_data_path": "s3://bucket/raw"}, ValueError, "local folder here, got 's3://bucket/raw'"),
        ({"nmae": "x"}, TypeError, "nmae"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_anything_runs(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        flyte.with_runcontext(**options)


def test_a_remote_run_without_a_backend_is_refused_and_nothing_is_recorded() -> None:
    with pytest.raises(InitializationError, match=r"flyte\.init\(endpoint=\.\.\.\)"):
        flyte.with_runcontext("remote").run(tasks.both, 1)
    assert list(Run.listall()) == []


def test_no_limit_is_said_with_zero() -> None:
    assert flyte.with_runcontext(max_action_concurrency=0).run(tasks.basket, ["fig"]).phase == "succeeded"


def test_a_run_can_be_awaited_on_any_loop() -> None:
    async def go() -> list[Any]:
        return [(await flyte.with_runcontext(name="awaited").run.aio(tasks.both, 2)).outputs(), await _plain()]

    async def _plain() -> Any:
        return (await flyte.run.aio(tasks.both, x=3)).outputs()

    assert asyncio.run(go()) == [(2, [2, 2]), (3, [3, 3])]


def test_a_run_inside_a_run_names_its_parent() -> None:
    run = flyte.run(tasks.runs_another)
    nested = Run(run.outputs()[0])
    assert nested.parent_run == run.name
    assert nested.notebook == run.notebook


def test_a_failed_run_hangs_on_its_error() -> None:
    with pytest.raises(flyte.errors.RuntimeUserError, match="no apple left") as raised:
        flyte.run(tasks.buys_what_is_sold_out)
    run = raised.value.run
    assert isinstance(run, Run)
    assert run.phase == "failed"


@pytest.mark.usefixtures("waiting")
def test_start_returns_while_the_run_goes_on() -> None:
    run = flyte.with_runcontext(name="background").start(tasks.waits)
    tasks.started.wait()
    assert (run.name, run.done()) == ("background", False)
    tasks.release.set()
    run.wait()
    assert run.done()


def test_a_script_names_itself_as_where_its_runs_started(tmp_path: Path) -> None:
    script = tmp_path / "nightly.py"
    script.write_text(
        "import flyte_nb as flyte\nfrom tests.remote import tasks\nprint(flyte.run(tasks.both, 1).notebook)\n"
    )
    environment = {"PYTHONPATH": str(PROJECT), "FLYTE_NB_HOME": str(tmp_path / "store")}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "nightly.py"


def test_a_name_used_by_another_process_is_numbered_too() -> None:
    first = flyte.with_runcontext(name="shared").run(tasks.both, 1)
    end_session()
    second = flyte.with_runcontext(name="shared").run(tasks.both, 2)
    assert second.name != first.name
    assert Run(first.name).outputs() == (1, [1, 1])


def test_a_runner_reruns_with_its_own_options_and_the_recorded_labels() -> None:
    first = flyte.with_runcontext(labels={"team": "x"}).run(tasks.both, 1)
    again = flyte.with_runcontext(name="again", labels={"stage": "two"}).rerun(first.name, recover=True)
    assert again.name == "again"
    assert again.labels == {"team": "x", "stage": "two"}
    assert again.parent_run == first.name
    assert again.outputs() == first.outputs()
