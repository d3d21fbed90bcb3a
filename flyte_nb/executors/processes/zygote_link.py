"""One zygote process as the kernel sees it. Lives on the event loop that it was made on."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

import msgspec

from flyte_nb.executors.processes import offspring
from flyte_nb.executors.processes.interpreter import Interpreter
from flyte_nb.executors.processes.worker_process import Ends, NativeOutput, WorkerProcess, keep_from_children
from flyte_nb.executors.processes.zygote import Exited, FromZygote, Preload, Refused, Start, Started, ToZygote

__all__ = ["CannotForkError", "RefusedError", "ZygoteLink", "ZygoteLostError"]

MESSAGE_BYTES = 1 << 16
STARTS_AT_ONCE = 64
"""Requests on their way: the socket takes so many without waiting."""
END_SECONDS = 2.0
"""How long the zygote may take to end everything that came from it."""

logger = logging.getLogger("flyte")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FromZygote).decode


class ZygoteLostError(Exception):
    """The zygote has ended; says its last words."""


class CannotForkError(Exception):
    """No process can be forked safely here; says why."""


class RefusedError(Exception):
    """The system has no room for another process; says why."""


class _Pending(NamedTuple):
    ends: Ends
    started: asyncio.Future[WorkerProcess]


class ZygoteLink:
    """Starts a zygote and talks to it.

    Args:
        interpreter: what the zygote runs in.
        environment: of the zygote.
        order: see `flyte_nb.executors.processes.zygote.main`.
        mark: what finds the zygote's descendants, see `flyte_nb.executors.processes.offspring`.

    Attributes:
        loop: the loop that it lives on.
        is_lost: the zygote is gone, and all its workers.
        unfit: modules that it could not keep.
    """

    def __init__(
        self, interpreter: Interpreter, environment: Mapping[str, str], order: Mapping[str, Any], mark: str
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_lost = False
        self.unfit: set[str] = set()
        self._mark = mark
        self._numbers = count(1)
        self._pending: dict[int, _Pending] = {}
        self._workers: dict[int, WorkerProcess] = {}
        self._asked: set[str] = set()
        self._importing: dict[str, int] = {}
        """By module: the start that it was imported ahead of, which has not been answered."""
        self._cannot_fork = ""
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._socket, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        reading, writing = os.pipe()
        self._output = NativeOutput(stderr=reading)
        try:
            self._process = interpreter.run(
                "zygote", {**order, "socket": far.fileno()}, environment, [writing, writing], subprocess.DEVNULL
            )
        except BaseException:
            self._socket.close()
            self._output.close()
            raise
        finally:
            far.close()
            os.close(writing)
        self.loop.add_reader(self._socket, self._read)
        keep_from_children(self)

    async def start(self, modules: list[tuple[str, str]], opening: bytes) -> WorkerProcess:
        """Forks a worker.

        Args:
            modules: (name, file) of what it is to inherit.
            opening: what it is told first.

        Raises:
            ZygoteLostError: the zygote is gone, perhaps because of a module.
            CannotForkError: a fork would not be safe.
            RefusedError: there is no room for another process.
        """
        async with self._starts:
            if self.is_lost:
                raise self._loss()
            number = next(self._numbers)
            self._preload(modules, number)
            ends = Ends()
            started: asyncio.Future[WorkerProcess] = self.loop.create_future()
            self._pending[number] = _Pending(ends, started)
            try:
                try:
                    self._send(Start(number), [ends.far.fileno(), *ends.outputs])
                finally:
                    ends.give_away()
                with suppress(ConnectionError):  # then there is no worker, and `started` tells why
                    await self.loop.sock_sendall(ends.near, opening)
                return await started
            except asyncio.CancelledError:
                self._withdraw(started)
                raise
            except Exception:
                self._pending.pop(number, None)
                ends.close()
                raise

    def close(self) -> None:
        """Ends the zygote and everything that came from it. Callable from any thread, without the loop too."""
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if _running_loop() is self.loop:
            self._lose()
            return
        try:
            self.loop.call_soon_threadsafe(self._lose)
        except RuntimeError:  # the loop was closed
            self._lose()

    def forget(self) -> None:
        """See `flyte_nb.executors.processes.worker_process.keep_from_children`."""
        self._socket.close()
        self._process.returncode = 0  # not a child of this process: nothing to wait for

    # ---------------------------------------------------------------- to the zygote

    def _preload(self, modules: list[tuple[str, str]], number: int) -> None:
        """Has the zygote import what it has not imported yet, ahead of a start."""
        new = [(name, file) for name, file in modules if name not in self._asked]
        if new:
            self._asked.update(name for name, _ in new)
            self._importing.update((name, number) for name, _ in new)
            self._send(Preload(new), [])

    def _send(self, message: ToZygote, descriptors: list[int]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # `_read` sees the end
            socket.send_fds(self._socket, [_encode(message)], descriptors)

    @staticmethod
    def _withdraw(started: asyncio.Future[WorkerProcess]) -> None:
        """Nobody wants the worker any more; one that does not exist yet is ended when it does."""
        if not started.cancel() and not started.cancelled() and started.exception() is None:
            _discard(started.result())

    # ---------------------------------------------------------------- from the zygote

    def _read(self) -> None:
        while not self.is_lost:
            try:
                data = self._socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lose()
                return
            self._serve(_decode(data))

    def _serve(self, message: FromZygote) -> None:
        if isinstance(message, Started):
            self._importing = {name: ahead for name, ahead in self._importing.items() if ahead > message.number}
            ends, started = self._pending.pop(message.number)
            process = self._workers[message.pid] = WorkerProcess(message.pid, ends.near, ends.native)
            if started.done():
                _discard(process)
            else:
                started.set_result(process)
        elif isinstance(message, Exited):
            self._workers.pop(message.pid).ended(message.status)
        elif isinstance(message, Refused):
            self._fail(message.number, RefusedError(message.reason))
        elif message.modules:
            self.unfit.update(message.modules)
            logger.info(
                "workers import %s themselves, the zygote does not: %s", ", ".join(message.modules), message.reason
            )
        else:
            self._cannot_fork = message.reason

    def _lose(self) -> None:
        """The zygote is gone: so are its workers, or they are about to be."""
        if self.is_lost:
            return
        self.is_lost = True
        self.loop.remove_reader(self._socket)
        self._socket.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()
        for process in self._workers.values():
            process.kill()
        offspring.kill_marked(self._mark)
        for process in self._workers.values():
            process.ended(signal.SIGKILL)
        self._workers.clear()
        self.unfit |= self._importing.keys()
        for number in list(self._pending):
            self._fail(number, self._loss())

    def _fail(self, number: int, error: Exception) -> None:
        """There will be no such worker."""
        ends, started = self._pending.pop(number)
        if started.done() or self.loop.is_closed():
            ends.close()
        else:  # `start` closes them: it may still be writing
            started.set_exception(error)

    def _loss(self) -> Exception:
        return CannotForkError(self._cannot_fork) if self._cannot_fork else ZygoteLostError(self._output.tail())


def _discard(process: WorkerProcess) -> None:
    process.kill()
    process.socket.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
