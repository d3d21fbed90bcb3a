"""Another store's server as the backend: its runs are read, its tasks run and called, as those of this project.

The kernel is this process; Flyte's own SDK talks to the server, in a process of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path
from typing import Any

import psutil
import pytest

import flyte_nb as flyte
from flyte_nb.models import ActionPhase
from flyte_nb.notebook.views.bundle import bundle_of_runs
from flyte_nb.remote import Action, Run, Task, TimeFilter, Trigger
from flyte_nb.remote.backend.task import DeployedDefault, task_of_row
from flyte_nb.remote.source import source
from flyte_nb.store.rows import DeployedTaskRow
from tests.processes import one_session, until
from tests.remote.backend import shop
from tests.server.wire import served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Another project's store, with runs and deployed tasks."""
    folder = tmp_path_factory.mktemp("other") / ".flyte_nb"
    with one_session(folder):
        flyte.with_runcontext(name="adds", labels={"team": "x"}).run(shop.total, n=3)
        flyte.with_runcontext(name="fills").run(shop.filled, shop.Basket("fig"))
        with pytest.raises(flyte.errors.RuntimeUserError):
            flyte.with_runcontext(name="fails").run(shop.broken, 7)
        flyte.deploy(shop.env)
    return folder


@pytest.fixture(scope="module")
def backend(home: Path) -> Iterator[str]:
    with served(home, "--execute") as url:
        flyte.init(endpoint=url, insecure=True, project="p", domain="d")
        yield url
        flyte.init()


@pytest.fixture(autouse=True)
def at_a_backend(backend: str) -> None:
    assert flyte.is_control_plane_available()


def test_the_kernel_never_imports_flyte(backend: str, tmp_path: Path) -> None:
    program = (
        "import sys, flyte_nb as flyte, flyte_nb.remote\n"
        f"flyte.init(endpoint={backend!r}, insecure=True, project='p', domain='d')\n"
        "print(flyte.remote.Run.get('adds').done(), 'flyte' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_runs_are_listed_and_filtered_there() -> None:
    assert {run.name for run in Run.listall()} >= {"adds", "fills", "fails"}
    assert [run.name for run in Run.listall(in_phase="failed", task_name="shop.broken")] == ["fails"]
    assert [run.name for run in Run.listall(with_labels={"team": "x"})] == ["adds"]
    assert [run.name for run in Run.listall(with_label_keys=["team"])] == ["adds"]
    assert not list(Run.listall(created_at=TimeFilter(before=Run.get("adds").start_time)))
    with pytest.raises(ValueError, match="does not record notebooks: filter its runs"):
        list(Run.listall(notebook="analysis.ipynb"))


async def test_a_run_is_whole_in_both_call_styles() -> None:
    run = await Run.get.aio("adds")
    assert (run.phase, run.task_name, run.labels) == (ActionPhase.SUCCEEDED, "shop.total", {"team": "x"})
    assert run.outputs() == (await run.outputs.aio()) == (31,)
    assert (await run.inputs.aio()).to_dict() == {"n": 3, "baskets": None}
    assert [run.name async for run in Run.listall.aio(limit=2)]
    assert run.url.endswith("runs/adds")
    assert run.duration.total_seconds() > 0
    assert [details.phase async for details in run.watch()] == [ActionPhase.SUCCEEDED]


def test_actions_have_values_logs_and_parents() -> None:
    run = Run.get("adds")
    prices = run.actions(task="price")
    assert [action.inputs()["item"] for action in prices] == [0, 1, 2]
    assert [action.outputs()[0] for action in prices] == [0, 10, 20]
    assert {action.parent_name for action in prices} == {"a0"}
    assert list(prices[1].get_logs()) == ["pricing 1"]
    assert str(run.logs()).split("\n") == ["pricing 0", "pricing 1", "pricing 2"]
    (traced,) = run.actions(kind="trace")
    assert (traced.task_name, traced.inputs()["price"], traced.outputs()[0]) == ("taxed", 0, 1)
    assert run["price[2]"].outputs()[0] == Action.get("adds/" + prices[2].name[:-1]).outputs()[0] == 20


def test_a_class_of_there_comes_with_its_fields() -> None:
    run = Run.get("fills")
    basket = run.outputs()[0]
    assert (basket.fruit, basket.count) == ("figfig", 2)
    assert run.inputs()["basket"].fruit == "fig"
    assert run.typed_outputs({"o0": shop.Basket}) == {"o0": shop.Basket("figfig", 2)}


def test_a_failure_tells_its_error_and_its_attempts() -> None:
    run = Run.get("fails")
    with pytest.raises(flyte.errors.RuntimeUserError, match="cannot sell 7") as raised:
        run.outputs()
    assert raised.value.code == "ValueError"
    assert [attempt.phase for attempt in run.root.attempts] == ["failed", "failed"]
    assert run.first_failure().name == "a0"


def test_a_run_is_drawn_as_the_explorer_draws() -> None:
    bundle = bundle_of_runs(["adds"], "adds", details=True)
    assert bundle["text/plain"].startswith("✓ shop.total  adds · succeeded")
    assert bundle["text/plain"].count("shop.price") == 3
    assert "pricing 2" in str(bundle["application/vnd.flyte.run+json"])


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: Run.get("add"), "no run 'add' at .* Did you mean adds"),
        (lambda: Action.get("adds/zz"), "no action 'zz' of run adds at"),
        (lambda: Task.get("shop.totl", auto_version="latest").fetch(), "'shop.totl' at .* Did you mean shop.total"),
        (lambda: Task.get("shop.total", version="7").fetch(), "no version '7' of task 'shop.total' at .* newest is "),
        (lambda: Task.get("shop.totl", version="7").fetch(), "'shop.totl' at .* Did you mean shop.total"),
        (lambda: Run.get("adds").tag(a="b"), "labels runs when they start"),
    ],
)
def test_what_is_not_there_is_named(ask: object, told: str) -> None:
    with pytest.raises((KeyError, ValueError, flyte.errors.RuntimeUserError), match=told):
        ask()  # type: ignore[operator]


def test_a_deployed_task_is_fetched_and_run_there() -> None:
    found = shop.deployed("total").fetch()
    assert found.signature.startswith("shop.total(n: int, baskets")
    assert found.docs == "Adds up prices."
    run = flyte.run(shop.deployed("total"), n=2)
    run.wait()
    assert (run.phase, run.outputs()) == ("succeeded", (11,))
    assert run.name in {row.name for row in source.backend.runs()}  # type: ignore[union-attr]


def test_a_default_of_there_is_one_here_where_its_type_is_plain() -> None:
    inputs = [("word", "str"), ("factor", "float"), ("whole", "float"), ("config", "Config"), ("n", "int")]
    defaults = {"word": "a", "factor": 1.5, "whole": 1, "config": "Config(x=1)"}
    row = DeployedTaskRow("shop.sell", "v1", 0, "shop", "", "", "", inputs, [], defaults)
    taken = task_of_row(row).native_interface.inputs
    assert (taken["word"], taken["factor"], taken["n"]) == ((str, "a"), (float, 1.5), (int, Parameter.empty))
    assert taken["whole"] == (Any, DeployedDefault(1)) and taken["config"] == (Any, DeployedDefault("Config(x=1)"))


def test_a_trigger_there_is_fired_by_hand() -> None:
    Trigger.create(flyte.Trigger("by-hand", inputs={"n": 2}, labels={"team": "y"}), "shop.total")
    trigger = Trigger.get(name="by-hand", task_name="shop.total")
    run = flyte.with_runcontext(annotations={"why": "test"}).run(trigger, n=3)
    assert run.outputs() == (31,) and run.inputs()["n"] == 3
    assert (run.labels, run.annotations) == ({"team": "y", "trigger": "by-hand"}, {"why": "test"})
    with pytest.raises(ValueError, match="Inputs of trigger by-hand are given by name"):
        flyte.run(trigger, 3)
    with pytest.raises(ValueError, match=r"Unknown input\(s\) \['m'\] for trigger 'by-hand'"):
        flyte.run(trigger, m=3)
    with pytest.raises(flyte.errors.RemoteTaskUsageError, match=r"fires at .*, which is connected: leave mode='local'"):
        flyte.with_runcontext(mode="local").run(trigger)


def test_deploying_again_what_is_there_changes_nothing() -> None:
    (deployment,) = flyte.deploy(shop.env)
    assert {one.outcome for one in deployment.envs["shop"].deployed_entities} == {"unchanged"}


def test_a_task_is_deployed_under_the_version_that_is_asked_for() -> None:
    (deployment,) = flyte.deploy(shop.here, version="v1")
    assert {one.outcome for one in deployment.envs["here"].deployed_entities} == {"deployed"}
    assert Task.get("here.caller", version="v1").fetch().required_args == ("n",)


def test_a_local_run_awaits_deployed_tasks_and_links_their_runs() -> None:
    run = flyte.with_runcontext(mode="local").run(shop.caller, n=2)
    assert run.outputs()[0] == 11 + 10
    total, price = run.actions(parent="a0")
    assert (total.task_name, total.inputs()["n"], total.outputs()[0]) == ("shop.total", 2, 11)
    there = str(price.logs()).split()[1]
    assert Run.get(there).task_name == "shop.price"


def test_an_error_there_is_raised_where_the_task_is_awaited() -> None:
    run = flyte.with_runcontext(mode="local").run(shop.calls_broken, x=3)
    assert run.outputs()[0].startswith("ValueError: cannot sell 3")


def test_a_run_is_aborted_from_here() -> None:
    run = flyte.run(shop.deployed("slow"))
    run.wait(wait_for="running")
    run.abort("enough")
    run.wait()
    assert (run.phase, run.error_info.message) == ("aborted", run.error_info.message)
    assert "enough" in run.error_info.message


def test_aborting_the_caller_aborts_the_run_there() -> None:
    run = flyte.with_runcontext(mode="local").start(shop.calls_slow)
    logs = until(lambda: str(run.logs()))
    there = Run.get(logs.split()[1])
    there.wait(wait_for="running")
    run.abort()
    run.wait()
    there.wait()
    assert (run.phase, there.phase) == ("aborted", "aborted")


def test_a_run_of_the_backend_is_not_repeated_here() -> None:
    for repeat in (lambda: flyte.rerun("adds"), lambda: flyte.fork("adds", shop.total)):
        with pytest.raises(ValueError, match="The run adds is at http"):
            repeat()


def test_local_runs_are_found_beside_those_of_the_backend() -> None:
    run = flyte.with_runcontext(mode="local", name="only-here").run(shop.price, item=4)
    assert Run.get("only-here").outputs() == run.outputs() == (40,)
    assert "only-here" not in {row.name for row in Run.listall()}


def test_a_process_that_died_is_started_again() -> None:
    (child,) = [child for child in psutil.Process().children() if "flyte_nb.remote.backend.sdk.main" in child.cmdline()]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert {run.name for run in Run.listall()} >= {"adds"}
