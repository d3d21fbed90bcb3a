"""How many actions of a run may be at work at once (`max_action_concurrency`), without ever deadlocking.

An action holds a place while its own code runs. While it awaits children it gives the place back, and when they are
done it goes on ahead of actions that have not started: otherwise parents would hold every place their children
need.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Place", "Places"]


class Places:
    """Places for actions of one run. Lives on the engine loop.

    Args:
        limit: how many actions may be at work at once.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._returning: deque[asyncio.Future[None]] = deque()
        self._starting: deque[asyncio.Future[None]] = deque()

    async def enter(self, returning: bool = False) -> bool:
        """Waits for a place and takes it.

        Args:
            returning: the action was at work before and goes ahead of those that start.

        Returns:
            Whether there was any wait.
        """
        if self._taken < self.limit and not self._returning and (returning or not self._starting):
            self._taken += 1
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._returning if returning else self._starting).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise
        return True

    def leave(self) -> None:
        """Gives a place back; the next in line takes it."""
        self._taken -= 1
        for line in (self._returning, self._starting):
            while line and self._taken < self.limit:
                turn = line.popleft()
                if not turn.done():
                    self._taken += 1
                    turn.set_result(None)


class Place:
    """A place that an action takes, gives up while it waits for children, and leaves at its end."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._is_held = False

    async def enter(self) -> bool:
        """Waits for the place and takes it; returns whether there was any wait."""
        waited = await self._places.enter()
        self._is_held = True
        return waited

    def pause(self) -> None:
        """The action waits for a child."""
        self._is_held = False
        self._places.leave()

    async def resume(self) -> None:
        """The child is done: waits for the place, ahead of actions that start."""
        await self._places.enter(returning=True)
        self._is_held = True

    def release(self) -> None:
        """The action is over."""
        if self._is_held:
            self._is_held = False
            self._places.leave()
