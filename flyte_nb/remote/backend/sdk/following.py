"""Follows runs of a backend for the kernel: what their watch streams tell is kept until the kernel asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flyte._initialize import get_client
from flyte.syncify import syncify
from flyteidl2.workflow import run_service_pb2

from flyte_nb.remote.backend.sdk.patience import ANSWER_SECONDS, at_most, silence
from flyte_nb.remote.backend.sdk.reading import ERRORS, ROOT, TERMINAL, action_row, add_errors, run_id
from flyte_nb.store.rows import ActionRow

__all__ = ["CALLS"]

AGAIN_SECONDS = 1.0
"""A stream that the backend ends before the run is over is opened again after so long."""
QUIET_SECONDS = 60.0
"""A stream that is silent for so long is opened anew: its connection may have been lost without a word."""
LAST_SECONDS = 2.0
"""A backend that leaves the stream open when the run is over is listened to for so long."""


class Followed:
    """A run that is followed. Made and used on the SDK's loop.

    Args:
        name: name of the run.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[str, ActionRow] = {}
        self._changed: dict[str, ActionRow] = {}
        self._errors = 0
        """So many errors were asked for."""
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
        """Reads stream after stream until one has told the end of the run. A new one tells all actions again."""
        request = run_service_pb2.WatchActionsRequest(run_id=run_id(self._name))
        service: Any = get_client().run_service  # the SDK's protocol types its streams as coroutines
        is_over = False
        while not is_over:
            has_spoken = False
            async with at_most(ANSWER_SECONDS) as limit:
                async for answer in service.watch_actions(request):
                    has_spoken = True
                    rows = [action_row(one.action) for one in answer.enriched_actions]
                    await self._add_errors(rows)
                    is_over = is_over or any(row.name == ROOT and row.phase in TERMINAL for row in rows)
                    self._note(rows)
                    quiet_seconds = LAST_SECONDS if is_over else QUIET_SECONDS
                    limit.reschedule(asyncio.get_running_loop().time() + quiet_seconds)
            if limit.expired() and not has_spoken:
                raise silence(ANSWER_SECONDS)
            if not is_over:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _add_errors(self, rows: list[ActionRow]) -> None:
        """Enters the errors that are known, and asks for others while there are few: each takes a request."""
        for row in rows:
            known = self._known.get(row.name)
            if known is not None and (known.phase, known.attempt) == (row.phase, row.attempt):
                row.error = known.error
        unknown = [row for row in rows if row.error is None]
        self._errors += await add_errors(self._name, unknown, max(0, ERRORS - self._errors))

    def _note(self, rows: list[ActionRow]) -> None:
        """Keeps what is new until the kernel asks."""
        changed = {row.name: row for row in rows if self._known.get(row.name) != row}
        self._known |= changed
        self._changed |= changed
        if changed:
            self._news.set()


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
