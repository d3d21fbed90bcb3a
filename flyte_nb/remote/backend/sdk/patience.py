"""How long a backend may take: the SDK itself waits for ever for one that is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError

__all__ = ["ANSWER_SECONDS", "VALUE_SECONDS", "answered_within", "at_most", "silence"]

P = ParamSpec("P")
T = TypeVar("T")

ANSWER_SECONDS = 30.0
"""For what is a few lines."""
VALUE_SECONDS = 300.0
"""For what may be large: values, reports."""


@asynccontextmanager
async def at_most(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Leaves the block after so long without an error; `expired()` of what it gives tells whether it did.

    The client makes an error of its own of what cancels a request: so `asyncio.timeout` alone does not do.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield limit
    except (TimeoutError, ConnectError):
        if not limit.expired():
            raise


def answered_within(seconds: float) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """A question that is given up after so long, with the error of a backend that is away."""

    def bounded(ask: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @wraps(ask)
        async def asked(*args: P.args, **kwargs: P.kwargs) -> T:
            async with at_most(seconds):
                return await ask(*args, **kwargs)
            raise silence(seconds)

        return asked

    return bounded


def silence(seconds: float) -> ConnectError:
    """What a backend that does not say anything has said."""
    return ConnectError(Code.DEADLINE_EXCEEDED, f"it has said nothing for {seconds:.0f} seconds")
