"""What code in a worker prints, on its way to the kernel: at once when little is printed, in batches when much is.

What was sent survives the end of the process: so do the last lines before a crash, unless they came in a flood.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from flyte_nb.authoring.context import current_scope

__all__ = ["Flusher", "WorkerOutput", "install_flush"]

BATCH_SECONDS = 0.05
SENT_AT_ONCE = 50
"""So many writes that end a line are sent at once within that time, before they are gathered."""
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
        self._counting_since = 0.0
        self._sent = 0
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
            if (text.endswith("\n") and self._may_send_at_once()) or self._characters > BATCH_CHARACTERS:
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

    def _may_send_at_once(self) -> bool:
        now = time.monotonic()
        if now - self._counting_since > BATCH_SECONDS:
            self._counting_since, self._sent = now, 0
        self._sent += 1
        return self._sent <= SENT_AT_ONCE

    def _flush(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending, self._characters = [], 0
            self._send(self._stream, text)


class Flushable(Protocol):
    """Holds back what is soon to be sent."""

    def flush(self) -> None:
        """Sends it. From any thread."""


class Flusher:
    """A thread that has a moment later sent what was held back; started by the first that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Flushable] = set()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, flushable: Flushable) -> None:
        """Has it flushed soon."""
        with self._lock:
            self._waiting.add(flushable)
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
                waiting, self._waiting = self._waiting, set()
            for flushable in waiting:
                flushable.flush()


def install_flush() -> None:
    """Has `print(..., flush=True)` in a task send what was printed."""
    for stream in (sys.stdout, sys.stderr):
        _patch_flush(stream)


def _patch_flush(stream: TextIO) -> None:
    original = stream.flush

    def flush() -> None:
        scope = current_scope.get()
        if scope is not None:
            scope.attempt.output.flush()
        original()

    stream.flush = flush  # type: ignore[method-assign]
