"""Steps of traced functions stand after a failure of the system, not after the task's own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from tests.engine import replay_tasks as tasks
from tests.processes import flyte_nb_home

__all__ = ["flyte_nb_home"]


@pytest.fixture
def witness(tmp_path: Path) -> str:
    return str(tmp_path / "witness")


def noted(witness: str) -> list[str]:
    return Path(witness).read_text().splitlines()


STEPS = ["asked 1", "computed 2", "streamed 3", "counted 4"]
TWICE = flyte.RetryStrategy(1, flyte.Backoff(base=timedelta(0)))


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("in_the_kernel", "is too slow"),
        ("in_a_process", "is killed"),
        ("in_a_process", "is too slow"),
        ("in_a_process", "takes too much memory"),
        ("in_a_pool", "is killed"),
        ("in_a_pool", "is too slow"),
        ("in_a_thread_of_a_process", "is killed"),
        ("in_a_thread_of_a_process", "is too slow"),
        ("in_a_thread_of_a_process", "takes too much memory"),
    ],
)
def test_after_a_failure_of_the_system_finished_steps_are_not_taken_again(name: str, way: str, witness: str) -> None:
    task: Any = getattr(tasks, name)
    limits: dict[str, Any] = {}
    if way == "is too slow":
        limits = {"timeout": timedelta(seconds=1)}
    elif way == "takes too much memory":
        limits = {"resources": flyte.Resources(memory="150Mi")}
    run = flyte.run(task.override(retries=TWICE, **limits), witness, way)
    assert run.outputs()[0] == [10, 4, [3, 4], [0, 1, 2, 3]]
    steps = [STEPS[1], STEPS[3]] if "thread" in name else STEPS
    assert noted(witness) == ["began", *steps, "began"]
    assert {action.attempt for action in run.actions() if action.kind == "trace"} == {1}


@pytest.mark.parametrize("name", ["in_the_kernel", "in_a_process", "in_a_pool"])
def test_after_the_tasks_own_failure_its_steps_are_taken_again(name: str, witness: str) -> None:
    task: Any = getattr(tasks, name)
    run = flyte.run(task.override(retries=TWICE), witness, "raises")
    assert noted(witness) == ["began", *STEPS, "began", *STEPS]
    assert {action.attempt for action in run.actions() if action.kind == "trace"} == {2}


@pytest.mark.parametrize("name", ["fails_in_the_kernel", "fails_in_a_process"])
def test_a_step_that_failed_is_taken_again(name: str, witness: str) -> None:
    task: Any = getattr(tasks, name)
    run = flyte.run(task.override(retries=TWICE, timeout=timedelta(seconds=1)), witness)
    assert run.outputs()[0] == 1
    assert noted(witness) == ["failed", "succeeded"]


@pytest.mark.parametrize("name", ["clocks_in_the_kernel", "clocks_in_a_process"])
def test_the_clock_stands_where_it_was_read(name: str, witness: str) -> None:
    task: Any = getattr(tasks, name)
    flyte.run(task.override(retries=TWICE, timeout=timedelta(seconds=1)), witness)
    first, second = noted(witness)
    assert first == second


def test_a_durable_sleep_ends_when_it_would_have_ended(witness: str) -> None:
    run = flyte.run(tasks.sleeps.override(retries=TWICE, timeout=timedelta(seconds=1)), witness)
    assert run.outputs()[0] < 0.9, "it slept once more"


def test_a_step_whose_result_could_not_be_recorded_is_taken_again(witness: str) -> None:
    task = tasks.gets_a_lock.override(retries=TWICE, timeout=timedelta(seconds=1))
    assert flyte.run(task, witness).outputs()[0] == "Lock"
    assert noted(witness) == ["made", "made"]


def test_a_checkpoint_goes_on_from_the_last_attempt_that_saved(witness: str) -> None:
    run = flyte.run(tasks.saves.override(retries=flyte.RetryStrategy(2, TWICE.backoff)), witness)
    assert run.outputs()[0] == "saved by attempt 0"
