"""Timeouts of tasks: enforced, retried, recorded; for code that blocks the engine's loop too."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

import flyte_nb as flyte

env = flyte.TaskEnvironment("timeouts")
SHORT = timedelta(milliseconds=50)
attempts: list[int] = []
release = threading.Event()
NOW = flyte.RetryStrategy(2, flyte.Backoff(timedelta(milliseconds=1)))


@pytest.fixture(autouse=True)
def events() -> Any:
    attempts.clear()
    release.clear()
    yield
    release.set()


@env.task(timeout=SHORT)
async def sleeps() -> int:
    await asyncio.sleep(3600)
    return 1


@env.task
async def catches() -> str:
    try:
        await sleeps()
    except flyte.errors.MaxRuntimeExceededError as error:
        return str(error)
    return "nothing"


@env.task
async def does_not_catch() -> int:
    return await sleeps()


@env.task(timeout=SHORT)
async def spins() -> int:
    while True:
        pass


@env.task
async def catches_one_that_spins() -> str:
    try:
        await spins()
    except flyte.errors.MaxRuntimeExceededError:
        return "ended"
    return "nothing"


@env.task
async def spins_for_its_parent() -> int:
    while True:
        pass


@env.task(timeout=SHORT)
async def waits_for_one_that_spins() -> int:
    return (await asyncio.gather(spins_for_its_parent()))[0]


@env.task(timeout=SHORT)
async def blocks_in_c() -> int:
    release.wait()
    return 1


@env.task
async def waits_for_one_that_blocks() -> int:
    return await blocks_in_c()


@env.task(timeout=SHORT, retries=NOW)
async def slow_at_first() -> int:
    attempts.append(len(attempts))
    if len(attempts) < 3:
        await asyncio.sleep(3600)
    return len(attempts)


@env.task(timeout=flyte.Timeout(deadline=timedelta(milliseconds=200)), retries=NOW)
async def beyond_its_deadline() -> int:
    attempts.append(len(attempts))
    await asyncio.sleep(3600)
    return 1


@env.task(timeout=flyte.Timeout(deadline=SHORT), retries=flyte.RetryStrategy(1, flyte.Backoff(timedelta(hours=1))))
async def pauses_beyond_its_deadline() -> int:
    raise ValueError("unlucky")


@env.task(timeout=flyte.Timeout(max_queued_time=SHORT))
async def waits_in_line() -> int:
    return 1


@env.task
async def holds_all_places() -> str:
    holding = [asyncio.ensure_future(holds(i)) for i in range(2)]
    while len(attempts) < 2:  # noqa: ASYNC110  # they run in other tasks, which know of no event
        await asyncio.sleep(0.001)
    try:
        return str(await waits_in_line())
    except flyte.errors.MaxQueuedTimeExceededError as error:
        return str(error)
    finally:
        for each in holding:
            each.cancel()


@env.task
async def holds(i: int) -> int:
    attempts.append(i)
    await asyncio.sleep(3600)
    return i


@env.task
async def quick() -> int:
    return 1


def phases(run: Any) -> dict[str, str]:
    return {action.task_name.rpartition(".")[2]: action.phase.value for action in run.actions()}


def test_a_parent_may_catch_its_childs_timeout() -> None:
    run = flyte.run(catches)
    assert run.outputs()[0] == "timeouts.sleeps ran longer than its timeout of 0.05 s"
    assert phases(run) == {"catches": "succeeded", "sleeps": "timed_out"}


def test_a_parent_that_does_not_catch_it_has_failed_and_not_timed_out() -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError) as raised:
        flyte.run(does_not_catch)
    assert phases(raised.value.run) == {"does_not_catch": "failed", "sleeps": "timed_out"}


def test_code_that_blocks_the_loop_is_ended_too() -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError) as raised:
        flyte.run(spins)
    assert raised.value.run.phase == "timed_out"
    assert flyte.run(quick).outputs()[0] == 1


def test_a_parent_may_catch_that_too() -> None:
    assert flyte.run(catches_one_that_spins).outputs()[0] == "ended"


def test_a_child_that_blocks_the_loop_is_ended_when_its_parents_time_is_over() -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError, match="waits_for_one_that_spins ran longer") as raised:
        flyte.run(waits_for_one_that_spins)
    assert phases(raised.value.run) == {"waits_for_one_that_spins": "timed_out", "spins_for_its_parent": "aborted"}


def test_c_code_that_blocks_the_loop_is_left_behind_and_the_next_run_works() -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError, match="could not be ended") as raised:
        flyte.run(blocks_in_c)
    run = raised.value.run
    assert run.phase == "timed_out"
    assert "may still run" in run.root.note
    assert flyte.run(quick).outputs()[0] == 1


def test_the_run_of_a_parent_of_c_code_that_blocks_the_loop_fails() -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError, match="could not be ended") as raised:
        flyte.run(waits_for_one_that_blocks)
    assert raised.value.run.phase == "failed"
    assert phases(raised.value.run)["blocks_in_c"] == "timed_out"


def test_every_attempt_has_its_own_time() -> None:
    run = flyte.run(slow_at_first)
    assert run.outputs()[0] == 3
    assert attempts == [0, 1, 2]


def test_the_deadline_is_never_tried_again() -> None:
    with pytest.raises(flyte.errors.DeadlineExceededError) as raised:
        flyte.run(beyond_its_deadline)
    assert attempts == [0]
    assert raised.value.run.phase == "timed_out"


def test_the_deadline_ends_the_pause_before_the_next_attempt() -> None:
    with pytest.raises(flyte.errors.DeadlineExceededError) as raised:
        flyte.run(pauses_beyond_its_deadline)
    assert raised.value.run.phase == "timed_out"


def test_waiting_for_a_place_is_bounded() -> None:
    run = flyte.with_runcontext(max_action_concurrency=2).run(holds_all_places)
    assert run.outputs()[0] == "timeouts.waits_in_line waited longer than its max_queued_time of 0.05 s to start"
    assert phases(run)["waits_in_line"] == "timed_out"


@env.task(timeout=1)
def sync_spins() -> int:
    while True:
        time.sleep(3600)


def test_a_sync_task_is_ended_with_its_process() -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError) as raised:
        flyte.run(sync_spins)
    assert raised.value.run.phase == "timed_out"
