"""What a backend answered lately, or for good: so that the properties of a `Run` are one request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Answers"]

T = TypeVar("T")
FRESH_SECONDS = 0.2


class Answers:
    """Answers that may be given again.

    Args:
        most: so many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[Any, ...], tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def renew(self, *keys: tuple[Any, ...]) -> None:
        """Has these asked again, even if they are fresh."""
        with self._lock:
            for key in keys:
                self._known.pop(key, None)

    def keep(self, key: tuple[Any, ...], answer: Any) -> None:
        """Takes for good what is known without asking."""
        self._enter(key, answer, float("inf"))

    def get(self, key: tuple[Any, ...], ask: Callable[[], T], is_final: Callable[[T], bool]) -> T:
        """What is known under a key, asked for again once it may have changed."""
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            answer: T = known[1]
            return answer
        answer = ask()
        self._enter(key, answer, float("inf") if is_final(answer) else time.monotonic() + FRESH_SECONDS)
        return answer

    def _enter(self, key: tuple[Any, ...], answer: Any, until: float) -> None:
        with self._lock:
            self._known[key] = until, answer
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]
