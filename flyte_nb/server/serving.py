"""`flyte-nb serve` as a process of the Jupyter server: started and stopped from its pages, one for a store.

It listens on this machine only, and ends with the Jupyter server, whose end closes its standard input.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from flyte_nb.store.home import Home

__all__ = ["ServedStore", "ServedStores"]

COMMAND = (sys.executable, "-c", "from flyte_nb.cli.main import main; main()", "serve", "--until-stdin-ends")
ADDRESS = re.compile(r"Serving .* at (https?://\S+)")
LOG_LINES = 200
START_SECONDS = 60.0
STOP_SECONDS = 10.0
"""The server lets its last calls end for some seconds."""


class ServedStore:
    """The process that serves a store.

    Args:
        home: the store.
        execute: whether it runs deployed tasks when clients ask for it.
    """

    def __init__(self, home: Home, execute: bool) -> None:
        self.execute = execute
        self.address = ""
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._is_settled = threading.Event()
        self._process = subprocess.Popen(
            [*COMMAND, *(["--execute"] if execute else [])],
            env=os.environ | {"FLYTE_NB_HOME": str(home.path), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name="flyte-serving", daemon=True)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_it_serves(self) -> None:
        """Returns when it can be called.

        Raises:
            ValueError: it ended; the message is what it said.
            TimeoutError: it does neither.
        """
        is_settled = self._is_settled.wait(START_SECONDS)
        if self.address:
            return
        self.stop()
        if is_settled:
            raise ValueError(f"The store cannot be served. {self._last_words()}")
        raise TimeoutError(f"The server did not begin within {START_SECONDS:.0f} s. {self._last_words()}")

    def stop(self) -> None:
        """Ends it, and returns when it has ended; also of one that ended by itself."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.append(line.rstrip("\n"))
            if not self.address and (found := ADDRESS.match(line)):
                self.address = found[1]
                self._is_settled.set()
        self._is_settled.set()

    def _last_words(self) -> str:
        said = [line for line in self.log if line.strip()]
        return said[-1] if said else "It said nothing."


class ServedStores:
    """The stores that are served. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._served: dict[Path, ServedStore] = {}
        self._lock = threading.Lock()

    def described(self, home: Home) -> dict[str, Any]:
        """Whether a store is served, where, and what its server said last."""
        served = self._served.get(home.path)
        if served is None:
            return {"serving": False, "address": "", "execute": False, "log": []}
        is_alive = served.is_alive
        return {
            "serving": is_alive,
            "address": served.address if is_alive else "",
            "execute": served.execute,
            "log": list(served.log),
        }

    def start(self, home: Home, execute: bool) -> dict[str, Any]:
        """Serves a store; one that is served already goes on as it is. Returns as `described`.

        Args:
            home: the store.
            execute: whether the server runs deployed tasks when clients ask for it.

        Raises:
            ValueError: it cannot be served; the message says why.
        """
        with self._lock:
            served = self._served.get(home.path)
            if served is not None and not served.is_alive:
                served.stop()
                served = None
            if served is None:
                served = self._served[home.path] = ServedStore(home, execute)
        served.wait_until_it_serves()
        return self.described(home)

    def stop(self, home: Home) -> dict[str, Any]:
        """Ends the server of a store, if there is one. Returns as `described`."""
        with self._lock:
            served = self._served.pop(home.path, None)
        if served is not None:
            served.stop()
        return self.described(home)
