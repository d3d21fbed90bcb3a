"""One attempt of a task of Flyte's own, as a process: this server's Python in the place of the container's image.

    this process --> one that has imported Flyte's SDK --fork--> the attempt's process, which the command is sent to

See `flyte_nb.executors.processes`: how it forks, what ends with what, and when it starts an interpreter instead.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import BinaryIO

import msgspec

from flyte_nb.executors.frames import LENGTH, WorkerSettings
from flyte_nb.executors.processes.interpreter import Interpreter
from flyte_nb.executors.processes.spawning import FreshInterpreters, Spawner, default_spawner
from flyte_nb.executors.processes.worker_process import WorkerProcess
from flyte_nb.server.wire.executing.commands import Command

__all__ = ["Containers", "send_signal"]

CONTAINED = "flyte_nb.server.wire.executing.contained:main"
TOKEN = "FLYTE_NB_TOKEN"
KEPT_BACK = ("FLYTE_ADMIN_", "FLYTE_AUTH_", "_U_", "_F_", "UCTL_CONFIG", "FLYTECTL_CONFIG", "EAGER_API_KEY")
"""Variables of the server that would lead the SDK elsewhere begin so."""
SET = {
    "FSSPEC_FILE": '{"auto_mkdir": true}',  # object stores have no folders: the SDK makes none
    "PYTHONUNBUFFERED": "1",
}
"""Variables of every process, which are read before there is an attempt."""
READ_EARLY = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_", "FSSPEC_", "FLYTE_IO_", "_F_TE_", "PYDANTIC_")
"""What the interpreter, the C library and the SDK read when they start, never again, begins so."""
PATH = tuple(folder for folder in sys.path if folder)
"""Where modules are found; noted early, for this process adds to it what is not the tasks'."""
READ_BYTES = 65_536
LONGEST_LINE_CHARACTERS = 100_000
GRACE_SECONDS = 2.0
"""How long a process may take to end when it is asked to."""

Write = Callable[[str, str], Awaitable[None]]


class Containers:
    """Runs commands, each in a process of its own."""

    def __init__(self) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if name != TOKEN and not name.startswith(KEPT_BACK)
        }
        self._variables = {**inherited, **SET}
        self._spawner = default_spawner(CONTAINED, self._variables)

    async def run(self, command: Command, write: Write) -> int:
        """Runs a command to its end; returns its exit code. When cancelled, ends the process and all it has started.

        Args:
            command: what to run.
            write: takes whole lines of `stdout` or `stderr`.

        Raises:
            flyte_nb.errors.RuntimeSystemError: there is no process to be had.
        """
        command.work.mkdir(parents=True, exist_ok=True)
        variables = command.environment()
        spawner = self._spawner_with(variables)
        async with output() as (out, to_out), output() as (err, to_err):
            process = await spawner.start(settings_of(command, variables))
            try:
                await hand_over(process, command.arguments(), [to_out.fileno(), to_err.fileno()])
                to_out.close()
                to_err.close()
                code, _, _ = await asyncio.gather(
                    ended(process), pass_on(out, "stdout", write), pass_on(err, "stderr", write)
                )
            finally:
                await end(process)
        if early := process.native.tail():  # what kept it from taking its command
            await write("stderr", early)
        return code

    def close(self) -> None:
        """Ends the process that the others are forked from, and them. Blocks until then."""
        self._spawner.close()

    def _spawner_with(self, variables: Mapping[str, str]) -> Spawner:
        early = {
            name: value
            for name, value in variables.items()
            if name.startswith(READ_EARLY) and name != "PYTHONPATH" and self._variables.get(name) != value
        }
        return (
            FreshInterpreters(Interpreter(variables={**self._variables, **early, **SET}), CONTAINED)
            if early
            else self._spawner
        )


def settings_of(command: Command, variables: dict[str, str]) -> WorkerSettings:
    first = [str(command.work), *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    return WorkerSettings(variables=variables, cpus=0, folder=str(command.work), path=[*first, *PATH], blobs=("", ""))


async def hand_over(process: WorkerProcess, arguments: list[str], outputs: list[int]) -> None:
    """Tells a process its command and where it prints to. The pipes are not the worker's own: those are read
    however slowly what they bring is recorded."""
    loop, body = asyncio.get_running_loop(), msgspec.json.encode(arguments)
    with process.socket, contextlib.suppress(ConnectionError):  # it has ended already: `ended` tells how
        if await loop.sock_recv(process.socket, 1):  # it listens: its socket has room
            socket.send_fds(process.socket, [LENGTH.pack(len(body))], outputs)
            await loop.sock_sendall(process.socket, body)


@contextlib.asynccontextmanager
async def output() -> AsyncIterator[tuple[asyncio.StreamReader, BinaryIO]]:
    """A pipe: what is read from it, and the end into which a process writes.

    It is not one of asyncio's own: for those, no process has ended before all have that hold its pipes.
    """
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", 0) as end_of_process:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
        )
        try:
            yield reader, end_of_process
        finally:
            transport.close()


async def ended(process: WorkerProcess) -> int:
    """The exit code of a process; what it has left running was killed, in whichever session."""
    return os.waitstatus_to_exitcode(await asyncio.shield(process.exited))


async def end(process: WorkerProcess) -> None:
    """Ends a process and those that it has started: at first they are asked to."""
    if not process.exited.done():
        send_signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended(process), GRACE_SECONDS)
    process.kill()
    await ended(process)


async def pass_on(stream: asyncio.StreamReader, name: str, write: Write) -> None:
    """Hands on what a process prints, in whole lines."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while chunk := await stream.read(READ_BYTES):
        lines, newline, last = (rest + decoder.decode(chunk)).rpartition("\n")
        rest = last
        if newline:
            await write(name, lines)
        if len(rest) > LONGEST_LINE_CHARACTERS:
            await write(name, rest)
            rest = ""
    if rest:
        await write(name, rest)


def send_signal(process: asyncio.subprocess.Process | WorkerProcess, number: int) -> None:
    """Signals a process and those that it has started."""
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.killpg(process.pid, number)
