"""Frames on their way out: the first of a turn of the event loop leaves at once, the others of that turn together.

A turn is what a loop does between two looks at its sockets. So a lone frame does not wait, and a thousand calls that
begin or end in one turn cost a few system calls, not a thousand.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

__all__ = ["Outbox"]


class Outbox:
    """What is written to one connection.

    Args:
        loop: whose turns count.
        write: writes bytes, in the order in which it is called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, write: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._is_gathering = False

    def post(self, frame: bytes) -> bool:
        """Writes a frame, at the latest when the present turn is over. On the loop's thread.

        Returns:
            Whether it waits for the end of the turn.
        """
        with self._lock:
            if self._is_gathering:
                self._waiting.append(frame)
                return True
            self._is_gathering = True
            self._write(frame)
        self._loop.call_soon(self._end_turn)
        return False

    def send(self, frame: bytes) -> None:
        """Writes a frame now, after those that wait. From any thread."""
        with self._lock:
            self._waiting.append(frame)
            self._write_waiting()

    def flush(self) -> None:
        """Writes the frames that wait. From any thread."""
        with self._lock:
            self._write_waiting()

    def _end_turn(self) -> None:
        with self._lock:
            self._is_gathering = False
            self._write_waiting()

    def _write_waiting(self) -> None:
        if self._waiting:
            frames, self._waiting = self._waiting, []
            self._write(b"".join(frames))
