"""How often a failed action is tried again, and after how long: the n-th retry waits `min(base * factor**n, cap)`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Backoff", "RetryStrategy"]


@dataclass(frozen=True)
class Backoff:
    """How long to wait before a retry.

    Args:
        base: before the first retry.
        factor: by how much each later wait is longer, 1.0 for equal waits.
        cap: the longest wait; required when `factor` is above 1.

    Raises:
        ValueError: when a value is out of its range.
    """

    base: timedelta
    factor: float = 1.0
    cap: timedelta | None = None

    def __post_init__(self) -> None:
        if self.base < timedelta(0):
            raise ValueError(f"Backoff.base must be >= 0, got {self.base}")
        if not isinstance(self.factor, int | float) or not math.isfinite(self.factor):
            raise ValueError(f"Backoff.factor must be a finite number, got {self.factor!r}")
        if self.factor < 1.0:
            raise ValueError(f"Backoff.factor must be >= 1.0, got {self.factor}")
        if self.cap is not None and self.cap < timedelta(0):
            raise ValueError(f"Backoff.cap must be >= 0, got {self.cap}")
        if self.factor > 1.0 and self.cap is None:
            raise ValueError("Backoff.cap is required when factor > 1.0 to prevent unbounded growth")

    def compute_delay(self, n: int) -> timedelta:
        """How long to wait before the n-th retry, from 0."""
        if n < 0:
            raise ValueError(f"Retry index n must be >= 0, got {n}")
        try:
            delay = self.base * self.factor**n
        except OverflowError:
            delay = timedelta.max  # far beyond the cap, which every factor above 1 has
        return delay if self.cap is None else min(delay, self.cap)


@dataclass
class RetryStrategy:
    """How often a failed action is tried again.

    Args:
        count: number of retries after the first attempt.
        backoff: waits between them; None tries again at once.

    Raises:
        ValueError: when `count` is not an int, or negative.
    """

    count: int
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.count, int):
            raise ValueError(f"RetryStrategy.count must be an int (a retry count), got {self.count!r}")
        if self.count < 0:
            raise ValueError(f"RetryStrategy.count must be greater than or equal to 0, got {self.count}")
