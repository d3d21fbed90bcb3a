"""Which process may start: so many work at once, the deepest first.

A process that waits for its children does not work. So parents never keep their children from starting, and a fan-out
of parents has its first ones done before the others begin.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from flyte_nb.server.wire.executing.submitted import SubmittedAction, SubmittedRun

__all__ = ["ProcessQueue"]


@dataclass(order=True, slots=True)
class Waiting:
    height: int
    number: int
    action: SubmittedAction = field(compare=False)
    turn: asyncio.Future[None] = field(compare=False)


class ProcessQueue:
    """Lets actions start their processes.

    Args:
        most: how many may work at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[Waiting] = []
        self._running: set[SubmittedAction] = set()
        self._numbers = itertools.count()

    async def enter(self, action: SubmittedAction) -> None:
        """Returns when the action's process may start; `leave` must follow."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(-action.depth, next(self._numbers), action, turn))
        self.admit()
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting = [one for one in self._waiting if one.turn is not turn]
            self.leave(action)
            raise

    def leave(self, action: SubmittedAction) -> None:
        """Its process has ended."""
        self._running.discard(action)
        self.admit()

    def admit(self) -> None:
        """Lets start what may; called whenever an action begins to wait for its children, or ends."""
        while self._working() < self._most:
            able = [one for one in self._waiting if not one.turn.done() and self._has_room(one.action.run)]
            if not able:
                return
            first = min(able)
            self._waiting.remove(first)
            self._running.add(first.action)
            first.turn.set_result(None)

    def _working(self, run: SubmittedRun | None = None) -> int:
        """How many processes work, of a run or of all."""
        return sum(not one.waits_for and run in (None, one.run) for one in self._running)

    def _has_room(self, run: SubmittedRun) -> bool:
        """Whether the run's own limit lets one more work."""
        return not run.spec.max_action_concurrency or self._working(run) < run.spec.max_action_concurrency
