"""A run, whole: what `flyte.run` returns and `flyte.remote.Run.get` finds again, in this process and in others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session, session
from flyte_nb.errors import ActionAbortedError, RuntimeUserError
from flyte_nb.models import ActionPhase
from flyte_nb.remote import Action, Run, RunDetails, TimeFilter
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import find_run
from tests.remote import tasks

PROJECT = Path(__file__).resolve().parents[2]
FROM = pytest.mark.parametrize("forget", [lambda: None, end_session], ids=["memory", "store"])
"""The run is answered for by this process's memory, or by the store once its session has ended."""

SCRIPT = """
from dataclasses import dataclass
import flyte_nb as flyte

env = flyte.TaskEnvironment("elsewhere")

@dataclass
class Point:
    x: int
    y: list[float]

@env.task
async def moved(point: Point) -> Point:
    print("moving")
    return Point(point.x + 1, [*point.y, 0.5])

print(flyte.run(moved, Point(1, [2.0])).name)
"""


def named(runs: Any) -> list[str]:
    return [run.name for run in runs]


def failed_run() -> Run:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(tasks.buys_what_is_sold_out)
    run: Run = raised.value.run
    return run


@FROM
def test_a_run_says_what_it_was_and_when(forget: Callable[[], None]) -> None:
    before = datetime.now(UTC)
    name = flyte.with_runcontext(labels={"team": "red"}).run(tasks.basket, ["fig", "plum"]).name
    forget()
    run = Run.get(name)
    assert (run.name, run.task_name, run.phase, run.labels) == (name, "shop.basket", "succeeded", {"team": "red"})
    assert run.phase is run.raw_phase is ActionPhase.SUCCEEDED
    assert run.end_time is not None
    assert before <= run.start_time <= run.end_time
    assert run.duration == pytest.approx(run.end_time - run.start_time, abs=timedelta(milliseconds=1))
    assert run.done()
    assert run.action_id.name == "a0"
    assert run.url.endswith(f"/{name}")
    assert (run.error, run.error_info, run.first_failure(), run.parent_run) == (None, None, None, None)
    run.raise_for_status()
    assert run.sync() is run


@FROM
def test_inputs_and_outputs_are_fresh_each_time(forget: Callable[[], None]) -> None:
    name = flyte.run(tasks.both, 3).name
    forget()
    run = Run(name)
    run.outputs()[1].append("mine")
    run.inputs()["x"] = 7
    assert run.outputs() == (3, [3, 3])
    assert run.inputs() == {"x": 3}
    assert run.outputs().named_outputs == {"o0": 3, "o1": [3, 3]}
    assert (run.outputs().o0, json.loads(run.outputs().to_json())) == (3, {"o0": 3, "o1": [3, 3]})
    with pytest.raises(AttributeError, match="no output 'o2'; outputs: o0, o1"):
        run.outputs().o2


@FROM
def test_actions_come_parents_first_and_can_be_filtered(forget: Callable[[], None]) -> None:
    name = flyte.run(tasks.basket, ["fig", "plum"]).name
    forget()
    run = Run(name)
    assert [action.task_name for action in run.actions()] == ["shop.basket", "shop.price", "shop.price"]
    prices = run.actions(task="price", phase="succeeded", parent="a0", kind="task")
    assert [(action.group, action.outputs()[0]) for action in prices] == [("prices", 3.0), ("prices", 4.0)]
    assert run.actions(phase=["failed", ActionPhase.ABORTED]) == []
    with pytest.raises(ValueError, match=r"There is no phase 'faild'; did you mean failed\?"):
        run.actions(phase="faild")
    assert named(Action.listall(for_run_name=name, parent_name="a0")) == named(prices)
    price = prices[0]
    assert price.name == run[price.name[:8]].name == Action.get(f"{name}/{price.name}").name
    assert price.action_id.run_name == name
    assert (price.parent_name, price.kind, price.attempt, price.where) == ("a0", "task", 1, "kernel")
    assert price.duration <= run.duration
    assert price.queue_duration >= timedelta(0)
    assert len(run.to_frame()) == 3


@FROM
def test_a_failed_run_says_what_failed_first_and_why(forget: Callable[[], None]) -> None:
    name = failed_run().name
    forget()
    run = Run(name)
    assert run.phase == "failed"
    with pytest.raises(RuntimeUserError, match="no apple left"):
        run.raise_for_status()
    with pytest.raises(RuntimeUserError, match="no apple left"):
        run.outputs()
    first = run.first_failure()
    assert first is not None
    assert first.task_name == "shop.sold_out"
    assert first.error_info is not None
    assert (first.error_info.code, first.error_info.kind) == ("LookupError", "user")
    assert "tasks.py" in first.error_info.place
    assert isinstance(first.error, RuntimeUserError)
    assert "no apple left" in repr(run)


@FROM
def test_logs_are_the_runs_the_actions_or_an_attempts(
    forget: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    name, twice = flyte.run(tasks.basket, ["fig", "plum"]).name, flyte.run(tasks.speaks_twice).name
    forget()
    run = Run(name)
    assert sorted(str(run.logs()).splitlines()) == ["basket of 2", "fig costs", "plum costs"]
    assert list(run.get_logs()) == ["basket of 2"]
    assert list(run.logs(limit=1)) == list(run.logs())[-1:]
    action = run.actions(task="price")[0]
    assert str(run.logs(action.name)) == str(action.logs()) == "fig costs"
    assert "\n".join(run.logs().to_frame()["text"]) == str(run.logs())
    assert list(Run(twice).get_logs()) == ["attempt 0", "attempt 1"]
    assert list(Run(twice).get_logs(attempt=2)) == ["attempt 1"]
    assert next(iter(Run(twice).get_logs(show_ts=True))).startswith(str(run.start_time.year))
    capsys.readouterr()
    Run(twice).show_logs(max_lines=1)
    assert capsys.readouterr().out == "attempt 1\n"


@FROM
def test_attempts_are_kept_with_their_errors(forget: Callable[[], None]) -> None:
    name = flyte.run(tasks.speaks_twice).name
    forget()
    attempts = Run(name).root.attempts
    assert [(row.attempt, row.phase) for row in attempts] == [(1, "failed"), (2, "succeeded")]
    assert attempts[0].error is not None
    assert attempts[0].error.message == "once"


@FROM
def test_a_report_is_html_and_empty_without_one(forget: Callable[[], None]) -> None:
    name, plain = flyte.run(tasks.reports).name, flyte.run(tasks.both, 1).name
    forget()
    assert "<b>sold: 3</b>" in Run(name).get_report()
    assert Run(name).report() == Run(name).root.get_report()
    assert Run(plain).get_report() == ""


@FROM
def test_a_run_is_plain_data(forget: Callable[[], None]) -> None:
    name = failed_run().name
    forget()
    data = json.loads(Run(name).to_json())
    assert (data["name"], data["task"], data["phase"]) == (name, "shop.buys_what_is_sold_out", "failed")
    assert "no apple left" in data["error"]
    action = json.loads(Run(name).root.to_json())
    assert (action["run"], action["name"], action["phase"]) == (name, "a0", "failed")


@FROM
def test_labels_are_set_and_taken_away(forget: Callable[[], None]) -> None:
    name = flyte.with_runcontext(labels={"a": "1", "b": "2"}).run(tasks.both, 1).name
    forget()
    assert Run(name).tag(b=None, c="3").labels == {"a": "1", "c": "3"}
    end_session()
    assert Run(name).labels == {"a": "1", "c": "3"}


def test_runs_are_listed_newest_first_and_by_every_filter() -> None:
    first = flyte.with_runcontext(labels={"team": "red", "n": "1"}).run(tasks.price, "fig")
    second = flyte.with_runcontext(labels={"team": "red"}).run(tasks.basket, ["fig"])
    failed = failed_run()
    everything = [failed.name, second.name, first.name]
    assert named(Run.listall()) == everything
    assert named(Run.listall(limit=2)) == everything[:2]
    assert named(Run.listall(sort_by=("created_at", "desc"))) == everything
    assert named(Run.listall(sort_by=("created_at", "asc"))) == everything[::-1]
    assert named(Run.listall(sort_by=("created_at", "asc"), limit=1)) == [first.name]
    assert named(Run.listall(in_phase=(ActionPhase.FAILED,))) == [failed.name]
    assert named(Run.listall(in_phase=("succeeded", "aborted"))) == [second.name, first.name]
    assert named(Run.listall(task_name="shop.price")) == named(Run.listall(task_name="price")) == [first.name]
    assert named(Run.listall(with_labels={"team": "red"})) == [second.name, first.name]
    assert named(Run.listall(with_labels={"team": "red", "n": "1"})) == [first.name]
    assert named(Run.listall(with_label_keys=["n"])) == [first.name]
    assert named(Run.listall(created_at=TimeFilter(after=second.start_time))) == [failed.name, second.name]
    assert named(Run.listall(created_at=TimeFilter(before=second.start_time))) == [first.name]
    assert named(Run.listall(notebook=first.notebook)) == everything
    assert named(Run.listall(notebook="another.ipynb")) == []


def test_what_only_a_backend_can_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be filtered by task_version"):
        Run.listall(task_version="v1")
    with pytest.raises(ValueError, match="not by 'phase'"):
        Run.listall(sort_by=("phase", "asc"))
    assert named(Run.listall(project=None)) == []


async def test_every_call_that_waits_can_be_awaited() -> None:
    run = await flyte.run.aio(tasks.basket, ["fig"])
    assert (await Run.get.aio(run.name)).name == run.name
    assert [found.name async for found in Run.listall.aio(task_name="basket")] == [run.name]
    assert [action.name async for action in Action.listall.aio(for_run_name=run.name, parent_name="a0")]
    assert [line async for line in run.get_logs.aio()] == ["basket of 1"]
    assert await run.outputs.aio() == (3.0,)
    assert await run.inputs.aio() == {"items": ["fig"]}
    await run.wait.aio()
    await run.raise_for_status.aio()
    assert [details.phase.value async for details in run.watch()] == ["succeeded"]
    details = await run.details.aio()
    assert isinstance(details, RunDetails)
    assert details.name == run.name


def test_a_run_of_another_process_is_loaded_here(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script)]
    environment = {"PYTHONPATH": str(PROJECT), "FLYTE_NB_HOME": str(session().home.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = Run(done.stdout.split()[-1])
    point = run.outputs()[0]
    assert (type(point).__name__, point.x, point.y) == ("Point", 2, [2.0, 0.5])
    assert run.inputs()["point"].y == [2.0]
    assert run.outputs()[0] is not point
    assert list(run.get_logs()) == ["moving"]
    assert run.notebook == "script.py"


def test_loading_one_value_of_an_old_run_reads_that_value_and_no_other(flyte_nb_home: Path) -> None:
    environment = flyte.TaskEnvironment("large")

    @environment.task
    async def filled(number: int) -> np.ndarray:
        return np.full(200_000, number, dtype="int64")

    @environment.task
    async def all_filled(count: int) -> list[np.ndarray]:
        return [await filled(number) for number in range(count)]

    name = flyte.run(all_filled, 8).name
    end_session()
    assert len(list(flyte_nb_home.glob("values/*/*"))) > 8, "eight arrays and the code"
    script = f"""
        import sys
        opened = set()
        def note(event, arguments):
            if event == "open" and "/values/" in str(arguments[0]):
                opened.add(arguments[0])
        sys.addaudithook(note)
        from flyte_nb.remote import Run
        value = Run({name!r})["filled[5]"].outputs()[0]
        print(value[0], value.shape, len(opened))
        """
    done = subprocess.run(
        [sys.executable, "-c", dedent(script)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "5 (200000,) 1\n"


@pytest.mark.usefixtures("waiting")
def test_a_run_in_the_background_is_watched_and_aborted() -> None:
    run = flyte.with_runcontext().start(tasks.waits)
    tasks.started.wait()
    run.wait(wait_for="running")
    assert run.phase == "running"
    assert run.end_time is None
    assert not run.done()
    run.abort("changed my mind")
    run.wait()
    assert run.phase == run.root.phase == "aborted"
    assert run.error_info is not None
    assert "changed my mind" in run.error_info.message
    with pytest.raises(ActionAbortedError):
        run.outputs()
    with pytest.raises(ActionAbortedError):
        run.raise_for_status()
    ended = run.end_time
    run.abort("once more")
    assert (run.end_time, run.phase) == (ended, "aborted")


@pytest.mark.usefixtures("waiting")
def test_outputs_wait_for_a_run_in_the_background() -> None:
    run = flyte.with_runcontext().start(tasks.waits)
    tasks.started.wait()
    with pytest.raises(RuntimeUserError, match="is running: it has no outputs yet"):
        run.root.outputs()
    tasks.release.set()
    assert run.outputs() == (1,)


def test_an_action_that_is_over_stays_as_it_is_when_it_is_aborted() -> None:
    child = flyte.run(tasks.basket, ["fig"]).actions(task="price")[0]
    child.abort()
    assert child.sync().phase == "succeeded"


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(KeyError, match="there are none yet"):
        Run.get("nightly")
    run = flyte.with_runcontext(name="nightly").run(tasks.basket, ["fig"])
    for look_up in (Run, Run.get):
        with pytest.raises(KeyError, match="did you mean nightly"):
            look_up("nighly")
    with pytest.raises(KeyError, match="No action of run nightly is named 'zz'"):
        run["zz"]
    with pytest.raises(KeyError, match="'nothing'"):
        Action.get("nothing/a0")
    with pytest.raises(ValueError, match="Say which action"):
        Action.get("nightly")


@FROM
def test_an_action_is_found_by_the_tasks_that_lead_to_it(forget: Callable[[], None]) -> None:
    name = flyte.run(tasks.markets, ["fig", "plum"]).name
    forget()
    run = Run(name)
    assert run["markets"].name == run["a0"].name == run.root.name
    plum = run["basket[1]/price[1]"]
    assert plum.inputs() == {"item": "plum", "count": 1}
    assert plum.path == "markets/basket[1]/price[1]"
    for path in (plum.path, "shop.basket[-1]/shop.price[-1]", "markets/basket[1]/price[-1]"):
        assert run[path].name == plum.name
    assert run["markets/price"].inputs()["item"] == "sum", (
        "from the root on, although others are called so further down"
    )
    assert [run[action.path].name for action in run.actions()] == named(run.actions())
    with pytest.raises(KeyError, match=r"5 actions of run \w+ are 'price': markets/basket\[0\]/price.*Say which"):
        run["price"]
    with pytest.raises(KeyError, match=r"no action 'markets/baskte'; did you mean markets/basket\[0\], "):
        run["markets/baskte"]
    with pytest.raises(KeyError, match=r"no action 'basket\[2\]'"):
        run["basket[2]"]
    with pytest.raises(KeyError, match="a path is names of tasks"):
        run["//"]


def test_a_task_whose_name_begins_the_name_of_an_action_is_meant_by_it() -> None:
    environment = flyte.TaskEnvironment("letters")

    @environment.task
    async def a(x: int) -> int:
        return x

    @environment.task
    async def outer() -> int:
        return await a(3)

    run = flyte.run(outer)
    assert run["a"].task_name == "letters.a"
    assert run["a0"].task_name == "letters.outer"


@FROM
def test_a_run_is_found_by_an_unambiguous_beginning(forget: Callable[[], None]) -> None:
    for name in ("nightly-one", "nightly-two", "weekly"):
        flyte.with_runcontext(name=name).run(tasks.both, 1)
    forget()
    assert find_run("week").name == "weekly"
    assert find_run("last").name == "weekly"
    with pytest.raises(CommandError, match="2 runs start with 'night'"):
        find_run("night")
    with pytest.raises(CommandError, match="No run is named 'zz'"):
        find_run("zz")


def test_outside_a_notebook_a_run_shows_as_text() -> None:
    run = flyte.run(tasks.both, 1)
    assert run.name in repr(run)
    assert "shop.both" in repr(run)
    assert repr(run.root).startswith("<shop.both a0 succeeded")
