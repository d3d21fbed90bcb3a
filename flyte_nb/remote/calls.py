"""Flyte's two call styles for calls that only read or wait: `run.outputs()` and `await run.outputs.aio()`.

The work is blocking and short (a query, a file), so the function is written once, plainly; its `.aio` runs it in a
thread.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

__all__ = ["Blocking", "BlockingMethod", "blocking", "blocking_classmethod", "blocking_method"]

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


def blocking(function: Callable[P, R]) -> Blocking[P, R]:
    """Gives a function an `.aio`."""
    return Blocking(function)


def blocking_method(function: Callable[Concatenate[Owner, P], R]) -> BlockingMethod[P, R]:
    """Gives a method an `.aio`."""
    return BlockingMethod(function, of_class=False)


def blocking_classmethod(function: Callable[Concatenate[type[Owner], P], R]) -> BlockingMethod[P, R]:
    """Gives a class method an `.aio`."""
    return BlockingMethod(function, of_class=True)
