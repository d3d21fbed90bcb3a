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
from pathlib import Path
from typing import Any, Protocol, TextIO

from flyte_nb.authoring.context import current_scope
from flyte_nb.executors.log_files import CONTINUED, append_to_log_file, continued_in

__all__ = ["LOG_LIMIT_BYTES", "Mask", "Output", "install"]

LOG_LIMIT_BYTES = 10_000_000
"""Text of one attempt that is recorded with its run; what comes after goes on in a file of the run."""
SHOWN_LIMIT_BYTES = 200_000
"""Text of one attempt that is passed on to a notebook's cell; all of it stands in the log."""
BATCH_BYTES = 8192
LINE_LIMIT_CHARACTERS = 100_000
"""A line that grows beyond this is cut."""

show_all = True
"""False in a notebook, where a cell that shows megabytes freezes the page; set by the notebook room."""

_showing = threading.local()
"""Set while text of a task is passed on to the stream: IPython wraps `write` during a cell and we patch it again, so
that the text meets our own patch once more; it is not new output."""


class Mask(Protocol):
    """Takes the values of secrets out of text; see `flyte_nb.engine.secrets.masking`."""

    active: bool
    """Whether there are any."""
    overlap: int
    """Of a text that is cut for its length, so many characters are kept back."""

    def mask(self, text: str) -> str:
        """The text without them."""


class Record(Protocol):
    """Takes what an attempt printed."""

    def __call__(self, stream: str, text: str, at_ns: int, in_file: bool) -> None:
        """Takes whole lines, or a display.

        Args:
            at_ns: when the first was printed.
            in_file: they stand in a file: they are shown while the run is live, not recorded.
        """


class Line:
    """What was printed to one stream since its last whole line."""

    __slots__ = ("characters", "is_cut", "kept", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        """What waits for the end of the line, or a carriage return."""
        self.characters = 0
        self.kept = ""
        """What the next carriage return overwrites."""
        self.is_cut = False
        """Its beginning was recorded because it grew too long."""


class Output:
    """The output of one attempt, on its way to the log and to the cell.

    Args:
        record: called on the thread that printed, or by `flush`.
        rest: the file for what is too much for the journal.
        mask: takes the values of secrets out of what is recorded and shown.
    """

    __slots__ = (
        "_begun",
        "_lines",
        "_lock",
        "_mask",
        "_pending",
        "_record",
        "_recorded",
        "_rest",
        "_rest_is_lost",
        "_shown",
        "closed",
    )

    def __init__(self, record: Record, rest: Path, mask: Mask | None = None) -> None:
        self._record = record
        self._rest = rest
        self._rest_is_lost = False
        self._mask = mask
        self._lock = threading.Lock()
        self._begun: dict[str, Line] = {}  # by stream
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
            line = self._begun.get(stream)
            if line is None:
                line = self._begun[stream] = Line()
            line.pieces.append(text)
            line.characters += len(text)
            if "\n" in text or "\r" in text or line.characters > LINE_LIMIT_CHARACTERS:
                self._take(stream, line, show)

    def display(self, bundle: str) -> None:
        """Records a rich display, a MIME bundle as JSON; the front end shows the original."""
        with self._lock:
            if not self.closed:
                self._flush()
                self._keep("display", self._masked(bundle), time.time_ns())

    def flush(self) -> None:
        """Records the lines gathered so far."""
        with self._lock:
            self._flush()

    def close(self, show: Callable[[str, str], Any] | None = None) -> None:
        """Records the rest, unfinished lines too, and drops all that is written later."""
        with self._lock:
            if self.closed:
                return
            for stream, line in self._begun.items():
                self._take(stream, line, partial(show, stream) if show is not None else None, is_last=True)
            self._flush()
            self.closed = True

    def _take(self, stream: str, line: Line, show: Callable[[str], Any] | None, is_last: bool = False) -> None:
        """Records and shows what waits, up to the last end of a line or carriage return."""
        text = self._masked("".join(line.pieces))
        cut = len(text) if is_last else max(text.rfind("\n"), text.rfind("\r")) + 1
        if len(text) - cut > LINE_LIMIT_CHARACTERS:
            cut = len(text) - self._overlap
        line.pieces = [text[cut:]] if cut < len(text) else []
        line.characters = len(text) - cut
        ended, newline, rest = (line.kept + text[:cut]).rpartition("\n")
        if newline:
            if not line.is_cut or ended:
                self._add(stream, ended.removeprefix("\n") if line.is_cut else ended)
            line.is_cut = False
        line.kept = rest[rest.rstrip("\r").rfind("\r") + 1 :] if "\r" in rest else rest
        if line.kept and (is_last or len(line.kept) > LINE_LIMIT_CHARACTERS - self._overlap):
            self._add(stream, line.kept)
            line.kept, line.is_cut = "", True
        if show is not None and cut:
            self._show(text[:cut], show)

    @property
    def _overlap(self) -> int:
        return self._mask.overlap if self._mask is not None else 0

    def _masked(self, text: str) -> str:
        return self._mask.mask(text) if self._mask is not None and self._mask.active else text

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
        """Records text, or appends it to the file once the journal holds enough of this attempt."""
        is_full = self._recorded > LOG_LIMIT_BYTES
        self._recorded += len(text)
        if self._recorded <= LOG_LIMIT_BYTES:
            self._record(stream, text, at_ns, False)
            return
        if not is_full:
            self._record(CONTINUED, continued_in(self._rest), at_ns, False)
        self._record(stream, text, at_ns, True)
        if self._rest_is_lost:
            return
        try:
            append_to_log_file(self._rest, text)
        except OSError as error:
            self._rest_is_lost = True
            reason = f"... and what comes after is lost: {error.strerror or error}"
            self._record("stderr", reason, time.time_ns(), False)


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
