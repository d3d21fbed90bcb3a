"""Errors in cells: the user's cell and the user's tasks, without the machinery between them.

IPython shows every frame from the cell to the `raise`. Of an error that passed through this package, only the frames of
the user's code are shown: from the cell through the tasks that called each other. One line says which action of which
run failed. `%debug` then stands where the innermost of them failed, and `up` leads to the cell.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import enum
import inspect
import linecache
import os
import re
import sys
from types import TracebackType
from typing import Any

import nest_asyncio2
from IPython.core import interactiveshell

from flyte_nb.engine.tracebacks import entries_of, stacked, without_machinery
from flyte_nb.errors import BaseRuntimeError
from flyte_nb.executors.user_code import PACKAGE, is_users_file
from flyte_nb.notebook.views.document import ELSEWHERE
from flyte_nb.remote.debugging import failed_action
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import did_you_mean
from flyte_nb.store.errors import StoreError

__all__ = ["show_short_tracebacks", "stop_short_tracebacks"]

SHORTENED = (BaseRuntimeError, StoreError, TypeError, ValueError, KeyboardInterrupt, asyncio.CancelledError)
"""What the package raises on purpose; what else arises in it would be a fault of its own, and is shown whole."""
BETWEEN = (
    os.path.dirname(interactiveshell.__file__) + os.sep,
    collections.__file__,
    dataclasses.__file__,
    enum.__file__,
    nest_asyncio2.__file__,
)
KEYWORD = re.compile(r"(?P<callable>[\w.]+)\(\) got an unexpected keyword argument '(?P<keyword>\w+)'")
CELL_MAGIC = "get_ipython().run_cell_magic('flyte'"


def show_short_tracebacks(shell: Any) -> None:
    """Wraps the shell's way of showing errors; once, however often it is called."""
    original = shell.showtraceback
    if hasattr(original, "_flyte_nb"):
        return

    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        kind, value, tb = exc_tuple if exc_tuple is not None else sys.exc_info()
        is_shortened = isinstance(value, SHORTENED) or arose_in_user_code(tb) or is_answer(value, tb)
        if is_shortened and value is not None:
            shorten(value)
            exc_tuple = (kind, value, value.__traceback__)
        original(exc_tuple, *args, **options)
        if is_shortened and value is not None:
            point_debugger_at(value)

    showtraceback._flyte_nb = original  # type: ignore[attr-defined]
    shell.showtraceback = showtraceback


def stop_short_tracebacks(shell: Any) -> None:
    """Puts the shell's own method back."""
    original = getattr(shell.showtraceback, "_flyte_nb", None)
    if original is not None:
        shell.showtraceback = original


def shorten(error: BaseException) -> None:
    """Cuts the machinery out of the tracebacks of an error and its causes, and says where its run failed."""
    error.__traceback__ = without_cell_magic(users_frames(error.__traceback__) or error.__traceback__)
    seen, link = {id(error)}, error
    while (cause := cause_of(link)) is not None and id(cause) not in seen:
        seen.add(id(cause))
        cause.__traceback__ = users_frames(cause.__traceback__)
        if not has_users_frame(cause.__traceback__):  # caught inside the package: the error says it in the user's words
            link.__cause__, link.__suppress_context__ = None, True
            keep_notes(link, cause)
            break
        link = cause
    run = getattr(error, "run", None)
    note = note_of(run) if isinstance(run, Run) else near_keyword(error)
    if note and note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def point_debugger_at(error: BaseException) -> None:
    """Has `%debug` begin where the task failed: one stack from the cell through the tasks down to there."""
    entries = entries_of(error.__traceback__)
    link = error
    while isinstance(link, BaseRuntimeError) and link.__cause__ is not None:
        link = link.__cause__
        inner = entries_of(link.__traceback__)
        if inner and not any(entry.tb_frame is inner[-1].tb_frame for entry in entries):
            entries += inner
    if entries:
        error.__traceback__ = sys.last_traceback = stacked(entries)


def keep_notes(error: BaseException, cause: BaseException) -> None:
    """What was noted of a cause that is not shown, such as what to do about it, is shown with the error."""
    for note in getattr(cause, "__notes__", ()):
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def note_of(run: Run) -> str:
    """That the run was aborted, or which action failed, where, and how to look into it.

    in report/share[1] (action a3f9, cell 3, line 7) of run r7k2m9
    see %flyte show r7k2m9, %flyte debug r7k2m9
    """
    if run.phase == "aborted":
        return f"run {run.name} of {run.task_name} was aborted: %flyte show {run.name}"
    failed = failed_action(run)
    if failed is None or failed.error_info is None:
        return ""
    facts = ", ".join(filter(None, [f"action {failed.name[:8]}", failed.error_info.place]))
    look = f"see %flyte show {run.name}"
    if failed.where != ELSEWHERE:  # a backend's runs cannot be entered here
        look += f", %flyte debug {run.name}"
        if failed.where != "kernel":
            look += f" (%debug has no variables: they went with {failed.where})"
    return f"in {failed.path} ({facts}) of run {run.name}\n{look}"


def cause_of(error: BaseException) -> BaseException | None:
    """What Python shows above the error."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def arose_in_user_code(tb: TracebackType | None) -> bool:
    """Whether an error that passed through this package comes from code of the user's that it called."""
    files = [entry.tb_frame.f_code.co_filename for entry in entries_of(tb)]
    inner = next((file for file in reversed(files) if file.startswith(PACKAGE) or is_users_file(file)), "")
    return bool(inner) and not inner.startswith(PACKAGE) and any(file.startswith(PACKAGE) for file in files)


def is_answer(error: BaseException | None, tb: TracebackType | None) -> bool:
    """Whether the package says in a sentence that there is nothing of a name: no fault of its own."""
    if not isinstance(error, KeyError | AttributeError) or not error.args or " object has no " in str(error):
        return False
    return " " in str(error.args[0]) and entries_of(tb)[-1].tb_frame.f_code.co_filename.startswith(PACKAGE)


def near_keyword(error: BaseException) -> str:
    """`Did you mean resources=?` for a misspelt keyword of one of Flyte's classes or functions, else empty."""
    found = KEYWORD.match(str(error)) if isinstance(error, TypeError) else None
    if found is None:
        return ""
    named: Any = sys.modules["flyte_nb"]
    for name in found["callable"].removesuffix(".__init__").split("."):
        named = getattr(named, name, None)
    return did_you_mean(found["keyword"], inspect.signature(named).parameters).strip() if callable(named) else ""


def users_frames(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without the machinery of this package, and what lies between that and the cell."""
    return without_machinery(tb, BETWEEN)


def without_cell_magic(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without the call that IPython makes of `%%flyte`, which shows the whole cell in one line."""
    while tb is not None and linecache.getline(tb.tb_frame.f_code.co_filename, tb.tb_lineno).startswith(CELL_MAGIC):
        tb = tb.tb_next
    return tb


def has_users_frame(tb: TracebackType | None) -> bool:
    while tb is not None and not is_users_file(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    return tb is not None
