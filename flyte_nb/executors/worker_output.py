"""What code in a worker prints, on its way to the kernel: at once when little is printed, in batches when much is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Flusher", "WorkerOutput"]

BATCH_SECONDS = 0.05
BATCH_CHARACTERS = 65_536


class WorkerOutput:
    """The output of one attempt; stands where `flyte_nb.executors.capture.Output` does in the kernel.

    Args:
        send: takes (stream, text).
        send_display: takes a MIME bundle as JSON.
        flusher: sends what was not sent at once.
    """

    def __init__(self, send: Callable[[str, str], None], send_display: Callable[[str], None], flusher: Flusher) -> None:
        self._send = send
        self._send_display = send_display
        self._flusher = flusher
        self._lock = threading.Lock()
        self._stream = ""
        self._pending: list[str] = []
        self._characters = 0
        self._sent_at = 0.0
        self.closed = False

    def write(self, stream: str, text: str, show: Callable[[str], Any]) -> None:
        """Takes what was printed. The kernel shows it, so `show`, this process's own stream, is not used."""
        with self._lock:
            if self.closed:
                return
            if stream != self._stream:
                self._flush()
                self._stream = stream
            self._pending.append(text)
            self._characters += len(text)
            late = time.monotonic() - self._sent_at > BATCH_SECONDS
            if (late and text.endswith("\n")) or self._characters > BATCH_CHARACTERS:
                self._flush()
                return
        self._flusher.add(self)

    def display(self, bundle: str) -> None:
        """Takes a rich display, a MIME bundle as JSON."""
        with self._lock:
            if not self.closed:
                self._flush()
                self._send_display(bundle)

    def flush(self) -> None:
        """Sends what is left."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Sends what is left, and drops what comes later."""
        with self._lock:
            self._flush()
            self.closed = True

    def _flush(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending, self._characters = [], 0
            self._sent_at = time.monotonic()
            self._send(self._stream, text)


class Flusher:
    """A thread that flushes outputs a moment after they were written to; started by the first that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outputs: set[WorkerOutput] = set()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, output: WorkerOutput) -> None:
        """Has an output flushed soon."""
        with self._lock:
            self._outputs.add(output)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="flyte-output", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(BATCH_SECONDS)
            self._wake.clear()
            with self._lock:
                outputs, self._outputs = self._outputs, set()
            for output in outputs:
                output.flush()
