"""`flyte.map`: one task, many inputs, the results in the order of the inputs.

    for result in flyte.map(task, [1, 2, 3]): ...               in a sync task
    async for result in flyte.map.aio(task, [1, 2, 3]): ...     in an async task

The calls are concurrent, up to `concurrency` at a time, and a result is there as soon as it and those before it are.
The actions form a group. Outside a run the plain function is called.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from typing import Any

from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.group import group
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.errors import SyncTaskCallInAsyncContextError
from flyte_nb.syncify import syncify

__all__ = ["deployed_task", "map"]

MOST_CONCURRENT = 10_000
"""How many calls are started at a time when `concurrency` is 0, so that a million inputs do not fill the memory."""

Call = Callable[..., Coroutine[Any, Any, Any]]

deployed_task: list[Callable[[Any], TaskTemplate[..., Any] | None]] = []
"""Gives the task that a deployed one stands for, None for anything else; may block. The room `remote` puts it here."""


class _Map:
    """See the module."""

    def __call__(
        self,
        func: TaskTemplate[..., Any] | functools.partial[Any],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> Iterator[Any]:
        """Calls a task with each of the inputs.

        Args:
            func: the task, a deployed one too, or a `functools.partial` of it that leaves one parameter open.
            args: one iterable for each parameter; the shortest ends the map.
            group_name: of the group, `TASK_map` unless given.
            concurrency: how many calls at a time, 0 for no limit.
            return_exceptions: True to be given an error in place of a result, False to have the first one raised and
                the other calls cancelled.

        Returns:
            The results in order. Whoever stops asking for them cancels the calls that are not done.

        Raises:
            TypeError: when `func` is not of this form.
            SyncTaskCallInAsyncContextError: in an async task; `flyte.map.aio` is for these.
        """
        if not args:
            return
        call, name = _callable(func)
        settings = (args, f"{name}_{group_name or 'map'}", concurrency, return_exceptions)
        if current_scope.get() is None:
            yield from _stream_blocking(call, *settings)
            return
        if asyncio._get_running_loop() is not None:
            raise SyncTaskCallInAsyncContextError(
                f"flyte.map of task '{name}' was called in a blocking way from async code. "
                "Use `async for ... in flyte.map.aio(...)` instead."
            )
        with asyncio.Runner() as runner:  # in this thread: it is the sync task's, and waits for the results
            results = _stream(call, *settings)
            try:
                while (result := runner.run(_next(results))) is not _END:
                    yield result
            finally:
                runner.run(results.aclose())

    async def aio(
        self,
        func: TaskTemplate[..., Any] | functools.partial[Any],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> AsyncGenerator[Any, None]:
        """The same for async tasks; see `flyte.map`."""
        if not args:
            return
        call, name = _callable(func) if isinstance(func, TaskTemplate) else await asyncio.to_thread(_callable, func)
        results = _stream(call, args, f"{name}_{group_name or 'map'}", concurrency, return_exceptions)
        try:
            async for result in results:
                yield result
        finally:
            await results.aclose()


map = _Map()


async def _stream(
    call: Call, iterables: tuple[Iterable[Any], ...], group_name: str, concurrency: int, return_exceptions: bool
) -> AsyncGenerator[Any, None]:
    inputs = list(zip(*iterables, strict=False))
    outcomes: deque[asyncio.Future[tuple[Any, Exception | None]]]
    outcomes = deque(asyncio.get_running_loop().create_future() for _ in inputs)
    calls = deque(zip(inputs, outcomes, strict=True))

    async def work() -> None:
        while calls:
            arguments, outcome = calls.popleft()
            try:
                result, error = await call(*arguments), None
            except Exception as raised:  # whatever the task raised is the consumer's to see
                result, error = None, raised
            except BaseException:
                outcome.cancel()
                raise
            if not outcome.done():
                outcome.set_result((result, error))

    with group(group_name):
        most = concurrency if concurrency > 0 else MOST_CONCURRENT
        workers = [asyncio.create_task(work()) for _ in range(min(len(inputs), most))]
    del inputs
    try:
        while outcomes:
            result, error = await outcomes.popleft()
            if error is None:
                yield result
            elif return_exceptions:
                yield error
            else:
                raise error
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


_stream_blocking = syncify(_stream)

_END = object()


async def _next(results: AsyncGenerator[Any, None]) -> Any:
    return await anext(results, _END)


def _callable(func: TaskTemplate[..., Any] | functools.partial[Any]) -> tuple[Call, str]:
    """How to call the task with one set of inputs, and its name."""
    given: Any = func.func if isinstance(func, functools.partial) else func
    task = given if isinstance(given, TaskTemplate) else next((find(given) for find in deployed_task), None)
    if task is None:
        raise TypeError(f"flyte.map takes a task or a functools.partial of one, got {given!r}.")
    if not isinstance(func, functools.partial):
        return task.aio, task.name
    _check_partial(func, task)
    return functools.partial(task.aio, *func.args, **func.keywords), task.name


def _check_partial(partial: functools.partial[Any], task: TaskTemplate[..., Any]) -> None:
    inputs = task.native_interface.inputs
    open_count = len(inputs) - len(partial.args) - len(partial.keywords)
    if open_count != 1:
        raise TypeError(
            "Partial function must leave exactly one parameter unspecified for mapping. "
            f"Found {open_count} unspecified parameters in {task.name}, params: {inputs.keys()}"
        )
    for name in list(inputs)[: len(partial.args) + 1]:
        if name in partial.keywords:
            raise TypeError(
                f"Parameter '{name}' is provided both as positional argument and keyword argument "
                f"in partial function {task.name}."
            )
