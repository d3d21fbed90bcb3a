"""One function, two ways to call it: an `async def` becomes a blocking call with an `.aio` beside it.

    @syncify
    async def fetch(name: str) -> str: ...

    fetch("x")                  blocks; runs on one background thread, "flyte_syncify"
    await fetch.aio("x")        the coroutine itself, on the caller's event loop

For functions, methods, class methods and async generators, whose blocking form is an iterator. The function sees the
caller's context variables. A blocking call on the background thread would wait for itself and is refused.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextvars import Context, copy_context
from typing import Any, Generic, ParamSpec, TypeVar, overload

__all__ = ["SyncFunction", "SyncGenFunction", "Syncify", "syncify"]

P = ParamSpec("P")
R = TypeVar("R")


class _BackgroundLoop:
    """An event loop on a daemon thread of its own, started when first needed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def is_current_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def run(self, awaitable: Awaitable[R], context: Context) -> R:
        """Runs the awaitable on the background thread, in the context, and waits for it."""
        future: Future[R] = asyncio.run_coroutine_threadsafe(_in_context(awaitable, context), self._running_loop())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # a KeyboardInterrupt of the waiting thread ends what it waited for
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # A forked child inherits the loop, but not the thread that runs it.
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self.name, daemon=True)
                self._thread.start()
            return self._loop


async def _in_context(awaitable: Awaitable[R], context: Context) -> R:
    async def wait() -> R:
        return await awaitable

    return await asyncio.create_task(wait(), context=context)


class SyncFunction(Generic[P, R]):
    """A coroutine function that can also be called in a blocking way; see the module."""

    __name__: str
    __qualname__: str

    def __init__(self, func: Any, loop: _BackgroundLoop) -> None:
        functools.update_wrapper(self, func)
        self._func = func
        self._loop = loop

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None and not isinstance(self._func, classmethod):
            return self
        return type(self)(self._func.__get__(instance, owner), self._loop)

    def __reduce__(self) -> str | tuple[Any, ...]:
        # By name where that works: a user's function that mentions `flyte.report.log` is pickled without it.
        found: Any = sys.modules.get(self.__module__)
        for name in self.__qualname__.split("."):
            found = getattr(found, name, None)
        return self.__qualname__ if found is self else (Syncify(self._loop.name), (self._func,))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function on the background thread and waits for it.

        Raises:
            AssertionError: when called on the background thread.
        """
        self._refuse_deadlock()
        return self._loop.run(self.aio(*args, **kwargs), copy_context())

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """The coroutine, to be awaited."""
        coroutine: Coroutine[Any, Any, R] = self._func(*args, **kwargs)
        return coroutine

    def _refuse_deadlock(self) -> None:
        if self._loop.is_current_thread():
            raise AssertionError(
                f"Deadlock detected: blocking call used in syncify thread {self._loop.name} "
                f"when calling function {self._func}, use .aio() if in an async call."
            )


class SyncGenFunction(Generic[P, R], SyncFunction[P, Iterator[R]]):
    """An async generator function whose blocking form is an iterator; see the module."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        """The items, each awaited on the background thread when it is asked for.

        Raises:
            AssertionError: when called on the background thread.
        """
        self._refuse_deadlock()
        return self._iterate(self._func(*args, **kwargs), copy_context())

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:  # type: ignore[override]
        """The async generator."""
        items: AsyncIterator[R] = self._func(*args, **kwargs)
        return items

    def _iterate(self, items: AsyncGenerator[R, None], context: Context) -> Iterator[R]:
        try:
            while True:
                try:
                    item = self._loop.run(anext(items), context)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self._loop.run(items.aclose(), context)


class Syncify:
    """A decorator with a background thread of its own; `syncify` is the shared one.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str = "flyte_syncify") -> None:
        self._loop = _BackgroundLoop(name)

    @overload
    def __call__(self, func: Callable[P, AsyncGenerator[R, None]]) -> SyncGenFunction[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, AsyncIterator[R]]) -> SyncGenFunction[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, Coroutine[Any, Any, R]]) -> SyncFunction[P, R]: ...
    @overload
    def __call__(self, func: Any) -> Any: ...
    def __call__(self, func: Any) -> Any:
        """Makes the function callable in both ways.

        Args:
            func: a coroutine function, an async generator function, or a class or static method of one.

        Raises:
            TypeError: for anything else.
        """
        if isinstance(func, staticmethod):
            return staticmethod(self(func.__func__))
        plain = func.__func__ if isinstance(func, classmethod) else func
        if inspect.isasyncgenfunction(plain):
            return SyncGenFunction[Any, Any](func, self._loop)
        if inspect.iscoroutinefunction(plain):
            return SyncFunction[Any, Any](func, self._loop)
        raise TypeError(
            "Syncify can only be applied to async functions, async generators, async classmethods or staticmethods."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Syncify, (self._loop.name,)


syncify = Syncify()
