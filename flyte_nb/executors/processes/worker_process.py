"""A worker process as whoever has started it sees it: how to reach it, how to end it, how it ended.

Everything lives on one event loop, except `kill` and `interrupt_with_traceback`, which any thread may call.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Protocol
from weakref import WeakSet

from flyte_nb.errors import RuntimeSystemError
from flyte_nb.executors.processes import offspring

__all__ = ["Ends", "NativeOutput", "WorkerProcess", "keep_from_children", "not_started"]

READ_BYTES = 1 << 16
READS_AT_END = 16
"""What a full pipe holds; more would come from a process that still writes."""
TAIL_CHARACTERS = 1 << 16


class _KeepsDescriptors(Protocol):
    def forget(self) -> None:
        """Closes what this process, a fork, has inherited; the original keeps its own."""


_keepers: WeakSet[_KeepsDescriptors] = WeakSet()


def keep_from_children(keeper: _KeepsDescriptors) -> None:
    """A fork of this process does not keep the descriptors: with them it would keep workers alive."""
    _keepers.add(keeper)


def _forget_in_child() -> None:
    for keeper in list(_keepers):
        keeper.forget()
    _keepers.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class NativeOutput:
    """What reaches the output of a process natively: from C code, from subprocesses, from a crash.

    Args:
        **descriptors: by stream, the end of a pipe to read; from now on they belong to this object.

    Attributes:
        on_text: takes stream and text as it arrives.
    """

    def __init__(self, **descriptors: int) -> None:
        self.on_text: Callable[[str, str], None] | None = None
        self._text = ""
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in descriptors}
        self._descriptors = descriptors
        self._loop = asyncio.get_running_loop()
        for stream, descriptor in descriptors.items():
            os.set_blocking(descriptor, False)
            self._loop.add_reader(descriptor, self._read, stream)
        keep_from_children(self)

    def tail(self, lines: int = 20) -> str:
        """The last lines of it."""
        return "\n".join(self._text.splitlines()[-lines:])

    def close(self) -> None:
        """Takes what is there and stops listening."""
        for stream in list(self._descriptors):
            for _ in range(READS_AT_END):
                if stream not in self._descriptors or not self._read(stream):
                    break
        for descriptor in self._descriptors.values():
            self._loop.remove_reader(descriptor)
        self.forget()

    def forget(self) -> None:
        """See `keep_from_children`."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def _read(self, stream: str) -> bool:
        descriptor = self._descriptors[stream]
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(descriptor)
            os.close(self._descriptors.pop(stream))
        text = self._decoders[stream].decode(data, not data)
        self._text = (self._text + text)[-TAIL_CHARACTERS:]
        if text and self.on_text is not None:
            self.on_text(stream, text)
        return bool(data)


class WorkerProcess:
    """One worker process.

    Args:
        pid: of the process; it leads a session of its own.
        sock: this end of its socket.
        native: its output.

    Attributes:
        pid: its process id.
        socket: to talk to it; not blocking. Whoever uses the process closes it.
        native: what it wrote to its output, not through Python's streams of a task.
        exited: how it ended, as `os.waitpid` gives it; set once all its output has been read.
    """

    def __init__(self, pid: int, sock: socket.socket, native: NativeOutput) -> None:
        self.pid = pid
        self.socket = sock
        self.native = native
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        keep_from_children(self)

    def kill(self) -> None:
        """Kills it; what it has started is killed with it, or when its parent notes its end. Never fails."""
        if not self.exited.done():
            offspring.kill(self.pid)

    def interrupt_with_traceback(self) -> None:
        """It writes the tracebacks of all its threads to its output, even from inside C code, and goes on."""
        if not self.exited.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGUSR1)

    def ended(self, status: int) -> None:
        """Told by whoever has started it."""
        try:
            self.native.close()
        finally:
            if not self.exited.done():
                with suppress(RuntimeError):  # the loop was closed: nobody waits
                    self.exited.set_result(status)

    def forget(self) -> None:
        """See `keep_from_children`."""
        self.socket.close()


def not_started(reason: str) -> RuntimeSystemError:
    """The error of a worker that could not be started."""
    return RuntimeSystemError("WorkerNotStarted", f"no worker process could be started: {reason}")


class Ends:
    """Both ends of the socket and of the output of a worker that is about to start.

    Attributes:
        outputs: what its standard output and its standard error write to.
    """

    def __init__(self) -> None:
        pipes = [os.pipe(), os.pipe()]
        self.outputs = [writing for _, writing in pipes]
        try:
            self.near, self.far = socket.socketpair()
        except OSError:
            for descriptor in chain(*pipes):
                os.close(descriptor)
            raise
        self.near.setblocking(False)
        self.native = NativeOutput(stdout=pipes[0][0], stderr=pipes[1][0])

    def give_away(self) -> None:
        """Closes the worker's ends: it has them."""
        self.far.close()
        for output in self.outputs:
            os.close(output)

    def close(self) -> None:
        """Closes the near ends: there is no worker."""
        self.near.close()
        self.native.close()
