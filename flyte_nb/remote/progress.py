"""A run in one line of a terminal, for scripts and consoles: drawn over itself while it runs.

    ● work.all  r7k2m9 · 9,120/10,000 · 1,830/s · about 0.5 s left · 5.0 s

There is an estimate only while it is honest: as many actions as there are have been known for a while, enough of them
ended since, and none waits for a person. A run that calls one task after another never gets one.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

from flyte_nb.engine import watcher
from flyte_nb.engine.action import TERMINAL
from flyte_nb.engine.state import RunState
from flyte_nb.remote.local_source import run_row
from flyte_nb.remote.plain import PHASE_ICONS, duration_text, run_line

__all__ = ["ProgressLine", "show_progress", "stop_progress"]

QUIET_SECONDS = 0.5
"""Runs that are over sooner leave the terminal alone."""
ENOUGH_ENDED = 5
ENOUGH_SECONDS = 2.0
"""So many actions must have ended, and so much time passed, since the last one was called, for an estimate."""
ERASE = "\r\x1b[2K"


class Pace:
    """How fast a run goes, and how long it may still take. labextension/src/view/pace.ts mirrors it."""

    def __init__(self) -> None:
        self._total = -1
        self._since_seconds = 0.0
        self._before = 0

    def words(self, done: int, total: int, paused: int, seconds: float) -> str:
        """`9/11 · 3.2/s · about 1 s left`

        Args:
            done: how many actions have ended.
            total: how many there are.
            paused: how many wait for a person.
            seconds: since the run's start.
        """
        if total != self._total:
            self._total, self._since_seconds, self._before = total, seconds, done
        words = [f"{done:,}/{total:,}"]
        ended, passed_seconds = done - self._before, seconds - self._since_seconds
        if ended >= ENOUGH_ENDED and passed_seconds >= ENOUGH_SECONDS:
            per_second = ended / passed_seconds
            words.append(f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s")
            left_seconds = round((total - done) / per_second)
            if left_seconds and not paused:
                words.append(f"about {duration_text(left_seconds * 1e3)} left")
        return " · ".join(words)


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
        self._paces: dict[str, Pace] = {}

    def started(self, run: RunState) -> None:
        """Nothing to see yet."""
        _clear_before_writing(sys.stdout, self)
        _clear_before_writing(sys.stderr, self)

    def changed(self, run: RunState) -> None:
        """Draws the line anew."""
        run.take_changed()
        seconds = (time.time_ns() - run.started_ns) / 1e9
        is_inner = bool(run.parent_run) and not run.lineage
        if run.conditions:  # the question stands in the terminal
            self.clear()
        if run.closed or run.conditions or is_inner or seconds < QUIET_SECONDS:
            return
        done = sum(count for phase, count in run.counts.items() if phase in TERMINAL)
        pace = self._paces.setdefault(run.name, Pace()).words(
            done, len(run.order), run.counts.get("paused", 0), seconds
        )
        text = f"{PHASE_ICONS[run.phase]} {run.task}  {run.name} · {pace} · {duration_text(seconds * 1e3)}"
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
        self._paces.pop(run.name, None)
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
