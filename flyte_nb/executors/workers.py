"""A worker as the kernel sees it: a process, a connection, and the calls that run in it.

    Worker.run(call) --Ship, Execute--> process
                     <--Submit, TraceBegan, Printed ...  served by `call.host`
                     <--Done--  the outcome

Everything here lives on the engine loop; what watches memory calls in from its own thread.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from itertools import count

from msgspec.structs import replace

from flyte_nb.executors.base import Call, Host, Outcome
from flyte_nb.executors.crossing import pack_error, unpack_error
from flyte_nb.executors.frames import (
    DEPLOYED,
    Answer,
    Asked,
    Cancel,
    Code,
    Displayed,
    Done,
    Enter,
    Execute,
    Fetch,
    FrameReader,
    FromWorker,
    Printed,
    Reported,
    Retire,
    Ship,
    Submit,
    ToWorker,
    TraceBegan,
    TraceEnded,
    Withdraw,
    encode_frame,
    read_from_worker,
)
from flyte_nb.executors.limits.admission import Lease
from flyte_nb.executors.limits.memory import MemoryWatch
from flyte_nb.executors.losses import WorkerLostError, describe_exit, memory_exceeded, with_tail
from flyte_nb.executors.outbox import Outbox
from flyte_nb.executors.processes.spawning import WorkerProcess

__all__ = ["Worker"]

POLITE_SECONDS = 0.25
"""How long a cancelled call may take to end before its process is killed."""
RETIRE_SECONDS = 2.0
"""How long a retired process may take to leave."""
EXIT_SECONDS = 0.5
"""How long to wait for the exit status of a process whose connection has ended."""
TRACEBACK_SECONDS = 0.02
"""How long a process that uses too much memory has to write down where it was."""
NATIVE_LINES = 500
DEATH = "Fatal Python error: "
"""How Python begins to say where a process was that dies of a signal."""
PRINTED_KEPT = 20
"""Pieces of output kept for the message about a lost process."""


class RunningCall:
    """A call in a worker, what it came to, and who waits for that."""

    __slots__ = ("call", "context", "ended", "host", "number", "printed", "requests", "turn")

    def __init__(self, number: int, call: Call, host: Host) -> None:
        self.number = number
        self.call = call
        self.host = host
        self.ended: Done | Exception | None = None
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.requests: dict[int, asyncio.Task[None]] = {}
        self.printed: deque[str] | None = None
        self.context: Context = copy_context()
        """That of the code which called the task: in it the notebook knows which cell to write to."""

    def end(self, how: Done | Exception) -> None:
        """It is over."""
        if self.ended is None:
            self.ended = how
            if not self.turn.done():
                self.turn.set_result(None)

    async def wait_again(self, seconds: float) -> None:
        """Waits for its end once more, after a wait for it was cancelled."""
        if self.ended is None:
            self.turn = asyncio.get_running_loop().create_future()
            await asyncio.wait([self.turn], timeout=seconds)


class Worker(asyncio.BufferedProtocol):
    """One worker process, connected.

    Args:
        process: the process.
        name: what people read: `process`, `scoring worker 2`.
        memory_bytes: bound on its private memory.
        watch: keeps the bound.
        ended: told once, when the process takes no more calls: it is gone, or going.
    """

    def __init__(
        self,
        process: WorkerProcess,
        name: str,
        memory_bytes: int | None,
        watch: MemoryWatch,
        ended: Callable[[Worker], None],
    ) -> None:
        self.process = process
        self.name = f"{name} ({process.pid})"
        self.is_lost = False
        self._is_dismissed = False
        self.modules: dict[str, str] = {}
        """The user's own modules that code shipped to it imports, by digest."""
        self.folder = ""
        """The working folder that it was told last."""
        self.devices: Lease | None = None
        """What it holds of the machine's devices while it lives."""
        self._memory_bytes = memory_bytes
        self._peak_bytes: int | None = None
        self._is_dying = False
        self._ended = ended
        self._calls: dict[int, RunningCall] = {}
        self._newest: RunningCall | None = None
        self._idle_since = time.monotonic()
        self._numbers = count(1)
        self._shipped: set[str] = set()
        self._contents: set[str] = set()
        """Digests of what was shipped."""
        self._frames = FrameReader()
        self._outbox = Outbox(asyncio.get_running_loop(), self._write)
        self._transport: asyncio.Transport | None = None
        self._killed_for: RunningCall | None = None
        self._settling: asyncio.Task[None] | None = None
        process.native.on_text = self._native_text
        self._unwatch: Callable[[], None] | None = None
        if memory_bytes is not None:
            with suppress(ProcessLookupError):  # it has ended already, which its connection tells
                self._unwatch = watch.watch(process.pid, memory_bytes, self._memory_exceeded)

    @property
    def running(self) -> list[str]:
        """The names of the tasks whose calls run in it."""
        return [running.call.name for running in list(self._calls.values())]

    @property
    def calls_ended(self) -> int:
        """How many calls it has run."""
        return (self._newest.number if self._newest is not None else 0) - len(self._calls)

    @property
    def idle_seconds(self) -> float | None:
        """How long it has had nothing to do; None while it runs calls."""
        return None if self._calls else time.monotonic() - self._idle_since

    async def connect(self) -> None:
        """Starts to listen."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=self.process.socket)

    def fits(self, call: Call) -> bool:
        """Whether its code can run here: no module of the user's own was loaded in another version."""
        modules = call.code.modules if call.code is not None else {}
        return not modules or all(self.modules.get(name, digest) == digest for name, digest in modules.items())

    async def run(self, call: Call) -> Outcome:
        """Runs a call to its end. Cancelling it ends it, politely first; then the process is killed.

        Raises:
            WorkerLostError: the process is gone.
            OOMError: it used too much memory.
        """
        assert call.code is not None and call.facts is not None and call.host is not None
        running = self._newest = RunningCall(next(self._numbers), call, call.host)
        if self._died_idle():
            self._lose()
        if self._is_dismissed:
            raise WorkerLostError(f"{self.name} ended before {call.name} began", self.name, shared=True, cleared=True)
        self._calls[running.number] = running
        if call.code.digest not in self._shipped:
            self._ship(call.code)
        if call.placement.folder != self.folder:
            self.folder = call.placement.folder
            self._send(Enter(self.folder))
        self._send(Execute(running.number, call.code.digest, call.payload, call.facts))
        try:
            await running.turn
        except asyncio.CancelledError:
            await self._end(running)
            raise
        finally:
            self._calls.pop(running.number, None)
            self._idle_since = time.monotonic()
            for request in list(running.requests.values()):
                request.cancel()
            self._leave_if_dismissed()
        done = running.ended
        if isinstance(done, Exception):
            raise done
        assert done is not None
        if done.cancelled:
            raise asyncio.CancelledError(*([done.note] if done.note else []))
        if done.error is not None:
            return Outcome(error=unpack_error(done.error), note=done.note)
        return Outcome(payload=done.payload, note=done.note)

    def retire(self) -> None:
        """Ends the process when it has nothing to do; what it leaves running is ended too."""
        if self.is_lost:
            return
        self._lose()
        self._send(Retire())
        asyncio.get_running_loop().call_later(RETIRE_SECONDS, self.process.kill)

    def kill(self) -> None:
        """Ends the process and all that it started, now."""
        self._lose()
        self.process.kill()

    def disconnect(self) -> None:
        """Closes the connection; whatever ran there is lost."""
        if self._transport is not None:
            self._transport.abort()

    # ---------------------------------------------------------------- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._frames.room

    def buffer_updated(self, nbytes: int) -> None:
        for frame in self._frames.feed(nbytes):
            self._serve(read_from_worker(frame))

    def connection_lost(self, error: Exception | None) -> None:
        self._lose()
        if self._calls:
            self._settling = asyncio.get_running_loop().create_task(self._settle_losses())
        else:
            self.process.kill()  # what it may have left behind

    # ---------------------------------------------------------------- what the worker says

    def _serve(self, message: FromWorker) -> None:
        if isinstance(message, Done) and (ended := self._calls.get(message.call)):
            if message.stored:
                ended.host.stored(message.stored)
            ended.end(message)
            return
        number = getattr(message, "call", None)
        running = self._calls.get(number) if number is not None else None
        if isinstance(message, Withdraw):
            for each in self._calls.values():
                request = each.requests.get(message.request)
                if request is not None:
                    request.cancel()
            return
        if running is None:  # its call is over; whoever asks would wait for ever
            if request_number := getattr(message, "request", 0):
                self._send(Answer(request_number, cancelled=True))
            return
        stored = getattr(message, "stored", None)
        if stored:
            running.host.stored(stored)
        if isinstance(message, Submit):
            self._start(running, message.request, self._submit(running, message))
        elif isinstance(message, Asked):
            self._start(running, message.request, self._ask(running, message))
        elif isinstance(message, Printed):
            if running.printed is None:
                running.printed = deque(maxlen=PRINTED_KEPT)
            running.printed.append(message.text)
            running.context.run(running.host.wrote, message.stream, message.text)
        elif isinstance(message, TraceBegan):
            self._begin_trace(running, message)
        elif isinstance(message, TraceEnded):
            self._start(running, message.request, self._end_trace(running, message))
        elif isinstance(message, Displayed):
            running.context.run(running.host.displayed, message.bundle)
        elif isinstance(message, Reported):
            running.host.reported(message.html)
        elif isinstance(message, Fetch):
            self._start(running, message.request, self._fetch(running, message))

    def _start(self, running: RunningCall, request: int, work: Awaitable[Answer]) -> None:
        """Works on a request and answers it."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._answer(running, request, work), context=running.context.copy())
        running.requests[request] = task

    async def _answer(self, running: RunningCall, request: int, work: Awaitable[Answer]) -> None:
        try:
            answer = await work
        except asyncio.CancelledError:
            answer = Answer(request, cancelled=True)
        except Exception as error:  # what the child raised is the answer to its parent
            answer = Answer(request, error=pack_error(error))
        finally:
            running.requests.pop(request, None)
        self._send(answer)

    async def _submit(self, running: RunningCall, message: Submit) -> Answer:
        payload = await running.host.submit(message.task, message.payload, message.group, message.custom_context)
        return Answer(message.request, payload)

    async def _ask(self, running: RunningCall, message: Asked) -> Answer:
        asked = (message.question, message.group, message.custom_context)
        return Answer(message.request, await running.host.wait_for_condition(*asked))

    def _begin_trace(self, running: RunningCall, message: TraceBegan) -> None:
        asks = message.request != 0
        recorded = running.host.begin_trace(
            message.step, message.name, message.code, message.names, message.payload, message.group, asks
        )
        if asks:
            self._send(Answer(message.request, recorded))

    async def _end_trace(self, running: RunningCall, message: TraceEnded) -> Answer:
        error = unpack_error(message.error) if message.error is not None else None
        await running.host.end_trace(message.step, message.payload, error)
        return Answer(message.request)

    async def _fetch(self, running: RunningCall, message: Fetch) -> Answer:
        host, key = running.host, message.key
        code = await host.deployed(key) if key.startswith(DEPLOYED) else host.fetch(key)
        return Answer(message.request, code=code)

    def _native_text(self, stream: str, text: str) -> None:
        """Output that did not come through Python's streams: of C code, or of a subprocess.

        Where a dying process says it was is not shown: the error of its call tells it, without the engine's frames.
        """
        if self._is_dying or self._peak_bytes is not None:
            return
        text, death, _ = text.partition(DEATH)
        self._is_dying = bool(death)
        running = self._newest
        if text and running is not None and running.number in self._calls:
            running.context.run(running.host.wrote, stream, text)

    # ---------------------------------------------------------------- what the worker is told

    def _ship(self, code: Code) -> None:
        """Sends code; globals that it shares with earlier code, however large, are there already."""
        contents = {entry.digest: entry.pickled for entry in code.entries if entry.digest not in self._contents}
        entries = [replace(entry, pickled=b"") for entry in code.entries]
        self._send(Ship(replace(code, entries=entries), contents))
        self._shipped.add(code.digest)
        self._contents.update(contents)
        self.modules.update(code.modules)

    def _send(self, message: ToWorker) -> None:
        self._outbox.post(encode_frame(message))

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    async def _end(self, running: RunningCall) -> None:
        """Ends one call, politely; a process in which it does not end is killed. No cancellation cuts that short."""
        ending = asyncio.get_running_loop().create_task(self._end_politely(running))
        while not ending.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(ending)

    async def _end_politely(self, running: RunningCall) -> None:
        if self.is_lost:
            return
        self._send(Cancel(running.number))
        await running.wait_again(POLITE_SECONDS)
        if running.ended is None:
            self._killed_for = running
            self.kill()
        elif isinstance(running.ended, Done) and running.ended.note:  # its thread still runs
            self._dismiss()

    # ---------------------------------------------------------------- how it ends

    def _dismiss(self) -> None:
        """It takes no more calls, and is killed when its last is over."""
        if not self._is_dismissed:
            self._is_dismissed = True
            self._ended(self)

    def _died_idle(self) -> bool:
        """Whether it has died while it had nothing to do, and the loop has not noticed yet."""
        if self._calls:
            return False
        try:
            return not self.process.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _leave_if_dismissed(self) -> None:
        if self._is_dismissed and not self._calls:
            self.kill()

    def _lose(self) -> None:
        self.is_lost = True
        if self._unwatch is not None:
            self._unwatch()
        self._dismiss()

    def _memory_exceeded(self, peak_bytes: int) -> None:
        """On the watch's thread: the process writes down where it was, and is killed."""
        self._peak_bytes = peak_bytes
        self.process.interrupt_with_traceback()
        time.sleep(TRACEBACK_SECONDS)
        self.process.kill()

    async def _settle_losses(self) -> None:
        """Answers everybody whose call ran in the process; one that has not ended by itself has lost its connection."""
        status = None
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_SECONDS):
                status = await asyncio.shield(self.process.exited)
        self.process.kill()
        shared = len(self._calls) > 1
        for running in list(self._calls.values()):
            running.end(self._loss(running, shared, status))

    def _loss(self, running: RunningCall, shared: bool, status: int | None) -> Exception:
        name, tail = running.call.name, "".join(running.printed or ()) + self.process.native.tail(NATIVE_LINES)
        if self._peak_bytes is not None and self._memory_bytes is not None and not shared:
            is_reused = running.call.placement.reuse is not None
            return memory_exceeded(
                name, self._memory_bytes, self._peak_bytes, self.name, tail, is_reused, running.number - 1
            )
        if self._peak_bytes is not None:
            how = "was ended because it used more memory than its limit"
        elif self._killed_for is not None:
            how = f"was ended because {self._killed_for.call.name} did not end when it was told to"
        else:
            how = describe_exit(status) if status is not None else "lost its connection to the kernel"
        message = f"the process that ran {name} {how}"
        return WorkerLostError(with_tail(message, tail), self.name, shared, self._killed_for is not None)
