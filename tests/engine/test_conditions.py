"""Conditions: a task waits for somebody's answer, wherever it runs and wherever that comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import flyte_nb as flyte
from flyte_nb.cli.main import cli
from flyte_nb.engine import conditions
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.models import ActionPhase
from flyte_nb.remote import Condition
from flyte_nb.remote.condition import answer
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.source import source
from tests.engine import condition_tasks as tasks
from tests.engine.cells import Kernels
from tests.engine.waiting import begin, signal
from tests.processes import flyte_nb_home, until

__all__ = ["flyte_nb_home"]


@pytest.fixture(autouse=True)
def somebody_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook: nobody is asked on the console."""
    monkeypatch.setattr(conditions, "console", None)


# ---------------------------------------------------------------- where it waits


@pytest.mark.parametrize(
    ("task", "name", "given", "expected"),
    [
        (tasks.publish, "publish", True, True),
        (tasks.publish_cold, "publish", "no", False),
        (tasks.publish_only, "publish", False, False),
        (tasks.threshold, "threshold", "0.85", 0.85),
        (tasks.threshold_cold, "threshold", 1, 1.0),
        (tasks.threshold_on_another_loop, "count", 3, 3),
    ],
)
def test_a_task_goes_on_with_the_answer_wherever_it_runs(task: Any, name: str, given: Any, expected: Any) -> None:
    run = begin(task)
    signal(run, name, given)
    run.wait()
    assert run.outputs()[0] == expected
    assert type(run.outputs()[0]) is type(expected)


def test_the_waiting_is_an_action_with_question_and_answer() -> None:
    run = begin(tasks.publish)
    [waiting] = Condition.listall(run.name)
    assert (waiting.phase, waiting.name, waiting.prompt) == (ActionPhase.PAUSED, "publish", "Publish it?")
    assert (waiting.expected_type, waiting.description, waiting.timeout_seconds) == (bool, "AUC 0.9", None)
    assert source.store.action(run.name, waiting.action_name).phase == "paused"
    waiting.signal(True)
    run.wait()
    action = run[waiting.action_name]
    assert (action.kind, action.parent_name, action.phase) == ("condition", "a0", ActionPhase.SUCCEEDED)
    assert action.inputs()["prompt"] == "Publish it?"
    assert action.outputs()[0] is True
    assert source.store.action(run.name, waiting.action_name).phase == "succeeded"


def test_two_wait_at_once_and_each_gets_its_own_answer() -> None:
    run = begin(tasks.twice, waits_for=2)
    assert {one.name for one in Condition.listall(run.name)} == {"publish", "threshold"}
    assert {run[one.action_name].group for one in Condition.listall(run.name)} == {"review", None}
    signal(run, "threshold", 0.5)
    signal(run, "publish", True)
    run.wait()
    assert tuple(run.outputs()) == (True, 0.5)


def test_whoever_waits_gives_up_its_place_meanwhile() -> None:
    run = begin(tasks.beside)
    until(lambda: any(action.phase == ActionPhase.SUCCEEDED for action in run.actions(task="only.quick")))
    signal(run, "publish", True)
    run.wait()
    assert tuple(run.outputs()) == (True, 1)


def test_a_blocking_wait_in_async_code_is_refused() -> None:
    with pytest.raises(flyte.errors.RuntimeUserError, match=r"Use `await condition.wait.aio\(\)`") as caught:
        flyte.run(tasks.blocks)
    assert caught.value.code == "SyncTaskCallInAsyncContextError"


# ---------------------------------------------------------------- what ends it


def test_an_answer_of_another_type_is_refused_and_the_condition_stays_open() -> None:
    run = begin(tasks.publish)
    waiting = Condition.get("publish", run_name=run.name)
    assert waiting is not None
    with pytest.raises(ValueError, match="'perhaps' is no answer: answer yes or no"):
        waiting.signal("perhaps")
    with pytest.raises(TypeError, match="payload must be bool, int, float, or str, got list"):
        waiting.signal([])  # type: ignore[arg-type]
    waiting.signal("yes")
    with pytest.raises(ConditionNotFoundError, match="does not wait any more"):
        waiting.signal("yes")
    run.wait()


@pytest.mark.parametrize("task", [tasks.in_time, tasks.in_time_cold])
def test_no_answer_in_time_is_an_error_that_the_task_can_catch(task: Any) -> None:
    run = flyte.run(task, 0.01)
    assert run.outputs()[0] == "Condition 'publish' was not signaled within 0.01 seconds."
    [condition] = Condition.listall(run.name)
    assert condition.phase == ActionPhase.TIMED_OUT
    with pytest.raises(ConditionNotFoundError, match=f"'publish' of run {run.name} does not wait any more: timed_out"):
        condition.signal(True)


@pytest.mark.parametrize("task", [tasks.publish, tasks.threshold, tasks.threshold_cold])
def test_a_paused_run_can_be_aborted(task: Any) -> None:
    run = begin(task)
    run.abort("enough")
    assert run.phase == ActionPhase.ABORTED
    assert {condition.phase for condition in Condition.listall(run.name)} == {ActionPhase.ABORTED}


def test_a_condition_aborted_alone_lets_its_task_go_on() -> None:
    run = begin(tasks.goes_on)
    [condition] = Condition.listall(run.name)
    run[condition.action_name].abort("no time")
    run.wait()
    assert run.outputs()[0] == f"Condition 'publish' ({condition.action_name}) was aborted: no time"


def test_a_later_attempt_reuses_the_answer_of_an_earlier_one() -> None:
    run = begin(tasks.tries_again)
    signal(run, "publish", True)
    run.wait()
    assert run.outputs()[0] == "True True"
    assert len(list(Condition.listall(run.name))) == 1


# ---------------------------------------------------------------- after the kernel is gone

CELL = """
env = flyte.TaskEnvironment("review")

@env.task
async def review() -> tuple[bool, float]:
    first = await (await flyte.new_condition.aio("publish", prompt="Publish it?")).wait.aio()
    note(f"answered {first}")
    second = await (await flyte.new_condition.aio("threshold", data_type=float)).wait.aio()
    return first, second
"""
ANSWERS = """
from flyte_nb.engine import conditions
conditions.console = None
def answer_next(run, name, value):
    import time
    while (found := flyte.remote.Condition.get(name, run_name=run.name)) is None or found.phase.value != "paused":
        time.sleep(0.005)
    found.signal(value)
"""
KILLED = """
run = flyte.with_runcontext(name="killed").start(review)
answer_next(run, "publish", True)
while flyte.remote.Condition.get("threshold", run_name="killed") is None:
    pass
os.kill(os.getpid(), 9)
"""


def test_a_recovered_run_keeps_the_answers_given_and_asks_what_was_open(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    kernels.run(ANSWERS, CELL, KILLED, killed=True)
    begun = """
import threading
state = {}
thread = threading.Thread(target=lambda: state.update(run=flyte.rerun("killed", recover=True)))
thread.start()
import time
def asked():
    return [c for run in flyte.remote.Run.listall() if run.name != "killed"
            for c in flyte.remote.Condition.listall(run.name) if c.phase.value == "paused"]
while not (found := asked()):
    time.sleep(0.005)
found[0].signal("0.5")
thread.join()
told = {c.name: c.phase.value for c in flyte.remote.Condition.listall(state["run"].name)}
answer([list(state["run"].outputs()), [c.name for c in found], told])
"""
    outputs, asked, phases = kernels.run(ANSWERS, begun)
    assert outputs == [True, 0.5]
    assert asked == ["threshold"]
    assert phases == {"publish": "recovered", "threshold": "succeeded"}


def test_another_process_answers(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    kernel = kernels.start(ANSWERS, CELL, "answer(list(flyte.run(review).outputs()))")
    ask = """
import time
def paused(name):
    return [c for run in flyte.remote.Run.listall() for c in flyte.remote.Condition.listall(run.name)
            if (c.name, c.phase.value) == (name, "paused")]
def once_paused(name):
    while not (found := paused(name)):
        time.sleep(0.01)
    return found[0]
first = once_paused("publish")
try:
    first.signal("perhaps")
except ValueError as error:
    refused = str(error)
first.signal("yes")
once_paused("threshold").signal(0.25)
answer(refused)
"""
    assert kernels.run(ask) == "'perhaps' is no answer: answer yes or no"
    output, errors = kernel.communicate(timeout=60)
    assert json.loads(output.splitlines()[-1]) == [True, 0.25], errors


# ---------------------------------------------------------------- commands


def test_commands_say_what_they_did_and_what_to_do_instead() -> None:
    run = begin(tasks.twice, waits_for=2)
    conditions_of = {one.name: one.action_name for one in Condition.listall(run.name)}
    with pytest.raises(CommandError, match=r"2 conditions of run .* wait: .* Say which by its action."):
        answer(run.name, None, "yes")
    with pytest.raises(CommandError, match=r"has no condition 'publsh'. Did you mean publish\?"):
        answer(run.name, "publsh", "yes")
    with pytest.raises(CommandError, match="'x' is no answer: answer with a number"):
        answer(run.name, "threshold", "x")
    said = answer(run.name, conditions_of["threshold"][:8], "0.5")
    assert said == f"Condition 'threshold' of run {run.name} is answered: 0.5"
    with pytest.raises(CommandError, match=rf"Condition 'threshold' of run {run.name} does not wait: succeeded."):
        answer(run.name, "threshold", "0.5")
    told = CliRunner().invoke(cli, ["signal", "condition", run.name], input="yes\n")
    assert told.output.splitlines() == [
        "AUC 0.9",
        "Publish it? (bool): yes",
        f"Condition 'publish' of run {run.name} is answered: yes",
    ]
    run.wait()
    assert tuple(run.outputs()) == (True, 0.5)
    with pytest.raises(CommandError, match=f"No condition of run {run.name} waits for an answer."):
        answer(run.name, None, "yes")


def test_what_is_no_condition_cannot_be_answered() -> None:
    run = begin(tasks.publish)
    with pytest.raises(ConditionNotFoundError, match=f"Action a0 of run {run.name} is a task, no condition"):
        source.signal(run.name, "a0", True)
    signal(run, "publish", True)
    run.wait()
    assert Condition.get("other", run_name=run.name) is None
    with pytest.raises(KeyError, match="no-such-run"):
        Condition.get("publish", run_name="no-such-run")
