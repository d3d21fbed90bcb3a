"""A worker: a process that runs calls for the kernel until it is told to retire, or the kernel is gone.

    socket -> Link -> Worker -> InlineExecutor -> the user's code -> WorkerController -> Link -> socket

The main thread runs an event loop: async calls run on it, sync ones in threads, as they do in the kernel.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import sys

from flyte_nb.authoring.context import Scope
from flyte_nb.errors import RuntimeSystemError
from flyte_nb.executors import capture, namespace, worker_displays
from flyte_nb.executors.base import Call
from flyte_nb.executors.crossing import pack_error
from flyte_nb.executors.frames import (
    Answer,
    Cancel,
    Code,
    Displayed,
    Done,
    Execute,
    Fetch,
    Printed,
    Ready,
    Retire,
    Ship,
    ToWorker,
    WorkerSettings,
)
from flyte_nb.executors.inline import InlineExecutor
from flyte_nb.executors.worker_blobs import open_blobs
from flyte_nb.executors.worker_controller import WorkerAttempt, WorkerController
from flyte_nb.executors.worker_link import Link
from flyte_nb.executors.worker_output import Flusher, WorkerOutput

__all__ = ["main"]


def main(sock: socket.socket, settings: WorkerSettings) -> None:
    """Runs a worker on a connected socket; returns when it retires."""
    for name, level in settings.log_levels.items():
        logging.getLogger(name).setLevel(level)
    capture.install()
    worker_displays.install()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    Worker(sock, settings, loop).serve()
    _leave()


def _leave() -> None:
    """Ends the process as its own code would have it end, without taking the interpreter apart."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


class Worker:
    """Runs the calls that the kernel sends.

    Args:
        sock: to the kernel.
        settings: see `WorkerSettings`.
        loop: of this thread.
    """

    def __init__(self, sock: socket.socket, settings: WorkerSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._retired = loop.create_future()
        self._link = Link(sock, loop, self._receive)
        self._blobs = open_blobs(settings.blobs, is_data_bounded=settings.data_limit_bytes > 0)
        self._executor = InlineExecutor()
        self._controller = WorkerController(self._link, loop, self._blobs, self._executor.threads)
        self._flusher = Flusher()
        self._code: dict[str, Code] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._newest: WorkerAttempt | None = None
        namespace.fetch = self._fetch

    def serve(self) -> None:
        """Runs calls until the kernel says that there will be no more."""
        self._link.send(Ready(os.getpid()))
        self._loop.run_until_complete(self._retired)

    def _receive(self, message: ToWorker) -> None:
        if isinstance(message, Execute):
            self._calls[message.call] = self._loop.create_task(self._run(message))
        elif isinstance(message, Ship):
            self._code[message.code.digest] = message.code
        elif isinstance(message, Cancel):
            running = self._calls.get(message.call)
            if running is not None:
                running.cancel()
        elif isinstance(message, Retire) and not self._retired.done():
            self._retired.set_result(None)

    async def _run(self, message: Execute) -> None:
        number = message.call
        output = WorkerOutput(
            lambda stream, text: self._link.send(Printed(number, stream, text)),
            lambda bundle: self._link.send(Displayed(number, bundle)),
            self._flusher,
        )
        attempt = self._newest = WorkerAttempt(number, message.facts, output, self._link)
        try:
            done = await self._outcome(message, attempt)
        except asyncio.CancelledError as cancelled:
            done = Done(number, cancelled=True, note=str(cancelled.args[0]) if cancelled.args else "")
        except Exception as error:  # code or values that cannot be read here, outputs of another type
            done = Done(number, error=pack_error(error))
        attempt.close()
        del self._calls[number]
        self._link.send(done)

    async def _outcome(self, message: Execute, attempt: WorkerAttempt) -> Done:
        task = namespace.load(self._code[message.code])
        inputs = task.signature.decode_inputs(message.payload, self._blobs)
        scope = Scope(self._controller, attempt, None, message.facts.custom_context)
        call = Call(task.function, inputs, task.is_async, scope, task.name, attempt.cancel_children)
        del inputs
        outcome = await self._executor.execute(call)
        if outcome.error is not None:
            return Done(message.call, error=pack_error(outcome.error), note=outcome.note)
        payload = task.signature.pack_outputs(outcome.value, self._blobs)
        return Done(message.call, payload, note=outcome.note, stored=self._blobs.take_fresh())

    def _fetch(self, key: str) -> Code:
        """The code of a task that other code refers to; blocks."""
        attempt = self._newest
        call = attempt.call if attempt is not None else 0
        _, answer = self._link.ask(lambda number: Fetch(number, call, key))
        told: Answer = self._link.wait(answer)
        if told.code is None:
            raise RuntimeSystemError("CodeNotFound", f"the kernel does not know the code of task {key}")
        return told.code
