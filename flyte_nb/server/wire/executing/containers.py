"""One attempt of a task of Flyte's own, as a process: its container's command, with this server's Python for its image.

    FOLDER/runs/RUN/inputs.pb                  what the root received
    FOLDER/runs/RUN/ACTION/ATTEMPT/outputs.pb  what it returned; error.pb, report.html beside
                                  /raw         files that its values name
                                  /work        its code, and what it leaves where it runs: values may name that, too

FOLDER is that of uploads: so clients find what their runs wrote as they find what they have put.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from flyteidl2.common import identifier_pb2
from flyteidl2.task import task_definition_pb2

from flyte_nb.executors.processes.offspring import MARK, kill_marked

__all__ = ["Command", "check_executable", "run_container", "send_signal"]

CONTAINED = "flyte_nb.server.wire.executing.contained"
ENTRY = "a0"
"""What every container of a Python task calls, from Flyte's SDK."""
TOKEN = "FLYTE_NB_TOKEN"
KEPT_BACK = ("FLYTE_ADMIN_", "FLYTE_AUTH_", "_U_", "_F_", "UCTL_CONFIG", "FLYTECTL_CONFIG", "EAGER_API_KEY")
"""Variables of the server that would lead the SDK elsewhere begin so."""
RUNNABLE = ("python", "actor")
"""Types of tasks that a process can run; one of a reusable environment (actor) has a process for each attempt."""
SOMEWHERE = "flyte"
"""Organization, project and domain of a run that names none: the SDK insists on them."""
READ_BYTES = 65_536
LONGEST_LINE_CHARACTERS = 100_000
GRACE_SECONDS = 2.0
"""How long a process may take to end when it is asked to."""

Write = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a process is to do.

    Attributes:
        action: whose attempt it is.
        attempt: which, from 1.
        spec: the action's task.
        inputs: a file, Flyte's `Inputs`.
        base: the folder of the run.
        raw: under which files go that values name.
        began_ns: when the run was asked for.
        variables: environment variables of the run and its secrets, beside those of the task.
        address: by which the process calls this server back.
    """

    action: identifier_pb2.ActionIdentifier
    attempt: int
    spec: task_definition_pb2.TaskSpec
    inputs: str
    base: Path
    raw: str
    began_ns: int
    variables: Mapping[str, str]
    address: str

    @property
    def folder(self) -> Path:
        """Where the attempt writes."""
        return self.base.joinpath(self.action.name, str(self.attempt))

    @property
    def work(self) -> Path:
        """Where it runs."""
        return self.folder / "work"

    def arguments(self) -> list[str]:
        """The container's arguments with this attempt's places in them."""
        began = datetime.fromtimestamp(self.began_ns / 1e9, UTC).isoformat()
        places = {
            "{{.input}}": self.inputs,
            "{{.outputPrefix}}": str(self.folder),
            "{{.runName}}": self.action.run.name,
            "{{.actionName}}": self.action.name,
            "{{.rawOutputDataPrefix}}": self.raw or str(self.folder / "raw"),
            "{{.checkpointOutputPrefix}}": str(self.folder / "checkpoint"),
            "{{.prevCheckpointPrefix}}": self._last_checkpoint(),
            "{{.runStartTime}}": began,
        }
        arguments = list(self.spec.task_template.container.args)
        for number, argument in enumerate(arguments):
            for place, value in places.items():
                argument = argument.replace(place, value)
            arguments[number] = "." if number and arguments[number - 1] == "--dest" else argument
        return arguments

    def environment(self) -> dict[str, str]:
        """The process's variables: the server's without what is the server's alone, the task's, the run's, ours."""
        run = self.action.run
        inherited = {
            name: value for name, value in os.environ.items() if name != TOKEN and not name.startswith(KEPT_BACK)
        }
        return {
            **inherited,
            **{one.key: one.value for one in self.spec.task_template.container.env},
            **self.variables,
            "ACTION_NAME": self.action.name,
            "RUN_NAME": run.name,
            "FLYTE_INTERNAL_EXECUTION_PROJECT": run.project or SOMEWHERE,
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": run.domain or SOMEWHERE,
            "_U_ORG_NAME": run.org or SOMEWHERE,
            "_U_RUN_BASE": str(self.base),
            "_U_EP_OVERRIDE": self.address,
            "_U_INSECURE": "true",  # plain HTTP, without a token: the address itself says who calls
            "_U_USE_ACTIONS": "1",
            "FSSPEC_FILE": '{"auto_mkdir": true}',  # object stores have no folders: the SDK makes none
            "PYTHONUNBUFFERED": "1",
        }

    def _last_checkpoint(self) -> str:
        before = self.base.joinpath(self.action.name, str(self.attempt - 1), "checkpoint")
        return str(before) if before.exists() else ""


def check_executable(spec: task_definition_pb2.TaskSpec) -> None:
    """Whether a task can be executed here.

    Raises:
        ValueError: it cannot.
    """
    template = spec.task_template
    arguments = template.container.args
    if template.type in RUNNABLE and template.WhichOneof("target") is None:
        raise ValueError(
            f"The code of task {template.id.name} is in the store, not in what a client sends along: call the task "
            "once it is deployed (flyte.deploy of flyte_nb), or repeat its run where the store is (flyte-nb rerun)"
        )
    if template.type not in RUNNABLE or not arguments or arguments[0] != ENTRY:
        kind = "in a pod" if template.WhichOneof("target") == "k8s_pod" else f"of type {template.type!r}"
        raise ValueError(
            f"Task {template.id.name} ({kind}) is not executed here: this server runs Python functions, each in a "
            "process of its own; it has no containers, pods and plugins"
        )


async def run_container(command: Command, write: Write) -> int:
    """Runs a command to its end; returns its exit code. When cancelled, ends the process and all that it has started.

    Args:
        command: what to run.
        write: takes whole lines of `stdout` or `stderr`.

    Raises:
        OSError: it cannot be started.
    """
    command.work.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(8)
    lifeline, held = os.pipe()
    try:
        async with output() as (out, to_out), output() as (err, to_err):
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    CONTAINED,
                    str(lifeline),
                    *command.arguments(),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=to_out,
                    stderr=to_err,
                    cwd=command.work,
                    env={**command.environment(), MARK: mark},
                    pass_fds=(lifeline,),
                    start_new_session=True,
                )
            finally:
                os.close(lifeline)
            to_out.close()
            to_err.close()
            try:
                code, _, _ = await asyncio.gather(
                    ended(process, mark), pass_on(out, "stdout", write), pass_on(err, "stderr", write)
                )
            finally:
                await end(process, mark)
    finally:
        os.close(held)
    return code


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


async def ended(process: asyncio.subprocess.Process, mark: str) -> int:
    """The exit code of a process; what it has left running is killed, in whichever session: it may hold the pipes."""
    code = await process.wait()
    await asyncio.to_thread(kill_marked, mark)
    return code


async def end(process: asyncio.subprocess.Process, mark: str) -> None:
    """Ends a process and those that it has started: at first they are asked to."""
    if process.returncode is None:
        send_signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    send_signal(process, signal.SIGKILL)
    await asyncio.to_thread(kill_marked, mark)
    await process.wait()


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


def send_signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Signals a process and those that it has started."""
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.killpg(process.pid, number)
