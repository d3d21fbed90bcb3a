"""Tracebacks as the user wrote them: they start at the user's line, and say which cell it is in.

Frames of this package and of asyncio between them are left out of what is recorded and shown; the exception object
keeps its own traceback, cut at the head where the engine called the user's function.
"""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Sequence
from concurrent import futures
from types import TracebackType

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.executors.user_code import cell_number, is_engine_file, is_users_file, name_cells
from flyte_nb.store.events import ErrorRecord

__all__ = ["describe_error", "entries_of", "place_of", "stacked", "trim", "without_machinery"]

TRACEBACK_LIMIT_CHARACTERS = 20_000
MESSAGE_LIMIT_CHARACTERS = 4_000
MACHINERY = (contextlib.__file__, threading.__file__, os.path.dirname(futures.__file__) + os.sep)
"""What the engine calls of the standard library, besides asyncio."""


def trim(error: BaseException) -> BaseException:
    """Cuts the engine's frames off the head of the error's traceback; returns the error."""
    tb = error.__traceback__
    while tb is not None and is_engine_file(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    if tb is not None:
        error.__traceback__ = tb
    return error


def entries_of(tb: TracebackType | None) -> list[TracebackType]:
    """The lines of a traceback, outermost first."""
    entries = []
    while tb is not None:
        entries.append(tb)
        tb = tb.tb_next
    return entries


def stacked(entries: Sequence[TracebackType]) -> TracebackType | None:
    """A traceback of such lines; None of none."""
    tb: TracebackType | None = None
    for entry in reversed(entries):
        tb = TracebackType(tb, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return tb


def without_machinery(tb: TracebackType | None, more: tuple[str, ...] = ()) -> TracebackType | None:
    """The traceback without frames of the package and of what it calls; one that never passed it stays as it is.

    Args:
        tb: the traceback.
        more: beginnings of further file names that say nothing to the user.

    Returns:
        None when nothing is left.
    """
    entries = entries_of(tb)
    if not any(is_engine_file(entry.tb_frame.f_code.co_filename) for entry in entries):
        return tb
    return stacked([entry for entry in entries if not is_machinery(entry.tb_frame.f_code.co_filename, more)])


def is_machinery(filename: str, more: tuple[str, ...] = ()) -> bool:
    return is_engine_file(filename) or filename.startswith((*MACHINERY, *more))


def place_of(filename: str, line: int) -> str:
    """Where a line is, in the user's words: `cell 3, line 7` or `train.py, line 12`."""
    cell = cell_number(filename)
    if cell is not None:
        return f"cell {cell}, line {line}"
    return f"{os.path.basename(filename)}, line {line}"


def describe_error(error: BaseException, declared: str = "") -> ErrorRecord:
    """The record of an error that leaves a task: code, kind, message, the user's frames, and the innermost of them.

    An error that arrived from a child action (a `BaseRuntimeError` with a cause) is described by its cause's frames.

    Args:
        error: the error.
        declared: where the task was declared, for an error that no line of the user's raised (a wrong result).
    """
    cause = error.__cause__ if isinstance(error, BaseRuntimeError) and error.__cause__ is not None else error
    code = getattr(error, "code", None)
    kind = getattr(error, "kind", None)
    return ErrorRecord(
        code=code if isinstance(code, str) else type(error).__name__,
        kind=kind if isinstance(kind, str) else "user",
        message=_message(error),
        traceback=_text(cause),
        place=_innermost(cause.__traceback__) or (f"declared in {declared}" if declared else ""),
    )


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception as broken:  # the user's own __str__ may raise anything
        message = f"<the message cannot be shown: {type(broken).__name__}>"
    return message[:MESSAGE_LIMIT_CHARACTERS]


def _text(error: BaseException) -> str:
    try:
        described = traceback.TracebackException.from_exception(error, compact=True)
    except Exception:  # broken __str__, __notes__ ... of the user's exception
        return f"{type(error).__name__}: {_message(error)}"
    _drop_engine_frames(described)
    text = name_cells("".join(described.format()))
    return text if len(text) <= TRACEBACK_LIMIT_CHARACTERS else "...\n" + text[-TRACEBACK_LIMIT_CHARACTERS:]


def _drop_engine_frames(described: traceback.TracebackException | None) -> None:
    while described is not None:
        kept = [frame for frame in described.stack if not is_engine_file(frame.filename)]
        for frame in kept:
            cell = cell_number(frame.filename)
            if cell is not None:
                frame.filename = f"cell {cell}"
        described.stack[:] = kept
        for member in described.exceptions or ():
            _drop_engine_frames(member)
        _drop_engine_frames(described.__context__ if described.__cause__ is None else None)
        described = described.__cause__


def _innermost(tb: TracebackType | None) -> str:
    """The innermost line of the user's own, else the outermost of an installed package."""
    place = ""
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        is_installed = "site-packages" in filename and not is_engine_file(filename)
        if is_users_file(filename) or (is_installed and not place):
            place = place_of(filename, tb.tb_lineno)
        tb = tb.tb_next
    return place
