"""Runs: tasks call tasks, sync and async, to any depth, and everything is recorded."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.errors import RuntimeUserError, SyncTaskCallInAsyncContextError

env = flyte.TaskEnvironment("runs")
AT_ONCE = flyte.Backoff(base=timedelta(0))
attempts: list[int] = []
asleep = threading.Event()


@env.task
async def add(a: int, b: int = 1) -> int:
    return a + b


@env.task
def double(x: int) -> int:
    return 2 * x


@env.task
async def tree(width: int) -> int:
    return sum(await asyncio.gather(*[add(i) for i in range(width)]))


@env.task
async def down(depth: int) -> int:
    return 0 if depth == 0 else 1 + await down(depth - 1)


@env.task
def down_in_threads(depth: int) -> int:
    return 0 if depth == 0 else 1 + down_in_threads(depth - 1)


@env.task
def async_child_in_sync_task(x: int) -> int:
    return asyncio.run(add(x))


@env.task
async def sync_child_in_async_task(x: int) -> int:
    return await double.aio(x)


@env.task
async def blocking_call(x: int) -> int:
    return double(x)


@env.task
async def appends(items: list[int]) -> list[int]:
    items.append(99)
    return items


@env.task
async def lends() -> list[list[int]]:
    mine = [1]
    theirs = await appends(mine)
    theirs.append(100)
    return [mine, theirs]


@env.task
async def same_call_three_times() -> list[int]:
    return list(await asyncio.gather(add(1), add(1), add(1)))


@env.task(retries=flyte.RetryStrategy(2, AT_ONCE))
async def third_time_lucky() -> int:
    attempts.append(1)
    if len(attempts) < 3:
        raise ValueError(f"attempt {len(attempts)}")
    return len(attempts)


@env.task(retries=flyte.RetryStrategy(5, AT_ONCE))
async def hopeless() -> int:
    attempts.append(1)
    raise flyte.errors.NonRecoverableError("never")


@env.task
async def counted() -> int:
    attempts.append(1)
    return len(attempts)


@env.task(retries=flyte.RetryStrategy(1, AT_ONCE))
async def fails_after_its_child() -> int:
    child = await counted()
    if flyte.ctx().attempt_number == 0 and len(attempts) == 1:
        attempts.append(0)
        raise ValueError("after the child")
    return child


@env.task
async def leaves_a_child_behind() -> str:
    task = asyncio.create_task(sleeper(60.0))
    while not asleep.is_set():  # noqa: ASYNC110  # a task of flyte, which knows of no event of this loop
        await asyncio.sleep(0.001)
    return f"{task.done()}"


@env.task
async def sleeper(seconds: float) -> float:
    asleep.set()
    await asyncio.sleep(seconds)
    return seconds


@env.task(timeout=timedelta(milliseconds=50))
async def too_slow() -> int:
    await asyncio.sleep(60)
    return 1


@env.task
async def runs_a_run(x: int) -> int:
    run = await flyte.run.aio(add, x)
    return int(run.outputs()[0])


@env.task
async def starts_a_blocking_run(x: int) -> int:
    return int(flyte.run(add, x).outputs()[0])


@pytest.fixture(autouse=True)
def no_attempts() -> None:
    attempts.clear()


def test_a_run_is_whole_once_it_is_over() -> None:
    run = flyte.run(tree, 3)
    assert run.phase == "succeeded"
    assert run.outputs()[0] == 6
    assert run.inputs() == {"width": 3}
    assert run.task_name == "runs.tree"
    assert run.duration > timedelta(0)
    assert [action.task_name for action in run.actions()] == ["runs.tree", "runs.add", "runs.add", "runs.add"]
    assert [action.inputs()["a"] for action in run.actions(task="add")] == [0, 1, 2]


def test_tasks_call_tasks_to_any_depth() -> None:
    assert flyte.run(down, 300).outputs()[0] == 300


def test_sync_tasks_nest_deeper_than_there_are_places_for_threads() -> None:
    assert flyte.run(down_in_threads, 100).outputs()[0] == 100


def test_async_in_sync_and_sync_in_async() -> None:
    assert flyte.run(async_child_in_sync_task, 4).outputs()[0] == 5
    assert flyte.run(sync_child_in_async_task, 4).outputs()[0] == 8


def test_a_blocking_call_on_the_engine_loop_is_refused_instead_of_deadlocking() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(blocking_call, 4)
    assert raised.value.code == SyncTaskCallInAsyncContextError.__name__
    with pytest.raises(RuntimeUserError, match=r"await flyte\.run\.aio"):
        flyte.run(starts_a_blocking_run, 4)


def test_values_cross_a_boundary_by_value_in_both_directions() -> None:
    assert flyte.run(lends).outputs()[0] == [[1], [1, 99, 100]]


def test_equal_calls_are_actions_of_their_own_and_keep_their_names_from_run_to_run() -> None:
    first, second = (flyte.run(same_call_three_times) for _ in range(2))
    names = [action.name for action in first.actions()]
    assert len(set(names)) == 4
    assert names == [action.name for action in second.actions()]


def test_a_task_is_tried_again_as_often_as_it_says() -> None:
    run = flyte.run(third_time_lucky)
    assert run.outputs()[0] == 3
    assert run.root.attempt == 3
    assert [attempt.phase for attempt in run.root.attempts] == ["failed", "failed", "succeeded"]


def test_a_non_recoverable_error_ends_the_attempts() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(hopeless)
    assert raised.value.code == "NonRecoverableError"
    assert len(attempts) == 1


def test_a_finished_child_is_reused_when_its_parent_is_tried_again() -> None:
    assert flyte.run(fails_after_its_child).outputs()[0] == 1
    assert attempts == [1, 0]


def test_a_child_that_its_parent_did_not_wait_for_is_aborted_with_it() -> None:
    run = flyte.run(leaves_a_child_behind)
    assert run.phase == "succeeded"
    assert [action.phase.value for action in run.actions(task="sleeper")] == ["aborted"]


def test_a_task_that_exceeds_its_timeout_is_timed_out() -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError) as raised:
        flyte.run(too_slow)
    assert raised.value.run.phase == "timed_out"


def test_a_task_may_start_a_run_of_its_own() -> None:
    run = flyte.run(runs_a_run, 5)
    assert run.outputs()[0] == 6
    nested = next(iter(flyte.remote.Run.listall(task_name="runs.add")))
    assert nested.parent_run == run.name


def test_inputs_are_checked_before_anything_is_recorded() -> None:
    before = [run.name for run in flyte.remote.Run.listall()]
    with pytest.raises(ValueError, match="Missing required inputs: a"):
        flyte.run(add)
    with pytest.raises(TypeError, match="Type conversion failed for variable 'a'"):
        flyte.run(add, "one")
    with pytest.raises(TypeError, match="tasks can be run, not generic functions"):
        flyte.run(len, [])
    assert [run.name for run in flyte.remote.Run.listall()] == before


def test_no_more_actions_are_at_work_than_the_run_allows() -> None:
    at_work = Gauge()
    limited = flyte.TaskEnvironment("limited")

    @limited.task
    async def leaf(i: int) -> int:
        with at_work:
            await asyncio.sleep(0.002)
        return i

    @limited.task
    async def branch(i: int) -> int:
        return sum(await asyncio.gather(leaf(3 * i), leaf(3 * i + 1)))

    @limited.task
    async def root() -> int:
        return sum(await asyncio.gather(*[branch(i) for i in range(10)]))

    run = flyte.with_runcontext(max_action_concurrency=2).run(root)
    assert run.outputs()[0] == sum(6 * i + 1 for i in range(10))
    assert at_work.most == 2


def test_many_runs_at_once_do_not_disturb_each_other() -> None:
    async def go() -> list[int]:
        runs = await asyncio.gather(*[flyte.run.aio(tree, n) for n in range(20)])
        return [run.outputs()[0] for run in runs]

    assert asyncio.run(go()) == [n * (n + 1) // 2 for n in range(20)]


def test_custom_context_reaches_children_and_is_recorded_with_the_run() -> None:
    @env.task
    async def reads() -> dict[str, str]:
        return dict(flyte.get_custom_context())

    @env.task
    async def hands_down() -> list[dict[str, str]]:
        with flyte.custom_context(team="b"):
            return [await reads(), dict(flyte.get_custom_context())]

    run = flyte.with_runcontext(custom_context={"team": "a", "stage": "test"}).run(hands_down)
    assert run.outputs()[0] == [{"team": "b", "stage": "test"}] * 2


def test_a_session_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    flyte.run(add, 1)
    its_own = set(threading.enumerate()) - before
    assert {"flyte-engine", "flyte-watcher", "flyte-journal"} <= {thread.name for thread in its_own}
    end_session()
    assert not its_own & set(threading.enumerate())


class Gauge:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *exception: object) -> None:
        self.now -= 1
