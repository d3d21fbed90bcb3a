"""A worker: a process that runs calls for the kernel until it is told to retire, or the kernel is gone.

    socket -> Link -> Worker -> InlineExecutor -> the user's code -> WorkerController -> Link -> socket

The main thread runs an event loop: async calls run on it, sync ones in threads, as they do in the kernel.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import sys
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from msgspec.structs import replace

from flyte_nb.as_flyte import install_as_flyte
from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.errors import RuntimeSystemError
from flyte_nb.executors import capture
from flyte_nb.executors.base import Call
from flyte_nb.executors.crossing import pack_error, unpack_error
from flyte_nb.executors.frames import (
    Answer,
    Cancel,
    Code,
    Done,
    Enter,
    Execute,
    Fetch,
    Ready,
    Retire,
    Ship,
    ToWorker,
    WorkerSettings,
)
from flyte_nb.executors.inline import InlineExecutor
from flyte_nb.executors.log_settings import apply_log_settings
from flyte_nb.executors.worker import displays as worker_displays
from flyte_nb.executors.worker import namespace
from flyte_nb.executors.worker.blobs import open_blobs
from flyte_nb.executors.worker.controller import WorkerAttempt, WorkerController
from flyte_nb.executors.worker.link import Link
from flyte_nb.executors.worker.namespace import LoadedTask
from flyte_nb.executors.worker.output import Flusher, install_flush

__all__ = ["main"]


def main(sock: socket.socket, settings: WorkerSettings) -> None:
    """Runs a worker on a connected socket; returns when it retires."""
    apply_log_settings(settings.logs)
    if settings.is_flyte:
        install_as_flyte()
    capture.install()
    install_flush()
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
        self._flusher = Flusher()
        self._link = Link(sock, loop, self._receive, self._flusher)
        self._blobs = open_blobs(settings.blobs, is_data_bounded=settings.data_limit_bytes > 0)
        self._executor = InlineExecutor()
        self._controller = WorkerController(self._link, loop, self._blobs, self._executor.threads)
        self._code: dict[str, Code] = {}
        self._contents: dict[str, bytes] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._newest: WorkerAttempt | None = None
        namespace.fetch = self._fetch

    def serve(self) -> None:
        """Runs calls until the kernel says that there will be no more."""
        self._link.send(Ready(os.getpid()))
        self._loop.run_until_complete(self._retired)
        self._link.flush()

    def _receive(self, message: ToWorker) -> None:
        if isinstance(message, Execute):
            self._calls[message.call] = self._loop.create_task(self._run(message))
        elif isinstance(message, Enter):
            with suppress(FileNotFoundError):  # removed: the kernel, too, goes on
                os.chdir(message.folder)
        elif isinstance(message, Ship):
            self._keep(message)
        elif isinstance(message, Cancel):
            running = self._calls.get(message.call)
            if running is not None:
                running.cancel()
        elif isinstance(message, Retire) and not self._retired.done():
            self._retired.set_result(None)

    def _keep(self, message: Ship) -> None:
        self._contents.update(message.contents)
        entries = [replace(entry, pickled=self._contents[entry.digest]) for entry in message.code.entries]
        self._code[message.code.digest] = replace(message.code, entries=entries)

    async def _run(self, message: Execute) -> None:
        number = message.call
        attempt = self._newest = WorkerAttempt(number, message.facts, self._link, self._flusher)
        try:
            done = await self._outcome(message, attempt)
        except asyncio.CancelledError as cancelled:
            done = Done(number, cancelled=True, note=str(cancelled.args[0]) if cancelled.args else "")
        except Exception as error:  # code or values that cannot be read here, outputs of another type
            done = Done(number, error=pack_error(error))
        del self._calls[number]
        self._finish(attempt, done)

    async def _outcome(self, message: Execute, attempt: WorkerAttempt) -> Done:
        task = namespace.load(self._code[message.code])
        inputs = task.signature.decode_inputs(message.payload, self._blobs)
        scope = Scope(self._controller, attempt, None, message.facts.custom_context)
        function = task.function if task.is_async else partial(self._call_and_finish, task, attempt)
        call = Call(function, inputs, task.is_async, scope, task.name, attempt.cancel_children)
        del inputs
        outcome = await self._executor.execute(call)
        if outcome.error is not None:
            return Done(message.call, error=pack_error(outcome.error), note=outcome.note)
        if task.is_async and len(self._calls) == 1:  # figures are the process's: of several calls nobody knows whose
            current_scope.set(scope)  # in the asyncio task of this call
            worker_displays.show_figures()
        return self._packed(task, attempt, outcome.value) if task.is_async else outcome.value

    def _call_and_finish(self, task: LoadedTask, attempt: WorkerAttempt, /, **inputs: Any) -> Done:
        """A sync task, in its thread: the result leaves from there, which spares it the way over the loop."""
        value = task.function(**inputs)
        worker_displays.show_figures()
        done = self._packed(task, attempt, value)
        self._finish(attempt, done)
        return done

    def _packed(self, task: LoadedTask, attempt: WorkerAttempt, value: Any) -> Done:
        payload = task.signature.pack_outputs(value, self._blobs)
        return Done(attempt.call, payload, stored=self._blobs.take_fresh())

    def _finish(self, attempt: WorkerAttempt, done: Done) -> None:
        """Ends an attempt and says what it came to, unless that was said."""
        if not attempt.closed:
            attempt.close()
            self._link.post(done)

    def _fetch(self, key: str) -> Code:
        """The code of a task that other code refers to; blocks."""
        scope = current_scope.get()
        attempt = scope.attempt if scope is not None else self._newest
        call = attempt.call if attempt is not None else 0
        answer: Future[Answer] = Future()
        self._link.ask(lambda number: Fetch(number, call, key), answer)
        told = self._link.wait(answer)
        if told.error is not None:
            raise unpack_error(told.error)
        if told.code is None:
            raise RuntimeSystemError("CodeNotFound", f"the kernel does not know the code of task {key}")
        return told.code
