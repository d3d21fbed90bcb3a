"""Firing triggers while a store is served: those of flyte_nb in this process, those of Flyte's own client as runs that
it asks for, within the same limits."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime

from connectrpc.errors import ConnectError

from flyte_nb.errors import RuntimeUserError
from flyte_nb.remote.triggers.trigger_loop import TriggerLoop, start_run_of
from flyte_nb.server.wire.executing.execution import Execution
from flyte_nb.server.wire.faults import refused
from flyte_nb.server.wire.messages import NOWHERE
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.trigger_messages import request_of
from flyte_nb.store.rows import TriggerRow

__all__ = ["Firing"]


class Firing:
    """Fires the triggers of a store, in a thread of its own.

    Args:
        records: the store.
        execution: starts the runs of triggers that Flyte's own client deployed.
    """

    def __init__(self, records: Records, execution: Execution) -> None:
        self._records = records
        self._execution = execution
        self._triggers = TriggerLoop(fire=self._fire)
        self._thread = threading.Thread(target=self._triggers.run, name="flyte_nb triggers", daemon=True)
        self._server: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins; on the server's loop."""
        self._server = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Ends; runs that were started go on."""
        self._triggers.stop()
        await asyncio.to_thread(self._thread.join)

    def _fire(self, row: TriggerRow, due: datetime) -> str:
        """Starts the run of a trigger; returns its name.

        Raises:
            flyte_nb.errors.RuntimeUserError: the server may not, or cannot, execute it.
        """
        if not row.wire:
            return start_run_of(row, due)
        assert self._server is not None
        request = request_of(self._records, NOWHERE, row, due)
        try:
            return asyncio.run_coroutine_threadsafe(self._execution.start(request), self._server).result()
        # What the server refuses (`unimplemented` among it, see faults.py) or cannot read is recorded as `fired_error`;
        # KeyError and ValueError the loop tells itself.
        except (ConnectError, NotImplementedError, OSError) as error:
            answer = refused(error, "CreateRun")
            raise RuntimeUserError(answer.code.value, answer.message) from error
