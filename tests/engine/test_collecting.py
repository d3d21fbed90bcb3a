"""While many calls wait the garbage collector looks less often, and afterwards as before."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

import flyte_nb as flyte
from flyte_nb.engine.collecting import MANY, PATIENT, CallsWaiting

env = flyte.TaskEnvironment("collected")
DEFAULT = (700, 10, 10)


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*DEFAULT)
    yield
    gc.set_threshold(*before)


@env.task
async def child(number: int) -> tuple[int, int, int]:
    return gc.get_threshold()


@env.task
async def main(count: int) -> list[tuple[int, int, int]]:
    return await asyncio.gather(*(child(number) for number in range(count)))


def wait(calls: int) -> CallsWaiting:
    waiting = CallsWaiting()
    for _ in range(calls):
        waiting.more()
    return waiting


def end(waiting: CallsWaiting, calls: int) -> None:
    for _ in range(calls):
        waiting.less()


def test_a_run_that_may_reuse_many_counts_as_many_until_its_end() -> None:
    waiting = CallsWaiting()
    waiting.more(10 * MANY)
    waiting.more()
    waiting.less()
    assert gc.get_threshold() == PATIENT
    waiting.less(10 * MANY)
    assert gc.get_threshold() == DEFAULT


def test_few_calls_leave_the_collector_alone() -> None:
    wait(MANY - 1)
    assert gc.get_threshold() == DEFAULT


def test_many_calls_make_it_patient_until_the_last_of_them_is_over() -> None:
    waiting = wait(MANY + 1)
    assert gc.get_threshold() == PATIENT
    end(waiting, MANY)
    assert gc.get_threshold() == PATIENT
    end(waiting, 1)
    assert gc.get_threshold() == DEFAULT


def test_what_a_task_sets_meanwhile_stays() -> None:
    waiting = wait(MANY)
    gc.set_threshold(5_000, 5, 5)
    end(waiting, MANY)
    assert gc.get_threshold() == (5_000, 5, 5)


@pytest.mark.parametrize("set_by_user", [(0, 10, 10), (100_000, 10, 10)])
def test_a_collector_that_is_off_or_looks_more_rarely_stays_so(set_by_user: tuple[int, int, int]) -> None:
    gc.set_threshold(*set_by_user)
    waiting = wait(MANY)
    assert gc.get_threshold() == set_by_user
    end(waiting, MANY)
    assert gc.get_threshold() == set_by_user


def test_a_run_leaves_the_thresholds_as_they_were() -> None:
    flyte.run(main, 10)
    assert gc.get_threshold() == DEFAULT
