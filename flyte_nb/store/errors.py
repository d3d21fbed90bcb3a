"""What can go wrong with the store of runs. Each message says what, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

__all__ = [
    "FULL_CURE",
    "JournalWriteError",
    "QueryError",
    "StoreBusyError",
    "StoreError",
    "StoreVersionError",
    "StoreWarning",
    "missing",
]


FULL_CURE = "Free some space there, or set FLYTE_NB_HOME to another folder and restart the kernel."
"""What to do when nothing more can be written."""


class StoreError(RuntimeError):
    """The store of runs cannot be used."""


class JournalWriteError(StoreError):
    """The journal cannot be written (disk full, file system gone); a run must not go on unrecorded."""


class StoreVersionError(StoreError):
    """The store was written by a newer flyte_nb; it is left untouched."""


class StoreBusyError(StoreError):
    """Another program holds the database file open."""


class QueryError(StoreError):
    """A user's SQL was refused or failed."""


class StoreWarning(UserWarning):
    """A part of what was recorded is lost, or kept in another place than asked for."""


def missing(kind: str, name: str, known: Sequence[str]) -> KeyError:
    """The error for a name that nobody has."""
    if not known:
        return KeyError(f"No {kind} is named {name!r}: there are none yet.")
    if near := difflib.get_close_matches(name, known, n=3, cutoff=0.5):
        return KeyError(f"No {kind} is named {name!r}; did you mean {' or '.join(near)}?")
    some = f"there are {len(known)}, such as {', '.join(known[:3])}" if len(known) > 1 else f"there is {known[0]}"
    return KeyError(f"No {kind} is named {name!r}; {some}.")
