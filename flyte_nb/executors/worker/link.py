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

from flyte_nb.executors.frames import Answer, FrameReader, FromWorker, ToWorker, encode_frame, read_to_worker
from flyte_nb.executors.outbox import Outbox
from flyte_nb.executors.worker.output import Flusher

__all__ = ["KERNEL_LOST", "AnyAnswer", "Link"]

AnyAnswer = Future[Answer] | asyncio.Future[Answer]
"""For threads; for coroutines on the main thread's loop."""
KERNEL_LOST = 86
"""Exit code of a worker whose kernel is gone."""


class Link:
    """Messages to and from the kernel.

    Args:
        sock: a blocking stream socket.
        loop: the main thread's event loop.
        received: takes every message that is no answer, on the main thread.
        flusher: sends what waits for the end of a turn that does not end.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        received: Callable[[ToWorker], None],
        flusher: Flusher,
    ) -> None:
        self._socket = sock
        self._received = received
        self._flusher = flusher
        self._main_thread = threading.get_ident()
        self._frames = FrameReader()
        self._outbox = Outbox(loop, self._write)
        self._numbers = count(1)
        self._waiting: dict[int, AnyAnswer] = {}
        loop.add_reader(sock.fileno(), self._read, socket.MSG_DONTWAIT)

    def send(self, message: FromWorker) -> None:
        """Sends a message now; waits while the kernel does not read."""
        self._outbox.send(encode_frame(message))

    def post(self, message: FromWorker) -> None:
        """Sends a message, from the main thread together with what else leaves in this turn of the loop."""
        if threading.get_ident() != self._main_thread:
            self.send(message)
        elif self._outbox.post(encode_frame(message)):
            self._flusher.add(self._outbox)

    def ask(self, message: Callable[[int], FromWorker], answer: AnyAnswer) -> int:
        """Posts a request.

        Args:
            message: makes it of its number.
            answer: is told the answer.

        Returns:
            Its number.
        """
        number = next(self._numbers)
        self._waiting[number] = answer
        self.post(message(number))
        return number

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer any more."""
        self._waiting.pop(number, None)

    def wait(self, answer: Future[Answer]) -> Answer:
        """Blocks until the answer is there, on whichever thread."""
        if threading.get_ident() == self._main_thread:
            self._outbox.flush()
            while not answer.done():
                self._read(0)
        return answer.result()

    def flush(self) -> None:
        """Sends what waits for the end of the turn."""
        self._outbox.flush()

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            os._exit(KERNEL_LOST)

    def _read(self, flags: int) -> None:
        try:
            count = self._socket.recv_into(self._frames.room, 0, flags)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if not count:  # the kernel is gone: so is all reason to go on
            os._exit(KERNEL_LOST)
        for frame in self._frames.feed(count):
            message = read_to_worker(frame)
            if isinstance(message, Answer):
                waiting = self._waiting.pop(message.request, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            else:
                self._received(message)
