"""Errors in cells: the user's cell and the user's tasks, without the machinery between them.

IPython shows every frame from the cell to the `raise`. Of an error that passed through this package, only the frames of
the user's code are shown, and one line says which action of which run failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import os
import sys
import threading
from concurrent import futures
from types import TracebackType
from typing import Any

from IPython.core import interactiveshell

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.executors.user_code import is_engine_file, is_users_file
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.remote.run import Run
from flyte_nb.store.errors import StoreError

__all__ = ["show_short_tracebacks", "stop_short_tracebacks", "without_machinery"]

SHORTENED = (BaseRuntimeError, StoreError, TypeError, ValueError, KeyboardInterrupt, asyncio.CancelledError)
"""What the package raises on purpose; anything else would be a fault of its own, and is shown whole."""
MACHINERY = (
    contextlib.__file__,
    threading.__file__,
    os.path.dirname(futures.__file__) + os.sep,
    os.path.dirname(interactiveshell.__file__) + os.sep,
)

CELL_MAGIC = "get_ipython().run_cell_magic('flyte'"


def show_short_tracebacks(shell: Any) -> None:
    """Wraps the shell's way of showing errors; once, however often it is called."""
    original = shell.showtraceback
    if hasattr(original, "_flyte_nb"):
        return

    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        kind, value, _ = exc_tuple if exc_tuple is not None else sys.exc_info()
        if isinstance(value, SHORTENED):
            shorten(value)
            exc_tuple = (kind, value, value.__traceback__)
        original(exc_tuple, *args, **options)
        if sys.last_traceback is None and isinstance(value, SHORTENED):  # `%debug` begins where the cell failed
            sys.last_traceback = getattr(value.__cause__, "__traceback__", None)

    showtraceback._flyte_nb = original  # type: ignore[attr-defined]
    shell.showtraceback = showtraceback


def stop_short_tracebacks(shell: Any) -> None:
    """Puts the shell's own method back."""
    original = getattr(shell.showtraceback, "_flyte_nb", None)
    if original is not None:
        shell.showtraceback = original


def shorten(error: BaseException) -> None:
    """Cuts the machinery out of the tracebacks of an error and its causes, and says where its run failed."""
    error.__traceback__ = without_cell_magic(without_machinery(error.__traceback__) or error.__traceback__)
    seen, link = {id(error)}, error
    while (cause := cause_of(link)) is not None and id(cause) not in seen:
        seen.add(id(cause))
        cause.__traceback__ = without_machinery(cause.__traceback__)
        if not has_users_frame(cause.__traceback__):  # caught inside the package: the error says it in the user's words
            link.__cause__, link.__suppress_context__ = None, True
            keep_notes(link, cause)
            break
        link = cause
    run = getattr(error, "run", None)
    note = note_of(run) if isinstance(run, Run) else ""
    if note and note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def keep_notes(error: BaseException, cause: BaseException) -> None:
    """What was noted of a cause that is not shown, such as what to do about it, is shown with the error."""
    for note in getattr(cause, "__notes__", ()):
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def note_of(run: Run) -> str:
    """That the run was aborted, or which action failed and where.

    in quick.fit (action a3f9, cell 3, line 7) of run r7k2m9: %flyte show r7k2m9
    """
    if run.phase == "aborted":
        return f"run {run.name} of {run.task_name} was aborted: %flyte show {run.name}"
    error = RunReader(run.name).document(details=False, limit_bytes=0)["error"]
    if error is None or not error["action"]:
        return ""
    facts = ", ".join(filter(None, [f"action {error['action'][:8]}", error["place"]]))
    return f"in {run[error['action']].task_name} ({facts}) of run {run.name}: %flyte show {run.name}"


def cause_of(error: BaseException) -> BaseException | None:
    """What Python shows above the error."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def without_machinery(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without frames of the package and of what it calls; one that never passed it stays as it is.

    Returns:
        None when nothing is left.
    """
    frames = []
    while tb is not None:
        frames.append(tb)
        tb = tb.tb_next
    if not any(is_engine_file(one.tb_frame.f_code.co_filename) for one in frames):
        return frames[0] if frames else None
    kept = [one for one in frames if not is_machinery(one.tb_frame.f_code.co_filename)]
    short: TracebackType | None = None
    for one in reversed(kept):
        short = TracebackType(short, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return short


def without_cell_magic(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without the call that IPython makes of `%%flyte`, which shows the whole cell in one line."""
    while tb is not None and linecache.getline(tb.tb_frame.f_code.co_filename, tb.tb_lineno).startswith(CELL_MAGIC):
        tb = tb.tb_next
    return tb


def has_users_frame(tb: TracebackType | None) -> bool:
    while tb is not None and not is_users_file(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    return tb is not None


def is_machinery(filename: str) -> bool:
    return is_engine_file(filename) or filename.startswith(MACHINERY)
