"""What an attempt holds while its own code runs: a place among the run's, a seat in a worker, cpus.

While it waits for children it gives all of that up, so that they can run; when the last of them is done it takes it
back, ahead of attempts that have not started. Lives on the engine loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flyte_nb.executors.base import Seat

__all__ = ["Standing"]


class Standing:
    """The holdings of one attempt.

    Args:
        seats: gives them, in the order in which they are taken back.
    """

    def __init__(self, seats: Callable[[], list[Seat]]) -> None:
        self._seats = seats
        self._waiting = 0
        self._given_up: list[Seat] = []
        self._taking_back = asyncio.Lock()
        self._is_over = False

    def leave(self) -> None:
        """The attempt waits for one more child."""
        self._waiting += 1
        if self._waiting == 1 and not self._given_up:
            self._given_up = self._seats()
            for seat in self._given_up:
                seat.pause()

    async def back(self) -> None:
        """A child is done; returns when the attempt may go on, at once while it waits for others."""
        self._waiting -= 1
        async with self._taking_back:
            while self._given_up and self._may_go_on():
                await self._given_up[0].resume()
                seat = self._given_up.pop(0)
                if not self._may_go_on():  # it has called another child meanwhile
                    seat.pause()
                    self._given_up.insert(0, seat)

    def _may_go_on(self) -> bool:
        return not self._waiting and not self._is_over

    def end(self) -> None:
        """The attempt is over: nothing is taken back any more."""
        self._is_over = True
