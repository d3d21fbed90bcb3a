"""The time bounds of an action: which of them ends it, when, and what it says."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from flyte_nb.authoring.timeout import Timeout
from flyte_nb.engine.deadlines import PAUSING, Bounds
from flyte_nb.errors import DeadlineExceededError, MaxQueuedTimeExceededError, MaxRuntimeExceededError
from flyte_nb.executors.base import Outcome
from flyte_nb.executors.fake import Answer, FakeExecutor
from flyte_nb.executors.inline import InlineExecutor
from tests.executors.contract import Waiting, call, waiting

__all__ = ["waiting"]

SHORT = timedelta(milliseconds=20)
LONG = timedelta(hours=1)


def bounds_of(**bounds: timedelta | int) -> Bounds:
    bounded = Bounds(Timeout(**bounds), "env.train")
    assert bounded is not None
    return bounded


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("timeout", [Timeout(), Timeout(0, 0, 0), Timeout(timedelta(0))])
def test_an_action_without_bounds_has_none(timeout: Timeout) -> None:
    assert not Bounds.are_set_by(timeout)


async def test_code_that_runs_too_long_is_ended_and_its_bound_named() -> None:
    bounds = bounds_of(max_runtime=SHORT, max_queued_time=LONG, deadline=LONG)
    with pytest.raises(MaxRuntimeExceededError, match=r"^env.train ran longer than its timeout of 0.02 s$") as raised:
        async with bounds.enforced():
            bounds.moved("running")
            await forever()
    assert raised.value is bounds.error
    assert raised.value.__cause__ is None


async def test_the_runtime_counts_from_when_the_code_runs() -> None:
    bounds = bounds_of(max_runtime=timedelta(milliseconds=200))
    async with bounds.enforced():
        bounds.moved("initializing")
        await asyncio.sleep(0.25)
        bounds.moved("running")
    assert bounds.error is None


async def test_waiting_too_long_to_start_is_an_error_of_its_own() -> None:
    bounds = bounds_of(max_queued_time=SHORT, max_runtime=LONG)
    with pytest.raises(MaxQueuedTimeExceededError, match=r"waited longer than its max_queued_time of 0.02 s to start"):
        async with bounds.enforced():
            await forever()


async def test_all_that_comes_before_the_code_runs_is_one_wait() -> None:
    bounds = bounds_of(max_queued_time=timedelta(milliseconds=60))
    began = time.monotonic()
    with pytest.raises(MaxQueuedTimeExceededError):
        async with bounds.enforced():
            for phase in ("waiting_for_resources", "initializing", "waiting_for_resources"):
                bounds.moved(phase)
                await asyncio.sleep(0.01)
        async with bounds.enforced():
            await forever()
    assert time.monotonic() - began >= 0.06


async def test_the_wait_is_over_once_the_code_runs() -> None:
    bounds = bounds_of(max_queued_time=SHORT)
    async with bounds.enforced():
        bounds.moved("running")
        await asyncio.sleep(2 * SHORT.total_seconds())


async def test_every_attempt_has_its_own_time_and_the_pause_between_them_is_nobodys() -> None:
    bounds = bounds_of(max_queued_time=SHORT, max_runtime=SHORT)
    for expected in (MaxRuntimeExceededError, MaxRuntimeExceededError):
        with pytest.raises(expected):
            async with bounds.enforced():
                bounds.moved("running")
                await forever()
        bounds.moved(PAUSING)
        async with bounds.enforced():
            await asyncio.sleep(2 * SHORT.total_seconds())
        bounds.moved("queued")
    with pytest.raises(MaxQueuedTimeExceededError):
        async with bounds.enforced():
            await forever()


@pytest.mark.parametrize("phase", ["queued", "running", PAUSING])
async def test_the_deadline_counts_in_every_phase(phase: str) -> None:
    bounds = bounds_of(deadline=SHORT, max_queued_time=LONG, max_runtime=LONG)
    with pytest.raises(DeadlineExceededError, match=r"did not end within its deadline of 0.02 s, attempts and waits"):
        async with bounds.enforced():
            bounds.moved(phase)
            await forever()


async def test_the_deadline_runs_on_over_attempts() -> None:
    bounds = bounds_of(deadline=timedelta(milliseconds=50), max_runtime=SHORT)
    errors: list[Exception] = []
    while not errors or not isinstance(errors[-1], DeadlineExceededError):
        with pytest.raises((MaxRuntimeExceededError, DeadlineExceededError)) as raised:
            async with bounds.enforced():
                bounds.moved("queued")
                bounds.moved("running")
                await forever()
        errors.append(raised.value)
    assert len(errors) <= 3


async def test_a_bound_that_was_over_before_ends_the_body_at_its_first_wait() -> None:
    bounds = bounds_of(deadline=SHORT)
    await asyncio.sleep(2 * SHORT.total_seconds())
    with pytest.raises(DeadlineExceededError):
        async with bounds.enforced():
            await forever()


async def test_what_the_body_raises_is_its_own() -> None:
    bounds = bounds_of(max_runtime=LONG)
    with pytest.raises(TimeoutError, match="mine"):
        async with bounds.enforced():
            raise TimeoutError("mine")
    with pytest.raises(MaxRuntimeExceededError, match="my child's"):
        async with bounds.enforced():
            raise MaxRuntimeExceededError("my child's")
    assert bounds.error is None


async def test_a_cancellation_from_outside_stays_one() -> None:
    bounds = bounds_of(max_runtime=LONG, deadline=LONG)

    async def work() -> None:
        async with bounds.enforced():
            bounds.moved("running")
            await forever()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bounds.error is None


async def test_the_bounds_of_a_parent_and_a_child_in_one_task_are_kept_apart() -> None:
    parent, child = bounds_of(max_runtime=LONG), bounds_of(max_runtime=SHORT)
    async with parent.enforced():
        parent.moved("running")
        with pytest.raises(MaxRuntimeExceededError):
            async with child.enforced():
                child.moved("running")
                await forever()
        await asyncio.sleep(0)
    parent, child = bounds_of(max_runtime=SHORT), bounds_of(max_runtime=LONG)
    with pytest.raises(MaxRuntimeExceededError) as raised:
        async with parent.enforced():
            parent.moved("running")
            async with child.enforced():
                child.moved("running")
                await forever()
    assert raised.value is parent.error
    assert child.error is None


# ---------------------------------------------------------------- around an executor


async def test_a_call_that_is_done_in_time_is_left_alone() -> None:
    executor, bounds = FakeExecutor({"env.train": [Answer(Outcome(7))]}), bounds_of(max_runtime=LONG, deadline=LONG)
    async with bounds.enforced():
        bounds.moved("running")
        outcome = await executor.execute(call(len, True, name="env.train"))
    assert outcome.value == 7


async def test_a_call_that_takes_too_long_is_cancelled() -> None:
    executor = FakeExecutor({"env.train": [Answer(Outcome(7), after=asyncio.Event())]})
    bounds = bounds_of(max_runtime=SHORT)
    with pytest.raises(MaxRuntimeExceededError):
        async with bounds.enforced():
            bounds.moved("running")
            await executor.execute(call(len, True, name="env.train"))


@pytest.mark.parametrize("inside", ["spins", "waits_in_c"])
async def test_a_thread_is_ended_and_the_error_says_when_it_could_not_be(waiting: Waiting, inside: str) -> None:
    executor, bounds = InlineExecutor(), bounds_of(max_runtime=SHORT)
    with pytest.raises(MaxRuntimeExceededError) as raised:
        async with bounds.enforced():
            bounds.moved("running")
            await executor.execute(call(getattr(waiting, inside), False))
    assert ("thread could not be ended" in str(raised.value)) == (inside == "waits_in_c")
    assert waiting.ended.is_set() == (inside == "spins")


# ---------------------------------------------------------------- where no timer fires


async def test_code_that_blocked_the_loop_beyond_its_time_has_not_succeeded() -> None:
    bounds = bounds_of(max_runtime=SHORT)
    with pytest.raises(MaxRuntimeExceededError):
        async with bounds.enforced():
            bounds.moved("running")
            time.sleep(2 * SHORT.total_seconds())  # noqa: ASYNC251  # what the user's code should not do


async def test_code_that_swallows_its_cancellation_has_not_succeeded() -> None:
    bounds = bounds_of(max_runtime=SHORT)
    with pytest.raises(MaxRuntimeExceededError):
        async with bounds.enforced():
            bounds.moved("running")
            with suppress(asyncio.CancelledError):
                await forever()


async def test_its_own_error_is_the_one_that_counts_even_if_it_comes_late() -> None:
    bounds = bounds_of(max_runtime=SHORT)
    with pytest.raises(ValueError, match="unlucky"):
        async with bounds.enforced():
            bounds.moved("running")
            time.sleep(2 * SHORT.total_seconds())  # noqa: ASYNC251
            raise ValueError("unlucky")


async def test_from_outside_it_is_overdue_only_while_it_is_enforced() -> None:
    bounds = bounds_of(max_runtime=SHORT)
    async with bounds.enforced():
        assert bounds.overdue_seconds() == 0
    with pytest.raises(MaxRuntimeExceededError):
        async with bounds.enforced():
            bounds.moved("running")
            time.sleep(2 * SHORT.total_seconds())  # noqa: ASYNC251
            assert bounds.overdue_seconds() > 0
    assert bounds.overdue_seconds() == 0


@pytest.mark.parametrize("interrupted", [True, False])
async def test_a_cancellation_that_comes_of_an_interruption_is_the_bounds_error(interrupted: bool) -> None:
    bounds = bounds_of(deadline=SHORT)
    with pytest.raises(DeadlineExceededError if interrupted else asyncio.CancelledError):
        async with bounds.enforced():
            bounds.moved("running")
            if interrupted:
                bounds.interrupt()
            raise asyncio.CancelledError


def test_the_error_can_be_made_without_the_loop() -> None:
    error: Any = bounds_of(max_runtime=SHORT, deadline=LONG)
    error.moved("running")
    assert str(error.overdue_error("it is stuck")) == "env.train ran longer than its timeout of 0.02 s; it is stuck"
