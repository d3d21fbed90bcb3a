"""The kernel executor: async tasks on the engine loop, sync tasks in threads with a copied context."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from flyte_nb.authoring.context import current_scope
from flyte_nb.executors.base import Call, Outcome
from flyte_nb.executors.threads import Aborted, Job, TaskThreads

__all__ = ["InlineExecutor"]

SYNC_TASKS_AT_WORK = 64
"""Sync tasks mostly wait (files, network, C code without the GIL): more of them than cores may run."""
ABORT_TRIES = 10
ABORT_GRACE_SECONDS = 0.2
"""How long a cancelled thread may take to end before it is left behind."""


class InlineExecutor:
    """Runs calls inside this process.

    A cancelled async call is cancelled as asyncio does it. A cancelled sync call has `Aborted` raised in its
    thread, which ends Python code; a thread inside C code is left behind after a short grace, its result dropped,
    and the cancellation carries the note.
    """

    name = "kernel"

    def __init__(self) -> None:
        self.threads = TaskThreads(SYNC_TASKS_AT_WORK)

    async def execute(self, call: Call) -> Outcome:
        """Runs one call; see `flyte_nb.executors.base.Executor`."""
        if not call.is_async:
            return await self._execute_in_thread(call)
        token = current_scope.set(call.scope)
        try:
            return Outcome(await call.function(**call.inputs))
        except Aborted:
            raise asyncio.CancelledError from None
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # SystemExit and the like must not end the engine's loop
            return Outcome(error=error)
        finally:
            current_scope.reset(token)

    async def _execute_in_thread(self, call: Call) -> Outcome:
        context = copy_context()
        context.run(current_scope.set, call.scope)
        job = Job(lambda: call.function(**call.inputs), context, call.name)
        self.threads.start(job)
        try:
            value, error = await asyncio.shield(job.future)
        except asyncio.CancelledError as cancelled:
            call.cancel_children()
            for _ in range(ABORT_TRIES):
                job.abort()
                await asyncio.wait([job.future], timeout=ABORT_GRACE_SECONDS / ABORT_TRIES)
                if job.future.done():
                    break
            else:
                cancelled.args = ("its thread could not be ended and still runs; its result is dropped",)
            raise
        if isinstance(error, Aborted):
            raise asyncio.CancelledError
        return Outcome(value, error)
