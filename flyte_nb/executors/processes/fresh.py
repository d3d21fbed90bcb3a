"""A fresh interpreter for every worker: slow to start, and right where a fork is missing or not safe (macOS).

A worker's standard input is its lifeline: it ends when the kernel does, and the worker with it. What a worker has
started ends with it while the kernel lives; when the kernel was killed, a daemon of a worker may be left.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from contextlib import suppress
from secrets import token_hex

from flyte_nb.executors.frames import WorkerSettings
from flyte_nb.executors.processes import offspring
from flyte_nb.executors.processes.entrance import ENTRY
from flyte_nb.executors.processes.interpreter import Interpreter
from flyte_nb.executors.processes.worker_process import Ends, WorkerProcess, keep_from_children, not_started

__all__ = ["FreshInterpreters"]


class FreshInterpreters:
    """Starts workers by exec; see `flyte_nb.executors.processes.spawning.Spawner`.

    Args:
        interpreter: the Python; the kernel's own by default.
        entry: what a worker runs, `module:function`.
    """

    def __init__(self, interpreter: Interpreter | None = None, entry: str = ENTRY) -> None:
        self._interpreter = interpreter or Interpreter()
        self._entry = entry
        self._running: set[_Fresh] = set()
        self._is_closed = False

    async def start(self, settings: WorkerSettings) -> WorkerProcess:
        """Starts a worker; see `flyte_nb.executors.processes.spawning.Spawner`."""
        if self._is_closed:
            raise not_started("the kernel is leaving")
        try:
            fresh = self._fresh()
        except OSError as error:
            raise not_started(str(error)) from error
        try:
            loop = asyncio.get_running_loop()
            with suppress(ConnectionError):  # it has ended already; `exited` tells how
                await loop.sock_sendall(fresh.process.socket, self._interpreter.opening(settings))
        except BaseException:
            fresh.process.kill()
            fresh.process.socket.close()
            raise
        return fresh.process

    def close(self) -> None:
        """Kills every worker. Callable from any thread."""
        self._is_closed = True
        for fresh in list(self._running):
            fresh.process.kill()
            fresh.thread.join()

    def _fresh(self) -> _Fresh:
        ends = Ends()
        try:
            return _Fresh(self._interpreter, self._entry, ends, self._running)
        except BaseException:
            ends.close()
            raise
        finally:
            ends.give_away()


class _Fresh:
    """A worker's process, and the thread that waits for its end."""

    def __init__(self, interpreter: Interpreter, entry: str, ends: Ends, running: set[_Fresh]) -> None:
        self._mark = token_hex(8)
        self._running = running
        self._loop = asyncio.get_running_loop()
        order = {"socket": ends.far.fileno(), "entry": entry, "mark": self._mark}
        environment = {**interpreter.environment(), offspring.MARK: self._mark}
        self._popen = interpreter.run("entrance", order, environment, ends.outputs, subprocess.PIPE)
        self.process = WorkerProcess(self._popen.pid, ends.near, ends.native)
        running.add(self)
        keep_from_children(self)
        self.thread = threading.Thread(target=self._wait, name="flyte-worker-end", daemon=True)
        self.thread.start()

    def forget(self) -> None:
        """See `flyte_nb.executors.processes.worker_process.keep_from_children`."""
        self._close_lifeline()
        self._popen.returncode = 0

    def _wait(self) -> None:
        """Waits for the end, and kills what is left behind."""
        code = self._popen.wait()
        self._close_lifeline()
        offspring.kill(self._popen.pid)
        offspring.kill_marked(self._mark)
        self._running.discard(self)
        status = -code if code < 0 else code << 8
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(self.process.ended, status)

    def _close_lifeline(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()
