"""Warm workers that are used again, task after task."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

__all__ = ["ReusePolicy"]

logger = logging.getLogger("flyte")

MINIMUM_TTL_SECONDS = 30


@dataclass
class ReusePolicy:
    """Keeps the workers of an environment warm; the tasks that share one share its memory.

    Args:
        replicas: number of workers, or (least, most) of them.
        idle_ttl: after how long without work all of them end; an int is seconds, at least 30.
        concurrency: how many tasks a worker runs at once; above 1 for async tasks only.
        scaledown_ttl: after how long without work a single one ends; an int is seconds, at least 30.
        scope: `global` to share them among runs, `run` for workers of each run's own.

    Raises:
        ValueError: when a value is out of its range.
    """

    replicas: int | tuple[int, int] = 2
    idle_ttl: int | timedelta = 30
    concurrency: int = 1
    scaledown_ttl: int | timedelta = 30
    scope: Literal["global", "run"] = "global"

    def __post_init__(self) -> None:
        if self.scope not in ("global", "run"):
            raise ValueError('scope must be "global" or "run"')
        self.replicas = _replica_range(self.replicas)
        if not isinstance(self.concurrency, int):
            raise ValueError(f"concurrency must be an int, got {self.concurrency!r}")
        if self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {self.concurrency}")
        self.idle_ttl = _ttl("idle_ttl", self.idle_ttl)
        self.scaledown_ttl = _ttl("scaledown_ttl", self.scaledown_ttl)
        if self.max_replicas == 1 and self.concurrency == 1:
            logger.warning(
                "ReusePolicy: with one replica that runs one task at a time, a task that waits for another of its "
                "environment starves on a Flyte cluster (not here). Use 2 replicas there or more, more concurrency, "
                "or no reuse for the parent task."
            )

    @property
    def min_replicas(self) -> int:
        """The least number of workers."""
        return _replica_range(self.replicas)[0]

    @property
    def max_replicas(self) -> int:
        """The most workers."""
        return _replica_range(self.replicas)[1]

    def get_scaledown_ttl(self) -> timedelta:
        """`scaledown_ttl` as a timedelta."""
        return _ttl("scaledown_ttl", self.scaledown_ttl)


def _replica_range(replicas: Any) -> tuple[int, int]:
    if replicas is None:
        raise ValueError("replicas cannot be None")
    if isinstance(replicas, int):
        replicas = (replicas, replicas)
    if not isinstance(replicas, tuple) or len(replicas) != 2:
        raise ValueError("replicas must be an int or a tuple of two ints")
    for label, value in zip(("min", "max"), replicas, strict=True):
        if not isinstance(value, int):
            raise ValueError(f"replicas {label} must be an int, got {value!r}")
        if value < 0:
            raise ValueError(f"replicas {label} must be greater than or equal to 0, got {value}")
    least, most = replicas
    if least > most:
        raise ValueError(f"replicas min ({least}) must be less than or equal to max ({most})")
    return least, most


def _ttl(name: str, value: Any) -> timedelta:
    if isinstance(value, int):
        value = timedelta(seconds=value)
    if not isinstance(value, timedelta):
        raise ValueError(f"{name} must be an int (seconds) or a timedelta")
    if value.total_seconds() < MINIMUM_TTL_SECONDS:
        raise ValueError(f"{name} must be at least {MINIMUM_TTL_SECONDS} seconds")
    return value
