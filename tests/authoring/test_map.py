"""Mapping a task over inputs."""

from __future__ import annotations

import asyncio
import functools
import itertools
from typing import Any

import pytest

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.map import map as flyte_map
from flyte_nb.errors import SyncTaskCallInAsyncContextError

env = TaskEnvironment("maps")


@env.task
async def square(x: int) -> int:
    if x == 13:
        raise ValueError("unlucky")
    return x * x


@env.task
def multiply(x: int, y: int) -> int:
    return x * y


def collect(*args: Any, **kwargs: Any) -> list[Any]:
    async def run() -> list[Any]:
        return [result async for result in flyte_map.aio(*args, **kwargs)]

    return asyncio.run(run())


BOTH_WAYS = pytest.mark.parametrize("run", [collect, lambda *a, **k: list(flyte_map(*a, **k))], ids=["aio", "sync"])


@BOTH_WAYS
def test_results_come_in_the_order_of_the_inputs(run: Any, inside_task: Any) -> None:
    assert run(square, range(5)) == [0, 1, 4, 9, 16]
    assert [call[1] for call in inside_task.calls] == ["maps.square_map"] * 5


@BOTH_WAYS
def test_outside_a_run_the_plain_function_is_called(run: Any) -> None:
    assert run(square, [1, 2]) == [1, 4]
    assert run(multiply, [1, 2], [3, 4]) == [3, 8]


@BOTH_WAYS
def test_the_group_can_be_named(run: Any, inside_task: Any) -> None:
    run(square, [1], group_name="fits")
    assert inside_task.calls == [("maps.square", "maps.square_fits", (1,), {})]


@BOTH_WAYS
def test_the_shortest_input_ends_the_map(run: Any) -> None:
    assert run(multiply, [1, 2, 3], [10, 20]) == [10, 40]
    assert run(square, []) == []
    assert run(square) == []


@BOTH_WAYS
def test_an_error_takes_the_place_of_its_result(run: Any, inside_task: Any) -> None:
    one, error, nine = run(square, [1, 13, 3])
    assert (one, nine) == (1, 9)
    assert isinstance(error, ValueError)


@BOTH_WAYS
def test_the_first_error_is_raised_when_asked_for(run: Any, inside_task: Any) -> None:
    with pytest.raises(ValueError, match="unlucky"):
        run(square, [1, 13, 3], return_exceptions=False)


@BOTH_WAYS
def test_a_partial_leaves_one_parameter_open(run: Any, inside_task: Any) -> None:
    assert run(functools.partial(multiply, y=10), range(3)) == [0, 10, 20]
    assert run(functools.partial(multiply, 10), range(3)) == [0, 10, 20]


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (functools.partial(multiply, x=1, y=2), "Found 0 unspecified parameters in maps.multiply"),
        (functools.partial(multiply), "Found 2 unspecified parameters in maps.multiply"),
        (functools.partial(multiply, x=1), "Parameter 'x' is provided both as positional argument and keyword"),
        (lambda x: x, "flyte.map takes a task or a functools.partial of one"),
    ],
)
def test_what_is_no_task_of_one_open_parameter_is_refused(func: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        list(flyte_map(func, [1]))


def test_calls_are_concurrent(inside_task: Any) -> None:
    barrier: list[asyncio.Event] = []

    @env.task
    async def meet(x: int) -> int:
        barrier.append(asyncio.Event())
        if len(barrier) == 20:
            for event in barrier:
                event.set()
        await barrier[x].wait()
        return x

    assert collect(meet, range(20)) == list(range(20))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_than_concurrency_run_at_a_time(concurrency: int, inside_task: Any) -> None:
    running: list[int] = []
    most = 0

    @env.task
    async def watch(x: int) -> int:
        nonlocal most
        running.append(x)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.remove(x)
        return x

    assert collect(watch, range(20), concurrency=concurrency) == list(range(20))
    assert most == concurrency


def test_a_result_is_there_before_the_later_ones(inside_task: Any) -> None:
    go_on = asyncio.Event()

    @env.task
    async def slow_unless_first(x: int) -> int:
        if x:
            await go_on.wait()
        return x

    async def run() -> list[int]:
        results = flyte_map.aio(slow_unless_first, range(3))
        first = await anext(results)
        go_on.set()
        return [first, *[result async for result in results]]

    assert asyncio.run(run()) == [0, 1, 2]


def test_whoever_stops_asking_cancels_the_rest(inside_task: Any) -> None:
    cancelled: list[int] = []

    @env.task
    async def endless_unless_first(x: int) -> int:
        try:
            if x:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(x)
            raise
        return x

    async def leave() -> None:
        results = flyte_map.aio(endless_unless_first, range(4))
        assert await anext(results) == 0
        await results.aclose()

    asyncio.run(leave())
    assert cancelled == [1, 2, 3]
    cancelled.clear()
    assert list(itertools.islice(flyte_map(endless_unless_first, range(4)), 1)) == [0]
    assert cancelled == [1, 2, 3]


def test_a_cancelled_child_cancels_the_map_and_hangs_nothing(inside_task: Any) -> None:
    @env.task
    async def cancelled(x: int) -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        collect(cancelled, range(3))


def test_the_blocking_form_is_refused_in_an_async_task(inside_task: Any) -> None:
    async def task() -> list[Any]:
        return list(flyte_map(square, [1]))

    with pytest.raises(SyncTaskCallInAsyncContextError, match=r"flyte.map.aio"):
        asyncio.run(task())


def test_outside_a_run_the_blocking_form_works_while_a_loop_runs() -> None:
    async def cell() -> list[Any]:
        return list(flyte_map(square, [1, 2]))

    assert asyncio.run(cell()) == [1, 4]
