"""What can go wrong with the store of runs. Each message says what, where, and what to do next."""

from __future__ import annotations

__all__ = [
    "FULL_CURE",
    "JournalWriteError",
    "QueryError",
    "StoreBusyError",
    "StoreError",
    "StoreVersionError",
    "StoreWarning",
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
