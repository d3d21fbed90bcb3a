"""The time bounds of one action (`flyte.Timeout`), from its call to its end.

    queued ───────────> running ────> pausing ──> queued ──> ...        attempt after attempt
    └ max_queued_time   └ max_runtime
    └ deadline ────────────────────────────────────────────>

A bound that is over cancels what waits inside `enforced()`, and becomes the error that says which bound it was. Where
code blocks the loop no timer fires: there the watcher asks `overdue_seconds` from its thread, and ends the code.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flyte_nb.authoring.timeout import Timeout
from flyte_nb.errors import (
    DeadlineExceededError,
    MaxQueuedTimeExceededError,
    MaxRuntimeExceededError,
    TaskTimeoutError,
)

__all__ = ["PAUSING", "Bounds"]

PAUSING = "pausing"
"""The stage between two attempts, in which only the deadline counts."""


class Bounds:
    """The bounds of one action that is called now.

        bounds = Bounds(timeout, "env.train")
        async with bounds.enforced():                 around every wait of the action's own: for a place, for the end
            outcome = await executor.execute(call)    of an attempt, for the next one; `call.moved` tells `moved`

    Lives on the engine loop, but for the two methods that say otherwise.

    Args:
        timeout: the declared bounds.
        name: the task's full name, for messages.

    Attributes:
        error: what these bounds have raised last. A child's error that comes through is never this one.
    """

    def __init__(self, timeout: Timeout, name: str) -> None:
        self._timeout = timeout
        self._name = name
        self._timer: asyncio.Timeout | None = None
        self._is_interrupted = False
        self._deadline_at = _end(timeout.deadline_seconds)
        self._stage = "queued"
        self._stage_ends_at = _end(timeout.max_queued_time_seconds)
        self.error: TaskTimeoutError | None = None

    @staticmethod
    def are_set_by(timeout: Timeout) -> bool:
        """Whether a timeout bounds anything."""
        return bool(timeout.max_runtime_seconds or timeout.max_queued_time_seconds or timeout.deadline_seconds)

    def moved(self, phase: str) -> None:
        """The action enters a phase. All that comes before `running` is one wait, counted from its first phase on."""
        stage = phase if phase in ("running", PAUSING) else "queued"
        if stage == self._stage:
            return
        self._stage = stage
        bounds_seconds = {"queued": self._timeout.max_queued_time_seconds, "running": self._timeout.max_runtime_seconds}
        self._stage_ends_at = _end(bounds_seconds.get(stage))
        self._set_timer()

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Cancels the body when a bound is over.

        Raises:
            flyte_nb.errors.MaxQueuedTimeExceededError: it waited too long to start.
            flyte_nb.errors.MaxRuntimeExceededError: its code ran too long.
            flyte_nb.errors.DeadlineExceededError: its attempts and waits together took too long.
        """
        self._is_interrupted = False
        timer = self._timer = asyncio.timeout(None)
        try:
            async with timer:
                self._set_timer()
                yield
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise self._exceeded(error.__cause__) from None
        except asyncio.CancelledError as cancelled:
            if not self._is_interrupted:
                raise
            raise self._exceeded(cancelled) from None
        finally:
            self._timer = None
        if (end := self._next_end()) is not None and time.monotonic() >= end:  # it blocked the loop, or would not end
            raise self._exceeded(None)

    def overdue_seconds(self) -> float:
        """How long a bound is over that is being enforced; 0 while none is. From any thread."""
        end = self._next_end()
        return max(0.0, time.monotonic() - end) if end is not None and self._timer is not None else 0.0

    def interrupt(self) -> None:
        """The code is being ended because it is overdue: a cancellation that comes now means that. From any thread."""
        self._is_interrupted = True

    def overdue_error(self, note: str = "") -> TaskTimeoutError:
        """The error of the bound that is over.

        Args:
            note: what else there is to say about the end of the code.
        """
        timeout = self._timeout
        note = f"; {note}" if note else ""
        if self._deadline_at is not None and self._deadline_at == self._next_end():
            within = f"its deadline of {timeout.deadline_seconds:g} s, attempts and waits together"
            return DeadlineExceededError(f"{self._name} did not end within {within}{note}")
        if self._stage == "queued":
            bound = f"its max_queued_time of {timeout.max_queued_time_seconds:g} s"
            return MaxQueuedTimeExceededError(f"{self._name} waited longer than {bound} to start{note}")
        bound = f"its timeout of {timeout.max_runtime_seconds:g} s"
        return MaxRuntimeExceededError(f"{self._name} ran longer than {bound}{note}")

    def _exceeded(self, cancelled: BaseException | None) -> TaskTimeoutError:
        """The error to raise, with what the place where the code ran says about its end."""
        note = str(cancelled.args[0]) if cancelled is not None and cancelled.args else ""
        self.error = self.overdue_error(note)
        return self.error

    def _next_end(self) -> float | None:
        ends = [end for end in (self._deadline_at, self._stage_ends_at) if end is not None]
        return min(ends, default=None)

    def _set_timer(self) -> None:
        if self._timer is None or self._timer.expired():
            return
        end = self._next_end()
        if end is None:
            self._timer.reschedule(None)
        else:
            self._timer.reschedule(asyncio.get_running_loop().time() + end - time.monotonic())


def _end(bound_seconds: float | None) -> float | None:
    """When a time that begins now is over, in the time of `time.monotonic`."""
    return time.monotonic() + bound_seconds if bound_seconds is not None else None
