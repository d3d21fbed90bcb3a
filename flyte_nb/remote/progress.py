"""A run in one line of a terminal, for scripts and consoles: drawn over itself while it runs."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

from flyte_nb.engine import watcher
from flyte_nb.engine.action import TERMINAL
from flyte_nb.engine.state import RunState
from flyte_nb.remote.plain import PHASE_ICONS, duration_text, run_line
from flyte_nb.remote.source import run_row

__all__ = ["ProgressLine", "show_progress", "stop_progress"]

QUIET_SECONDS = 0.5
"""Runs that are over sooner leave the terminal alone."""
ERASE = "\r\x1b[2K"


class ProgressLine:
    """Draws live runs on a terminal (see `flyte_nb.engine.watcher.RunObserver`).

    What tasks print goes over it: the line is taken away before any text reaches the terminal, and drawn again below.

    Args:
        stream: the terminal.
        leaves_line: the run's last line stands when the run is over.
    """

    def __init__(self, stream: TextIO, leaves_line: bool) -> None:
        self._stream = stream
        self._leaves_line = leaves_line
        self._write = stream.write
        self._is_drawn = False

    def started(self, run: RunState) -> None:
        """Nothing to see yet."""
        _clear_before_writing(sys.stdout, self)
        _clear_before_writing(sys.stderr, self)

    def changed(self, run: RunState) -> None:
        """Draws the line anew."""
        run.take_changed()
        seconds = (time.time_ns() - run.started_ns) / 1e9
        is_inner = bool(run.parent_run) and not run.lineage
        if run.closed or is_inner or seconds < QUIET_SECONDS:
            return
        done = sum(count for phase, count in run.counts.items() if phase in TERMINAL)
        facts = f"{run.name} · {done:,}/{len(run.order):,} · {duration_text(seconds * 1e3)}"
        text = f"{PHASE_ICONS[run.phase]} {run.task}  {facts}"
        failed = run.counts.get("failed", 0)
        if failed:
            text += f" · {failed:,} failed"
        if run.note:
            text += f" · {run.note}"
        self._write(ERASE + text[: _width()])
        self._stream.flush()
        self._is_drawn = True

    def ended(self, run: RunState) -> None:
        """Draws the line for the last time, or takes it away."""
        if self._is_drawn:
            self.clear()
            if self._leaves_line:
                self._write(run_line(run_row(run)) + "\n")
                self._stream.flush()

    def clear(self) -> None:
        """Takes the line away."""
        if self._is_drawn:
            self._is_drawn = False
            self._write(ERASE)
            self._stream.flush()


def show_progress(leaves_line: bool = True) -> None:
    """Draws runs on stderr from now on, if it is a terminal; idempotent.

    Args:
        leaves_line: the last line of each run stands when it is over.
    """
    if not any(isinstance(observer, ProgressLine) for observer in watcher.observers) and sys.stderr.isatty():
        watcher.observers.append(ProgressLine(sys.stderr, leaves_line))


def stop_progress() -> None:
    """Draws no more."""
    watcher.observers[:] = [observer for observer in watcher.observers if not isinstance(observer, ProgressLine)]


def _clear_before_writing(stream: Any, line: ProgressLine) -> None:
    if getattr(stream.write, "_flyte_nb_progress", False) or not stream.isatty():
        return
    original = stream.write

    def write(text: str, /) -> int:
        line.clear()
        written: int = original(text)
        return written

    write._flyte_nb_progress = True  # type: ignore[attr-defined]
    write._flyte_nb = getattr(original, "_flyte_nb", False)  # type: ignore[attr-defined]
    stream.write = write


def _width() -> int:
    return shutil.get_terminal_size().columns - 1
