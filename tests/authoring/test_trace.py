"""Traced functions as recorded steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import cloudpickle
import pytest

from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.trace import TraceFunction, trace


def tracing() -> str | None:
    """The trace whose body this is, or None."""
    scope = current_scope.get()
    return scope.trace if scope else None


@trace
def plain(x: int) -> tuple[int, str | None]:
    """Plain."""
    return x, tracing()


@trace
async def coroutine(x: int) -> tuple[int, str | None]:
    await asyncio.sleep(0)
    return x, tracing()


@trace
def generator(x: int) -> Iterator[tuple[int, str | None]]:
    for i in range(x):
        yield i, tracing()


@trace
async def async_generator(x: int) -> AsyncIterator[tuple[int, str | None]]:
    for i in range(x):
        await asyncio.sleep(0)
        yield i, tracing()


async def collect(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


CALLS: dict[str, Callable[[int], Any]] = {
    "plain": plain,
    "coroutine": lambda x: asyncio.run(_await(coroutine(x))),
    "generator": lambda x: list(generator(x)),
    "async_generator": lambda x: asyncio.run(collect(async_generator(x))),
}


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def result(name: str, x: int, inside: str | None) -> Any:
    return [(i, inside) for i in range(x)] if "generator" in name else (x, inside)


@pytest.mark.parametrize("name", CALLS)
def test_outside_a_run_a_call_is_plain(name: str) -> None:
    assert CALLS[name](2) == result(name, 2, None)


@pytest.mark.parametrize("name", CALLS)
def test_inside_a_run_a_call_is_recorded_and_durable(name: str, inside_task: Any) -> None:
    assert CALLS[name](2) == result(name, 2, name)
    [(recorded_name, parent, args, step)] = inside_task.steps
    assert (recorded_name, parent, args) == (name, None, (2,))
    assert step.value == result(name, 2, name)
    assert step.is_durable
    assert tracing() is None


@pytest.mark.parametrize("name", CALLS)
def test_a_recorded_call_is_not_executed_again(name: str, inside_task: Any) -> None:
    inside_task.recorded[name, (2,)] = ["as", "recorded"]
    assert CALLS[name](2) == ["as", "recorded"]


def failing(kind: str) -> Callable[[], Any]:
    def function() -> None:
        raise KeyError("k")

    async def coroutine() -> None:
        raise KeyError("k")

    def generator() -> Iterator[int]:
        yield 1
        raise KeyError("k")

    async def async_generator() -> AsyncIterator[int]:
        yield 1
        raise KeyError("k")

    return {
        "function": trace(function),
        "coroutine": lambda: asyncio.run(_await(trace(coroutine)())),
        "generator": lambda: list(trace(generator)()),
        "async_generator": lambda: asyncio.run(collect(trace(async_generator)())),
    }[kind]


@pytest.mark.parametrize("kind", ["function", "coroutine", "generator", "async_generator"])
def test_an_error_is_recorded_and_raised_as_it_is(kind: str, inside_task: Any) -> None:
    with pytest.raises(KeyError, match="k"):
        failing(kind)()
    [(_, _, _, step)] = inside_task.steps
    assert isinstance(step.error, KeyError)
    assert tracing() is None


def test_traces_nest(inside_task: Any) -> None:
    @trace
    async def outer(x: int) -> Any:
        return await coroutine(x), tracing()

    assert asyncio.run(_await(outer(1))) == ((1, "coroutine"), "outer")
    assert [(name, parent) for name, parent, _, _ in inside_task.steps] == [("outer", None), ("coroutine", "outer")]


def test_a_sync_trace_works_on_a_running_loop(inside_task: Any) -> None:
    async def task() -> Any:
        return plain(1)

    assert asyncio.run(task()) == (1, "plain")


def test_between_two_items_the_consumer_is_not_inside_the_trace(inside_task: Any) -> None:
    assert [tracing() for _ in generator(2)] == [None, None]

    async def consume() -> list[str | None]:
        return [tracing() async for _ in async_generator(2)]

    assert asyncio.run(consume()) == [None, None]


def test_leaving_a_generator_early_closes_it_and_is_recorded(inside_task: Any) -> None:
    ended: list[str | None] = []

    @trace
    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append(tracing())

    iterator = endless()
    assert next(iterator) == 1
    iterator.close()  # type: ignore[attr-defined]
    [(_, _, _, step)] = inside_task.steps
    assert isinstance(step.error, GeneratorExit)
    assert ended == ["endless"]


def test_leaving_an_async_generator_early_closes_it_and_is_recorded(inside_task: Any) -> None:
    ended: list[str | None] = []

    @trace
    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append(tracing())

    async def consume() -> None:
        items: Any = endless()
        assert await anext(items) == 1
        await items.aclose()

    asyncio.run(consume())
    [(_, _, _, step)] = inside_task.steps
    assert isinstance(step.error, GeneratorExit)
    assert ended == ["endless"]


def test_a_cancelled_trace_is_recorded(inside_task: Any) -> None:
    async def cancel() -> None:
        started = asyncio.Event()

        @trace
        async def wait() -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(wait())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    [(_, _, _, step)] = inside_task.steps
    assert isinstance(step.error, asyncio.CancelledError)


def test_a_method_can_be_traced(inside_task: Any) -> None:
    class Client:
        @trace
        def ask(self, x: int) -> tuple[Client, int]:
            return self, x

    client = Client()
    assert client.ask(1) == (client, 1)
    [(name, _, args, _)] = inside_task.steps
    assert (name, args) == ("ask", (client, 1))


def test_a_traced_function_is_described_like_the_function() -> None:
    assert isinstance(plain, TraceFunction)
    assert (plain.__name__, plain.__doc__, plain.name, plain.kind) == ("plain", "Plain.", "plain", "function")
    assert plain.native_interface.required_inputs() == ["x"]
    assert list(plain.signature.parameters) == ["x"]
    assert repr(plain) == "<trace plain>"


def test_a_traced_function_travels() -> None:
    @trace
    def local(x: int) -> int:
        return x

    assert cloudpickle.loads(cloudpickle.dumps(local))(3) == 3
