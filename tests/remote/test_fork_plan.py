"""What a fork will do, told before it starts, against what it then does."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.cli.taskfile import load_file
from flyte_nb.remote.repeats.fork_plan import ForkPlan, plan_fork
from flyte_nb.remote.run import Run

PROGRAM = """
import asyncio
import flyte_nb as flyte

env = flyte.TaskEnvironment("demo")
FACTOR = 10

@flyte.trace
async def step(x: int) -> int:
    return x * FACTOR

@env.task
async def leaf(x: int) -> int:
    return x + 1

@env.task
async def other(x: int) -> int:
    if x == 2:
        raise ValueError("unlucky")
    return x + 2

@env.task
async def middle(x: int) -> int:
    total = await leaf(x) + await leaf(x + 100) + await step(x)
    try:
        return total + await other(x)
    except flyte.errors.RuntimeUserError:
        return total

@env.task
async def last(x: int) -> int:
    return x

@env.task
async def main(n: int) -> int:
    found = await asyncio.gather(*[middle(x) for x in range(n)])
    return await last(sum(found))
"""

EDITS = {
    "nothing": ("", ""),
    "a leaf": ("return x + 1", "return 1 + x"),
    "a task in the middle": ("await leaf(x) + await leaf(x + 100)", "await leaf(x + 100) + await leaf(x)"),
    "a constant that a trace reaches": ("FACTOR = 10", "FACTOR = 5 + 5"),
    "the root": ("return await last(sum(found))", "return await last(sum(found) + 0)"),
    "an interface": ("async def last(x: int) -> int", "async def last(x: int, y: int = 0) -> int"),
    "a comment": ("return x + 1", "return x + 1  # one more"),
}


class Programs:
    """Versions of the program, each a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def load(self, *edit: str, text: str = PROGRAM) -> ModuleType:
        """The program with something replaced."""
        if edit and edit[0]:
            assert edit[0] in text
            text = text.replace(*edit)
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        (folder / "demo_flow.py").write_text(text)
        return load_file(folder / "demo_flow.py")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "demo_flow", ModuleType("demo_flow"))
    return Programs(tmp_path)


def by_task(plan: ForkPlan, *fates: str) -> Counter[str]:
    """How many actions of each task have such a fate."""
    return Counter(one.action.task for one in plan.actions if one.fate in fates)


def reasons_of(plan: ForkPlan) -> dict[str, set[str]]:
    """Why actions run again, by task."""
    reasons: dict[str, set[str]] = {}
    for one in plan.actions:
        if one.fate == "runs":
            reasons.setdefault(one.action.task, set()).add(one.reason)
    return reasons


def check(recorded: Run, task: Any, **inputs: Any) -> ForkPlan:
    """The plan; the fork that follows does what it says."""
    plan, forked = check_counts(recorded, task, **inputs)
    assert sorted(plan.reused) == sorted(one.name for one in forked.actions() if one.phase.value == "recovered")
    return plan


def check_counts(recorded: Run, task: Any, **inputs: Any) -> tuple[ForkPlan, Run]:
    """The plan, and the fork, which reuses and executes as many actions of each task as it says."""
    plan = plan_fork(recorded, task, **inputs)
    forked = flyte.fork(recorded, task, **inputs)
    reused: Counter[str] = Counter()
    executed: Counter[str] = Counter()
    for action in forked.actions():
        (reused if action.phase.value == "recovered" else executed)[action.task_name] += 1
    assert by_task(plan, "reused", "likely") == reused
    assert by_task(plan, "runs") == executed
    return plan, forked


@pytest.mark.parametrize("edited", EDITS)
def test_a_fork_reuses_what_the_plan_says(programs: Programs, edited: str) -> None:
    recorded = flyte.run(programs.load().main, n=3)
    check(recorded, programs.load(*EDITS[edited]).main)


@pytest.mark.parametrize("edited", EDITS)
@pytest.mark.parametrize("edited_before", ["nothing", "a leaf", "a constant that a trace reaches", "the root"])
def test_of_a_run_that_was_forked_itself_a_fork_reuses_what_the_plan_says(
    programs: Programs, edited_before: str, edited: str
) -> None:
    forked = flyte.fork(flyte.run(programs.load().main, n=2), programs.load(*EDITS[edited_before]).main)
    check_counts(forked, programs.load(*EDITS[edited]).main)  # names differ where code is again what it was before


INTERRUPTED = """
import os
import flyte_nb as flyte

env = flyte.TaskEnvironment("demo")

@env.task
async def leaf(x: int) -> int:
    return x + 1

@env.task
async def middle(x: int) -> int:
    return await leaf(x) + await leaf(x)

@env.task
async def stops(x: int, first: str) -> int:
    if os.path.exists("stop"):
        raise RuntimeError("interrupted")
    return x

@env.task
async def main(n: int) -> int:
    total = 0
    for x in range(n):
        total += await middle(x) + await stops(x, "a") + await middle(x + 10)
    return total
"""


@pytest.mark.parametrize(
    "edit", [("return x + 1", "return 1 + x"), ("await leaf(x) + await", "0 + await leaf(x) + await")]
)
def test_of_a_recovery_that_stopped_itself_the_plan_holds_what_was_reached_before(
    programs: Programs, edit: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main = programs.load(text=INTERRUPTED).main
    whole = flyte.run(main, n=2)
    Path("stop").touch()
    stops = [action.name for action in whole.actions(task="stops")]
    with pytest.raises(RuntimeError) as raised:
        flyte.rerun(whole.name, recover=True, force_rerun_actions=stops)
    stopped = raised.value.run
    assert len(stopped.actions()) < len(whole.actions())
    Path("stop").unlink()
    forked_main = programs.load(*edit, text=INTERRUPTED).main
    plan = check(stopped, forked_main)
    assert len(plan.actions) == len(whole.actions())


def test_nothing_runs_again_where_nothing_changed(programs: Programs) -> None:
    recorded = flyte.run(programs.load().main, n=2)
    plan = plan_fork(recorded, programs.load().main)
    assert plan.reused == ["a0"] and plan.reasons == {}
    assert str(plan).splitlines() == [
        f"Fork of {recorded.name} with demo.main as it stands: 0 actions run again, 1 is reused, "
        f"with {len(recorded.actions()) - 1} more inside them",
        "↺ demo.main  n=2 · reused",
    ]


def test_an_edited_leaf_runs_again_with_its_ancestors_only(programs: Programs) -> None:
    recorded = flyte.run(programs.load().main, n=2)
    plan = plan_fork(recorded, programs.load(*EDITS["a leaf"]).main)
    assert reasons_of(plan) == {
        "demo.main": {"code that it reaches changed: demo.leaf"},
        "demo.middle": {"code that it reaches changed: demo.leaf"},
        "demo.leaf": {"its code changed"},
    }


def test_an_edited_parent_runs_again_without_its_children(programs: Programs) -> None:
    recorded = flyte.run(programs.load().main, n=2)
    plan = plan_fork(recorded, programs.load(*EDITS["a task in the middle"]).main)
    assert set(reasons_of(plan)) == {"demo.main", "demo.middle"}
    assert reasons_of(plan)["demo.middle"] == {"its code changed"}


def test_what_waited_for_something_that_runs_again_is_reused_only_with_the_same_inputs(programs: Programs) -> None:
    recorded = flyte.run(programs.load().main, n=2)
    plan = plan_fork(recorded, programs.load(*EDITS["a leaf"]).main)
    fates = {(one.action.task, one.fate) for one in plan.actions if one.fate != "runs"}
    assert fates == {("step", "likely"), ("demo.other", "likely"), ("demo.last", "likely")}
    plan = plan_fork(recorded, programs.load("return x + 2", "return 2 + x").main)
    fates = {(one.action.task, one.fate) for one in plan.actions if one.fate != "runs"}
    assert fates == {("demo.leaf", "reused"), ("step", "reused"), ("demo.last", "likely")}


def test_other_inputs_reuse_the_calls_that_stay_the_same(programs: Programs) -> None:
    program = programs.load()
    recorded = flyte.run(program.main, n=2)
    plan = plan_fork(recorded, program.main, n=4)
    assert plan.reasons == {"a0": "its inputs changed"}
    forked = flyte.fork(recorded, program.main, n=4)
    kept = [action.name for action in forked.actions(task="middle") if action.phase.value == "recovered"]
    assert len(kept) == 2 and set(kept) < set(plan.reused)


def test_what_is_forced_runs_again_with_what_contains_it(programs: Programs) -> None:
    program = programs.load()
    recorded = flyte.run(program.main, n=2)
    (forced, *_) = recorded.actions(task="leaf")
    plan = check(recorded, program.main, force_rerun_actions=[forced.name])
    assert plan.reasons == {
        "a0": "it contains what is forced",
        str(forced.parent_name): "it contains what is forced",
        forced.name: "forced",
    }


def test_what_had_not_succeeded_runs_again(programs: Programs) -> None:
    with pytest.raises(flyte.errors.RuntimeUserError) as caught:
        flyte.run(programs.load("return x\n", "raise ValueError('later')\n").main, n=3)
    recorded = caught.value.run
    plan = plan_fork(recorded, programs.load("return x\n", "raise ValueError('later')\n").main)
    assert set(plan.reasons.values()) == {"it failed"} and set(by_task(plan, "runs")) == {
        "demo.main",
        "demo.last",
    }
    repaired = plan_fork(recorded, programs.load().main)
    assert reasons_of(repaired)["demo.last"] == {"its code changed"}


def test_a_recorded_task_that_is_no_longer_there_is_named(programs: Programs) -> None:
    recorded = flyte.run(programs.load().main, n=1)
    text = PROGRAM.replace("async def other(", "async def another(").replace("await other(", "await another(")
    plan = plan_fork(recorded, programs.load(text=text).main)
    assert plan.gone == ["demo.other"]
    assert str(plan).endswith("No longer there: demo.other")


def test_a_run_of_another_task_gives_nothing(programs: Programs) -> None:
    program = programs.load()
    recorded = flyte.run(program.middle, x=1)
    plan = plan_fork(recorded, program.leaf)
    assert plan.reused == [] and plan.reasons == {"a0": "the run was one of demo.middle"}
    assert {action.phase.value for action in flyte.fork(recorded, program.leaf).actions()} == {"succeeded"}


def test_equal_calls_are_told_apart(programs: Programs) -> None:
    text = PROGRAM.replace("await leaf(x + 100)", "await leaf(x)")
    recorded = flyte.run(programs.load(text=text).main, n=2)
    check(recorded, programs.load(text=text.replace("return x + 1", "return 1 + x")).main)
    check(recorded, programs.load(text=text.replace("return x + 2", "return 2 + x")).main)


def test_a_plan_starts_nothing(programs: Programs) -> None:
    program = programs.load()
    recorded = flyte.run(program.main, n=1)
    plan_fork(recorded, program.main, n=5)
    assert [run.name for run in Run.listall()] == [recorded.name]


def test_many_alike_are_counted(programs: Programs) -> None:
    recorded = flyte.run(programs.load().main, n=12)
    text = str(plan_fork(recorded, programs.load(*EDITS["the root"]).main))
    assert "… 7 more demo.middle: reused if called with the same inputs" in text


def test_errors_name_what_is_wrong(programs: Programs) -> None:
    program = programs.load()
    recorded = flyte.run(program.main, n=1)
    with pytest.raises(flyte.errors.ActionNotFoundError, match="no action nope"):
        plan_fork(recorded, program.main, force_rerun_actions=["nope"])
    with pytest.raises(KeyError, match="No run is named 'nope'"):
        plan_fork("nope", program.main)
    with pytest.raises(ValueError, match=r"demo\.main takes n: int"):
        plan_fork(recorded, program.main, m=1)
    with pytest.raises(TypeError, match="got 'main' for the task"):
        flyte.fork(recorded, "main")
    with pytest.raises(TypeError, match="a run is given as it is or by its name, got 7"):
        flyte.rerun(7)
    with pytest.raises(TypeError, match=r"a list of names of actions, got 'a0': write \['a0'\]"):
        flyte.rerun(recorded, recover=True, force_rerun_actions="a0")
