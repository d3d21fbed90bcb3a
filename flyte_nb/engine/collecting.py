"""How often Python's garbage collector looks at calls that wait.

Ten thousand calls that wait are some hundred thousand objects, none of which is garbage. As Python comes set, the
collector walks over all of them again each time their number has grown by a quarter, which costs as much as a third of
their execution (measured: docs/executors.md). While there are many, it looks a little less often.
"""

from __future__ import annotations

import gc

__all__ = ["CallsWaiting"]

MANY = 1_000
PATIENT = (10_000, 10, 10)
"""Thresholds of the collector's generations while many calls wait; Python's own are (700, 10, 10) up to 3.11."""


class CallsWaiting:
    """Counts the calls that wait for their end. Lives on the engine loop.

    Thresholds that somebody else has set, before or meanwhile, are left as they are.
    """

    def __init__(self) -> None:
        self._count = 0
        self._before: tuple[int, int, int] | None = None
        """The thresholds to come back to, while others are set."""

    def more(self, count: int = 1) -> None:
        """So many more calls wait."""
        self._count += count
        if self._count - count < MANY <= self._count and self._before is None:
            before = gc.get_threshold()
            if gc.isenabled() and 0 < before[0] < PATIENT[0]:
                self._before = before
                gc.set_threshold(*PATIENT)

    def less(self, count: int = 1) -> None:
        """So many are over. The thresholds come back with the last, lest a steady thousand sets them each time."""
        self._count -= count
        if not self._count and self._before is not None:
            if gc.get_threshold() == PATIENT:
                gc.set_threshold(*self._before)
            self._before = None
