"""Runs that clients ask the server for, within limits.

    of a task that flyte_nb deployed    CreateRun -> a process starts, loads the deployed code, records the run -> its
                                        name is answered -> it is watched
    of a task of Flyte's own SDK        see `flyte_nb.server.wire.executing.submissions`

The process of a flyte_nb run is a flyte_nb like any other: it records in the same store, and is aborted as any run of
another process.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time

import msgspec
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.task import common_pb2, task_definition_pb2
from flyteidl2.workflow import run_service_pb2
from google.protobuf.message import DecodeError

from flyte_nb.engine.identity import ROOT
from flyte_nb.errors import InitializationError
from flyte_nb.remote.aborting import abort_elsewhere
from flyte_nb.remote.backend.client import check_installed
from flyte_nb.server.wire.executing.callers import Callers
from flyte_nb.server.wire.executing.containers import send_signal
from flyte_nb.server.wire.executing.limits import Limits
from flyte_nb.server.wire.executing.orders import Order, options_of
from flyte_nb.server.wire.executing.submissions import Submissions
from flyte_nb.server.wire.executing.submitted import SubmittedAction
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.store.pages import tree_size
from flyte_nb.store.rows import DeployedTaskRow
from flyte_nb.store.schema import PHASES_OVER

__all__ = ["Execution"]

CHILD = "flyte_nb.server.wire.executing.child"
MOST_AT_ONCE = 4
"""A task that starts runs of itself by this server ends here."""
LOOK_SECONDS = 0.5
STARTED_SECONDS = 60.0
"""How long a process may take until its run is recorded."""
ENDED_SECONDS = 5.0


class Execution:
    """Starts and watches the processes of runs.

    Args:
        records: the store.
        uploads: where clients have put the inputs.
        limits: of each run; None executes nothing.
    """

    def __init__(self, records: Records, uploads: Uploads, limits: Limits | None) -> None:
        self._records = records
        self._uploads = uploads
        self._limits = limits
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._ending = False
        self.callers = Callers[SubmittedAction]()
        self.submissions = Submissions(records, uploads, self.callers, limits) if limits is not None else None

    async def start(self, request: run_service_pb2.CreateRunRequest) -> str:
        """Starts a run; returns its name once it is recorded.

        Raises:
            ConnectError: the server executes nothing, or as much as it may; the run is there already; it ended before
                it was recorded.
            KeyError: there is no such task.
            ValueError: it cannot be executed here, or the inputs are not the task's.
        """
        if self.submissions is None:
            raise ConnectError(
                Code.PERMISSION_DENIED, "This server executes nothing: who runs it can start it with --execute"
            )
        if self._ending:
            raise ConnectionAbortedError("The server is ending: ask again when it is back")
        name = request.run_id.name or f"r{secrets.token_hex(8)}"
        if self._has(name) or await self._records.ask(self._records.has_run, name):
            raise ConnectError(Code.ALREADY_EXISTS, f"There is a run {name!r} already")
        if request.WhichOneof("task") == "task_spec":
            await self._submit(self.submissions, name, request.task_spec, request)
            return name
        row = await self._records.ask(
            self._records.deployments.task, request.task_id.name, request.task_id.version or None
        )
        if row.wire:
            spec = task_definition_pb2.TaskSpec.FromString(bytes(self._records.values.get(row.wire)[0]))
            await self._submit(self.submissions, name, spec, request)
            return name
        if len(self._processes) >= MOST_AT_ONCE:
            raise ConnectError(
                Code.RESOURCE_EXHAUSTED, f"{MOST_AT_ONCE} runs are being executed: try again when one has ended"
            )
        inputs = await self._records.ask(self._inputs, request, row)
        options = options_of(request.run_spec, inputs)
        order = Order(row.task, row.version, name, options, inputs.SerializeToString(), os.getpid())
        await self._start(order)
        return name

    async def close(self) -> None:
        """Ends what is being executed."""
        self._ending = True
        if self.submissions is not None:
            await self.submissions.close()
        for process in self._processes.values():
            send_signal(process, signal.SIGTERM)
        if self._watchers:
            await asyncio.wait(self._watchers, timeout=ENDED_SECONDS)
        for process in self._processes.values():
            send_signal(process, signal.SIGKILL)
        if self._watchers:
            await asyncio.wait(self._watchers)

    def _has(self, name: str) -> bool:
        return name in self._processes or (self.submissions is not None and self.submissions.has(name))

    async def _submit(
        self,
        submissions: Submissions,
        name: str,
        spec: task_definition_pb2.TaskSpec,
        request: run_service_pb2.CreateRunRequest,
    ) -> None:
        """Starts a run of a task of Flyte's own.

        Raises:
            ConnectError: the SDK is not installed where this server runs.
        """
        try:
            check_installed()
        except InitializationError as error:
            raise ConnectError(
                Code.FAILED_PRECONDITION, f"Flyte's own tasks are executed by its SDK. {error}"
            ) from error
        await submissions.start(name, spec, request)

    def _inputs(self, request: run_service_pb2.CreateRunRequest, row: DeployedTaskRow) -> common_pb2.Inputs:
        inputs = request.inputs
        if request.WhichOneof("input_wrapper") == "offloaded_input_data":
            uri = request.offloaded_input_data.uri
            try:
                inputs = common_pb2.Inputs.FromString(self._uploads.read(uri))
            except DecodeError as error:
                raise ValueError(f"{uri!r} holds no inputs: {error}") from error
        given, taken = {one.name for one in inputs.literals}, [name for name, _ in row.inputs]
        signature = ", ".join(f"{name}: {kind}" for name, kind in row.inputs)
        if unknown := sorted(given.difference(taken)):
            raise ValueError(f"{row.task} takes ({signature}), not {', '.join(unknown)}")
        if missing := [name for name in taken if name not in given and name not in row.defaults]:
            raise ValueError(f"{row.task} takes ({signature}): {', '.join(missing)} missing")
        return inputs

    async def _start(self, order: Order) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._records.home.path.parent,
            env={**os.environ, "FLYTE_NB_HOME": str(self._records.home.path)},
            start_new_session=True,
        )
        self._processes[order.run] = process
        watcher = asyncio.create_task(self._watch(order.run, process))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        answer = asyncio.create_task(process.communicate(msgspec.json.encode(order)))
        deadline = time.monotonic() + STARTED_SECONDS
        while not await self._records.ask(self._records.has_run, order.run):
            done, _ = await asyncio.wait([answer], timeout=LOOK_SECONDS / 5)
            if done:
                if await self._records.ask(self._records.has_run, order.run):
                    return
                said = answer.result()[0].decode("utf-8", "replace").strip()
                raise ConnectError(Code.INVALID_ARGUMENT, said or "The process of the run ended before it began")
            if time.monotonic() > deadline:
                send_signal(process, signal.SIGKILL)
                raise ConnectError(
                    Code.DEADLINE_EXCEEDED, f"The run did not begin within {STARTED_SECONDS:.0f} seconds"
                )
        self._keep(answer)

    def _keep(self, answer: asyncio.Task[tuple[bytes, bytes]]) -> None:
        """Holds on to the task that reads what a process says, until it has ended."""
        kept: asyncio.Task[None] = asyncio.create_task(ignore(answer))
        self._watchers.add(kept)
        kept.add_done_callback(self._watchers.discard)

    async def _watch(self, run: str, process: asyncio.subprocess.Process) -> None:
        assert self._limits is not None
        ended = asyncio.create_task(process.wait())
        begun, is_aborted = time.monotonic(), False
        while not (await asyncio.wait([ended], timeout=LOOK_SECONDS))[0]:
            reason = await self._excess(run, time.monotonic() - begun)
            if reason and not is_aborted and not self._ending:
                is_aborted = True
                await self._end(run, process, reason)
        del self._processes[run]

    async def _excess(self, run: str, seconds: float) -> str:
        """Which limit a run has passed; empty for none."""
        assert self._limits is not None
        if seconds > self._limits.seconds:
            return f"it took longer than the {self._limits.seconds:g} seconds that this server gives a run"
        size = await self._records.ask(tree_size, self._records.home, run)
        if size.actions > self._limits.actions:
            return f"it has more than the {self._limits.actions:,} actions that this server gives a run"
        if size.depth > self._limits.depth:
            return f"its actions are nested deeper than the {self._limits.depth} levels that this server gives a run"
        return ""

    async def _end(self, run: str, process: asyncio.subprocess.Process, reason: str) -> None:
        """Aborts a run, and kills its process when that does not answer."""
        try:
            await asyncio.to_thread(abort_elsewhere, self._records.store, run, ROOT, reason)
        except (KeyError, TimeoutError, ValueError):  # it has no run (yet), or does not answer
            send_signal(process, signal.SIGKILL)
            return
        row = await self._records.ask(self._records.store.run, run)
        if row.phase not in PHASES_OVER:
            send_signal(process, signal.SIGKILL)


async def ignore(answer: asyncio.Task[tuple[bytes, bytes]]) -> None:
    await asyncio.wait([answer])
