"""How long an action may take: three independent bounds, of which None and 0 mean no bound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Timeout", "TimeoutType", "timeout_from_request"]


@dataclass
class Timeout:
    """Bounds on the time of an action; an int is seconds.

    Args:
        max_runtime: an attempt, while it runs.
        max_queued_time: an attempt, before it runs.
        deadline: the action, all its attempts and waits together.
    """

    max_runtime: timedelta | int | None = None
    max_queued_time: timedelta | int | None = None
    deadline: timedelta | int | None = None

    @property
    def max_runtime_seconds(self) -> float | None:
        """`max_runtime` in seconds, None for no bound."""
        return _seconds(self.max_runtime)

    @property
    def max_queued_time_seconds(self) -> float | None:
        """`max_queued_time` in seconds, None for no bound."""
        return _seconds(self.max_queued_time)

    @property
    def deadline_seconds(self) -> float | None:
        """`deadline` in seconds, None for no bound."""
        return _seconds(self.deadline)


TimeoutType = Timeout | int | timedelta


def timeout_from_request(timeout: TimeoutType | None) -> Timeout:
    """The bounds that a `timeout=` parameter asks for; a bare int (seconds) or timedelta bounds the run time.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(timeout, Timeout):
        return timeout
    if timeout is None or isinstance(timeout, int | timedelta):
        return Timeout(max_runtime=timeout)
    raise ValueError(f"Timeout must be an instance of Timeout, int, or timedelta, got {timeout!r}.")


def _seconds(bound: timedelta | int | None) -> float | None:
    seconds = bound.total_seconds() if isinstance(bound, timedelta) else bound
    return seconds or None
