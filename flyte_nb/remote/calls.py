"""Flyte's two call styles for calls that only read or wait: `run.outputs()` and `await run.outputs.aio()`.

The work is blocking and short (a query, a file), so the function is written once, plainly; its `.aio` runs it in a
thread.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

__all__ = [
    "Blocking",
    "BlockingIterator",
    "BlockingIteratorMethod",
    "BlockingMethod",
    "blocking",
    "blocking_classmethod",
    "blocking_method",
    "iterating_classmethod",
    "iterating_method",
]

P = ParamSpec("P")
R = TypeVar("R")
Owner = TypeVar("Owner")


class Blocking(Generic[P, R]):
    """A blocking function with an `.aio` beside it."""

    def __init__(self, function: Callable[P, R], aio: Callable[P, Coroutine[Any, Any, R]] | None = None) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._aio = aio

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same, awaitable; the event loop stays free meanwhile."""
        if self._aio is not None:
            return await self._aio(*args, **kwargs)
        return await asyncio.to_thread(self._function, *args, **kwargs)


class BlockingMethod(Generic[P, R]):
    """A method of that kind; bound to its object, or to the class for class methods, when it is looked up."""

    def __init__(self, function: Callable[..., R], of_class: bool) -> None:
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._of_class = of_class

    def __get__(self, instance: Any, owner: type) -> Blocking[P, R]:
        return Blocking(functools.partial(self.__wrapped__, owner if self._of_class else instance))


class BlockingIterator(Generic[P, R]):
    """A function that gives an iterator, with an `.aio` that gives an async one."""

    def __init__(self, function: Callable[P, Iterator[R]]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._function(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        """The same for `async for`; the event loop stays free meanwhile."""
        for item in await asyncio.to_thread(lambda: list(self._function(*args, **kwargs))):
            yield item


class BlockingIteratorMethod(Generic[P, R]):
    """A method of that kind; bound when it is looked up."""

    def __init__(self, function: Callable[..., Iterator[R]], of_class: bool) -> None:
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._of_class = of_class

    def __get__(self, instance: Any, owner: type) -> BlockingIterator[P, R]:
        return BlockingIterator(functools.partial(self.__wrapped__, owner if self._of_class else instance))


def blocking(function: Callable[P, R]) -> Blocking[P, R]:
    """Gives a function an `.aio`."""
    return Blocking(function)


def blocking_method(function: Callable[Concatenate[Owner, P], R]) -> BlockingMethod[P, R]:
    """Gives a method an `.aio`."""
    return BlockingMethod(function, of_class=False)


def blocking_classmethod(function: Callable[Concatenate[type[Owner], P], R]) -> BlockingMethod[P, R]:
    """Gives a class method an `.aio`."""
    return BlockingMethod(function, of_class=True)


def iterating_method(function: Callable[Concatenate[Owner, P], Iterator[R]]) -> BlockingIteratorMethod[P, R]:
    """Gives a method that returns an iterator an `.aio` that returns an async one."""
    return BlockingIteratorMethod(function, of_class=False)


def iterating_classmethod(
    function: Callable[Concatenate[type[Owner], P], Iterator[R]],
) -> BlockingIteratorMethod[P, R]:
    """The same for a class method."""
    return BlockingIteratorMethod(function, of_class=True)
