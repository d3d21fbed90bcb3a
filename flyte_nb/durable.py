"""Time as recorded steps: what a task saw of the clock stands in its run, and is what a replayed step gives.

    await flyte.durable.sleep.aio(3600)     an hour since the step that recorded its start
    flyte.durable.time(), flyte.durable.now()

Outside a run these are the plain functions.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time as clock

from flyte_nb.authoring.trace import trace
from flyte_nb.syncify import syncify

__all__ = ["now", "sleep", "time"]


@trace
async def sleep_start() -> float:
    """When a sleep began, in seconds since the epoch."""
    return clock.time()


@trace
async def durable_time() -> float:
    """A reading of the clock, in seconds since the epoch."""
    return clock.time()


@trace
async def durable_now() -> dt.datetime:
    """A reading of the clock, local and naive."""
    return dt.datetime.now()


@syncify
async def sleep(seconds: float) -> None:
    """Sleeps until this long after its recorded start.

    Args:
        seconds: how long.
    """
    wake_at = await sleep_start() + seconds
    await asyncio.sleep(max(0.0, wake_at - clock.time()))


@syncify
async def time() -> float:
    """The time in seconds since the epoch, as recorded; like `time.time()`."""
    return await durable_time()


@syncify
async def now() -> dt.datetime:
    """The time as recorded; like `datetime.now()`, local and naive."""
    return await durable_now()
