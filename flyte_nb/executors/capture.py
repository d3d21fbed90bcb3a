"""What tasks print, kept apart by action while it still shows where the run was started.

    print() in a task -> sys.stdout.write (patched) -> scope.attempt.output: whole lines, recorded
                                                    -> the stream itself: the cell or terminal

The context variable tells whose text it is, so fifty tasks that print at once do not mix: text reaches the stream
in whole lines (or up to a carriage return), and lines that a progress bar overwrote are not recorded. Handlers that
keep a reference to the stream are captured too, because its `write` is patched, not `sys.stdout` replaced.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from flyte_nb.authoring.context import current_scope

__all__ = ["LOG_LIMIT_BYTES", "Output", "install"]

LOG_LIMIT_BYTES = 10_000_000
"""Text recorded per attempt; what comes after is counted and dropped."""
SHOWN_LIMIT_BYTES = 200_000
"""Text of one attempt that is passed on to a notebook's cell; all of it stands in the log."""
BATCH_BYTES = 8192
LINE_LIMIT_CHARACTERS = 100_000
"""A line that grows beyond this is cut: to gather it piece by piece would take quadratic time."""

show_all = True
"""False in a notebook, where a cell that shows megabytes freezes the page; set by the notebook room."""

_showing = threading.local()
"""Set while text of a task is passed on to the stream: IPython wraps `write` during a cell and we patch it again, so
that the text meets our own patch once more; it is not new output."""


class Output:
    """The output of one attempt, on its way to the log and to the cell.

    Args:
        record: takes (stream, text of whole lines, when the first was printed in ns); called on the thread that
            printed, or by `flush`.
    """

    __slots__ = ("_lines", "_lock", "_partial", "_pending", "_record", "_recorded", "_shown", "_unshown", "closed")

    def __init__(self, record: Callable[[str, str, int], None]) -> None:
        self._record = record
        self._lock = threading.Lock()
        self._partial: dict[str, str] = {}  # per stream: the line that has not ended yet
        self._unshown: dict[str, str] = {}  # per stream: what waits for the end of its line, or a carriage return
        self._lines: list[str] = []
        self._pending: tuple[str, int, int] = ("", 0, 0)  # of the lines gathered: stream, characters, since when
        self._recorded = 0
        self._shown = 0
        self.closed = False

    def write(self, stream: str, text: str, show: Callable[[str], Any]) -> None:
        """Takes what was printed; complete lines are recorded and shown."""
        with self._lock:
            if self.closed:
                return
            ended, newline, rest = (self._partial.get(stream, "") + text).rpartition("\n")
            self._partial[stream] = rest[rest.rstrip("\r").rfind("\r") + 1 :] if "\r" in rest else rest
            if newline:
                self._add(stream, ended)
            if len(self._partial[stream]) > LINE_LIMIT_CHARACTERS:
                self._add(stream, self._partial.pop(stream))
            unshown = self._unshown.get(stream, "") + text
            cut = max(unshown.rfind("\n"), unshown.rfind("\r")) + 1
            if len(unshown) - cut > LINE_LIMIT_CHARACTERS:
                cut = len(unshown)
            self._unshown[stream] = unshown[cut:]
            if cut:
                self._show(unshown[:cut], show)

    def display(self, bundle: str) -> None:
        """Records a rich display, a MIME bundle as JSON; the front end shows the original."""
        with self._lock:
            if not self.closed:
                self._flush()
                self._keep("display", bundle, time.time_ns())

    def flush(self) -> None:
        """Records the lines gathered so far."""
        with self._lock:
            self._flush()

    def close(self, show: Callable[[str, str], Any] | None = None) -> None:
        """Records the rest, unfinished lines too, and drops all that is written later."""
        with self._lock:
            if self.closed:
                return
            for stream, rest in self._partial.items():
                if rest:
                    self._add(stream, rest)
            if show is not None:
                for stream, rest in self._unshown.items():
                    if rest:
                        self._show(rest, partial(show, stream))
            self._flush()
            self.closed = True

    def _show(self, text: str, show: Callable[[str], Any]) -> None:
        _showing.now = True
        try:
            self._show_within_limit(text, show)
        finally:
            _showing.now = False

    def _show_within_limit(self, text: str, show: Callable[[str], Any]) -> None:
        if show_all:
            show(text)
            return
        room = SHOWN_LIMIT_BYTES - self._shown
        if room <= 0:
            return
        self._shown += len(text)
        if len(text) <= room:
            show(text)
        else:
            show(text[:room] + "\n... more output of this action stands in its log: %flyte logs\n")

    def _add(self, stream: str, text: str) -> None:
        if self._pending[0] != stream:
            self._flush()
            self._pending = (stream, 0, time.time_ns())
        lines = text.split("\n")
        if "\r" in text:  # what a terminal would show after the overwriting
            lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
        self._lines.extend(lines)
        self._pending = (stream, self._pending[1] + len(text), self._pending[2])
        if self._pending[1] >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            stream, _, began_ns = self._pending
            text = "\n".join(self._lines)
            self._lines = []
            self._pending = ("", 0, 0)
            self._keep(stream, text, began_ns)

    def _keep(self, stream: str, text: str, at_ns: int) -> None:
        if self._recorded > LOG_LIMIT_BYTES:
            return
        self._recorded += len(text)
        if self._recorded > LOG_LIMIT_BYTES:
            stream, text = (
                "stderr",
                f"... the log of this action is full ({LOG_LIMIT_BYTES // 1_000_000} MB): the rest is dropped",
            )
        self._record(stream, text, at_ns)


def install() -> None:
    """Patches `write` of the present `sys.stdout` and `sys.stderr`; cheap and idempotent, called before each run."""
    _patch(sys.stdout, "stdout")
    _patch(sys.stderr, "stderr")


def _patch(stream: TextIO | None, name: str) -> None:
    if stream is None or getattr(stream.write, "_flyte_nb", False):
        return
    original = stream.write

    def write(text: str, /) -> int:
        scope = current_scope.get()
        if scope is None or not isinstance(text, str) or getattr(_showing, "now", False):
            return original(text)
        scope.attempt.output.write(name, text, original)
        return len(text)

    write._flyte_nb = True  # type: ignore[attr-defined]
    try:
        stream.write = write  # type: ignore[method-assign]
    except AttributeError:  # a stream that cannot be patched (some C types) still shows; only the log misses it
        return
