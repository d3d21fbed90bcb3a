"""The worker's end of the socket to the kernel.

The main thread reads it on its event loop. Any thread writes. A thread that must wait for an answer waits; on the
main thread, where nobody else would read, waiting reads.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Any

from flyte_nb.executors.frames import Answer, FrameReader, FromWorker, ToWorker, encode_frame, read_to_worker

__all__ = ["KERNEL_LOST", "Link"]

READ_BYTES = 1 << 18
KERNEL_LOST = 86
"""Exit code of a worker whose kernel is gone."""


class Link:
    """Messages to and from the kernel.

    Args:
        sock: a blocking stream socket.
        loop: the main thread's event loop.
        received: takes every message that is no answer, on the main thread.
    """

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, received: Callable[[ToWorker], None]
    ) -> None:
        self._socket = sock
        self._received = received
        self._main_thread = threading.get_ident()
        self._frames = FrameReader()
        self._sending = threading.Lock()
        self._numbers = count(1)
        self._waiting: dict[int, Future[Answer]] = {}
        loop.add_reader(sock.fileno(), self._read, socket.MSG_DONTWAIT)

    def send(self, message: FromWorker) -> None:
        """Sends a message; waits while the kernel does not read."""
        frame = encode_frame(message)
        try:
            with self._sending:
                self._socket.sendall(frame)
        except OSError:
            os._exit(KERNEL_LOST)

    def ask(self, message: Callable[[int], FromWorker]) -> tuple[int, Future[Answer]]:
        """Sends a request.

        Args:
            message: makes it of its number.

        Returns:
            Its number, and what will be the answer to it.
        """
        number = next(self._numbers)
        answer: Future[Answer] = Future()
        self._waiting[number] = answer
        self.send(message(number))
        return number, answer

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer any more."""
        self._waiting.pop(number, None)

    def wait(self, answer: Future[Any]) -> Any:
        """Blocks until the answer is there, on whichever thread."""
        if threading.get_ident() == self._main_thread:
            while not answer.done():
                self._read(0)
        return answer.result()

    def _read(self, flags: int) -> None:
        try:
            data = self._socket.recv(READ_BYTES, flags)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:  # the kernel is gone: so is all reason to go on
            os._exit(KERNEL_LOST)
        for frame in self._frames.feed(data):
            message = read_to_worker(frame)
            if isinstance(message, Answer):
                waiting = self._waiting.pop(message.request, None)
                if waiting is not None:
                    waiting.set_result(message)
            else:
                self._received(message)
