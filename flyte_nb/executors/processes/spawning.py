"""Where worker processes come from: forked from a zygote, or a fresh interpreter each.

pool -> Spawner.start(settings) -> WorkerProcess
          Zygote -> ZygoteLink -> the zygote process -> fork
          FreshInterpreters -> exec
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from secrets import token_hex
from typing import Protocol

from flyte_nb.executors.frames import WorkerSettings
from flyte_nb.executors.processes.entrance import ENTRY
from flyte_nb.executors.processes.fresh import FreshInterpreters
from flyte_nb.executors.processes.interpreter import Interpreter
from flyte_nb.executors.processes.native_threads import SINGLE
from flyte_nb.executors.processes.offspring import MARK
from flyte_nb.executors.processes.worker_process import NativeOutput, WorkerProcess, not_started
from flyte_nb.executors.processes.zygote_link import CannotForkError, RefusedError, ZygoteLink, ZygoteLostError

__all__ = ["FreshInterpreters", "NativeOutput", "Spawner", "WorkerProcess", "Zygote", "default_spawner"]

TRIES = 3
"""A zygote that was killed from outside is replaced; one that ends by itself again and again is not."""

logger = logging.getLogger("flyte")


class Spawner(Protocol):
    """Starts worker processes."""

    async def start(self, settings: WorkerSettings) -> WorkerProcess:
        """A new process; whoever asked uses its socket, closes it, and ends the process.

        Cancelling leaves nothing behind.

        Raises:
            flyte_nb.errors.RuntimeSystemError: it could not be started; says why.
        """

    def close(self) -> None:
        """Ends every process that came from here, with all that they have started. Callable from any thread."""


class Zygote:
    """Forks workers from a process with one thread that has imported what they need. Linux only.

    The process is started when the first worker is, and anew when it is gone.

    Args:
        interpreter: the Python; the kernel's own by default.
        entry: what a worker runs, `module:function`.
    """

    def __init__(self, interpreter: Interpreter | None = None, entry: str = ENTRY) -> None:
        self._entry = entry
        self._interpreter = interpreter or Interpreter()
        self._unfit: set[str] = set()
        self._link: ZygoteLink | None = None
        self._inherited: dict[str, str] = {}
        self._instead: FreshInterpreters | None = None
        self._is_closed = False

    async def start(self, settings: WorkerSettings) -> WorkerProcess:
        """Forks a worker; see `Spawner`."""
        words = ""
        for _ in range(TRIES):
            if self._is_closed:
                raise not_started("the kernel is leaving")
            if self._instead is not None:
                return await self._instead.start(settings)
            modules = self._interpreter.modules([name for name in settings.preload if name not in self._unfit])
            link = self._linked()
            try:
                return await link.start(modules, self._interpreter.opening(settings, self._inherited))
            except ZygoteLostError as lost:
                words = str(lost)
            except (RefusedError, OSError) as refused:
                raise not_started(str(refused)) from refused
            except CannotForkError as reason:
                self._give_up(str(reason))
            finally:
                self._unfit |= link.unfit
        raise not_started(f"the last words were\n{words}")

    def close(self) -> None:
        """Ends the zygote and everything that came from it; see `Spawner`."""
        self._is_closed = True
        for spawned in (self._link, self._instead):
            if spawned is not None:
                spawned.close()

    def _linked(self) -> ZygoteLink:
        """The zygote: the present one, or a new one where it is gone or belongs to another loop."""
        link = self._link
        if link is not None and not link.is_lost and link.loop is not asyncio.get_running_loop():
            link.close()
        if link is None or link.is_lost or link.loop is not asyncio.get_running_loop():
            mark = token_hex(8)
            self._inherited = {**self._interpreter.environment(), **SINGLE, MARK: mark}
            order = {"kernel": os.getpid(), "entry": self._entry}
            try:
                link = self._link = ZygoteLink(self._interpreter, self._inherited, order, mark)
            except OSError as error:
                raise not_started(str(error)) from error
        return link

    def _give_up(self, reason: str) -> None:
        """From now on workers are fresh interpreters."""
        if self._instead is None:
            logger.warning("workers start slowly, from a new interpreter each: the zygote cannot fork, %s", reason)
            self._instead = FreshInterpreters(self._interpreter, self._entry)


def default_spawner(entry: str = ENTRY, variables: Mapping[str, str] | None = None) -> Spawner:
    """The best way to start processes of this Python on this system.

    Args:
        entry: what a worker runs, `module:function`.
        variables: environment of the workers; the kernel's by default.
    """
    spawner = Zygote if sys.platform == "linux" else FreshInterpreters
    return spawner(Interpreter(variables=variables), entry)
