"""Which code is the user's: what may be interrupted, and what tracebacks show."""

from __future__ import annotations

import asyncio
import os
import sys

__all__ = ["is_engine_file", "is_in_user_code", "is_users_file"]

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
ASYNCIO = os.path.dirname(os.path.abspath(asyncio.__file__)) + os.sep


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
