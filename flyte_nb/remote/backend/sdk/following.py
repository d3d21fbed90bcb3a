"""Follows runs of a backend for the kernel: what their watch streams tell is kept until the kernel asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flyte._initialize import get_client
from flyte.syncify import syncify
from flyteidl2.workflow import run_service_pb2

from flyte_nb.remote.backend.sdk.reading import ROOT, TERMINAL, action_row, add_errors, run_id
from flyte_nb.store.rows import ActionRow

__all__ = ["CALLS"]

AGAIN_SECONDS = 1.0
"""A stream that the backend ends before the run is over is opened again after so long."""
LAST_SECONDS = 2.0
"""A backend that leaves the stream open when the run is over is listened to for so long."""


class Followed:
    """A run that is followed. Made and used on the SDK's loop.

    Args:
        name: name of the run.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed: dict[str, ActionRow] = {}
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(lambda _: self._news.set())

    async def take(self, seconds: float) -> list[ActionRow]:
        """The actions that changed since the last time, as soon as there are some, after `seconds` at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        changed, self._changed = self._changed, {}
        if self._reading.done():
            self._reading.result()
        else:
            self._news.clear()
        return list(changed.values())

    def stop(self) -> None:
        """Closes the stream."""
        self._reading.cancel()

    async def _read(self) -> None:
        request = run_service_pb2.WatchActionsRequest(run_id=run_id(self._name))
        service: Any = get_client().run_service  # the SDK's protocol types its streams as coroutines
        is_over = False
        while not is_over:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as limit:
                    async for answer in service.watch_actions(request):
                        rows = [action_row(one.action) for one in answer.enriched_actions]
                        await add_errors(self._name, rows)
                        self._changed.update((row.name, row) for row in rows)
                        self._news.set()
                        if any(row.name == ROOT and row.phase in TERMINAL for row in rows):
                            is_over = True
                            limit.reschedule(asyncio.get_running_loop().time() + LAST_SECONDS)
            if not is_over:
                await asyncio.sleep(AGAIN_SECONDS)


_followed: dict[str, Followed] = {}


@syncify
async def follow(name: str, seconds: float) -> list[ActionRow]:
    """The actions of a run that changed since they were last asked for; at first all of them.

    Args:
        name: name of the run.
        seconds: how long to wait for a change.
    """
    followed = _followed.get(name) or _followed.setdefault(name, Followed(name))
    try:
        return await followed.take(seconds)
    except BaseException:  # ConnectError of the stream, or cancelled: raised again, and the next call begins anew
        _followed.pop(name, None)
        raise


@syncify
async def unfollow(name: str) -> None:
    """Stops following a run."""
    followed = _followed.pop(name, None)
    if followed is not None:
        followed.stop()


CALLS: dict[str, Callable[..., Any]] = {"follow": follow, "unfollow": unfollow}
