"""Which code is the user's: what may be interrupted, what tracebacks show, and which cell it stands in."""

from __future__ import annotations

import asyncio
import os
import re
import sys

__all__ = ["cell_number", "is_engine_file", "is_in_user_code", "is_users_file", "name_cells"]

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
ASYNCIO = os.path.dirname(os.path.abspath(asyncio.__file__)) + os.sep
FILE = re.compile(r'File "([^"]+)"')


def is_engine_file(filename: str) -> bool:
    """Whether a frame of this file says nothing to the user: this package's, asyncio's, the interpreter's."""
    return filename.startswith((PACKAGE, ASYNCIO, "<frozen"))


def is_users_file(filename: str) -> bool:
    """Whether a frame of this file is the user's own: a cell, a script, a module that is not installed."""
    return not is_engine_file(filename) and "site-packages" not in filename and not filename.startswith(LIBRARY)


def is_in_user_code(thread_id: int) -> bool:
    """Whether the innermost frame of a thread is not the engine's: an exception raised in it now breaks no lock here.

    The answer holds until the calling thread gives the GIL away; act on it at once.
    """
    frame = sys._current_frames().get(thread_id)
    return frame is not None and not is_engine_file(frame.f_code.co_filename)


def cell_number(filename: str) -> int | None:
    """The execution count of the notebook cell that was compiled under this file name."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    names = getattr(getattr(shell, "compile", None), "_filename_map", None)
    return names.get(filename) if isinstance(names, dict) else None


def name_cells(text: str) -> str:
    """A traceback's text, with `File "cell 3"` where the file of a cell is named."""
    return FILE.sub(_cell_of_file, text)


def _cell_of_file(file: re.Match[str]) -> str:
    cell = cell_number(file[1])
    return f'File "cell {cell}"' if cell is not None else file[0]
