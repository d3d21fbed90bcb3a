"""Locks between processes: a file, held by flock, let go by whoever dies.

A lock is let go with LOCK_UN, never by closing alone: a process forked meanwhile may hold a copy of the descriptor.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["FileLock", "create_locked", "is_locked"]

NOTE_BYTES = 32


class FileLock:
    """One lock file, opened once. Not for use by several threads at a time.

    Args:
        path: the file, never deleted by this class.
        create: make it when it is missing.

    Raises:
        FileNotFoundError: it is missing, or its folder.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o666)

    def try_exclusive(self) -> bool:
        """Takes the lock if nobody has it in any way."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Takes the lock beside others that share it."""
        return self._try(fcntl.LOCK_SH)

    def is_at(self, path: Path) -> bool:
        """Whether the file still stands there: it may have been removed, or another put in its place."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._fd))

    def release(self) -> None:
        """Lets go, and keeps the file open for the next time."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Lets go for good."""
        if self._fd >= 0:
            self.release()
            self.abandon()

    def abandon(self) -> None:
        """Forgets the lock without letting go: for the child of a fork, whose parent still holds it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def write_note(self, note: str) -> None:
        """Leaves a word of at most 32 bytes in the file, for those who find it locked."""
        os.pwrite(self._fd, note.encode("ascii").ljust(NOTE_BYTES), 0)  # of equal length: to truncate would cost 4 ms

    def read_note(self) -> str:
        """The word that the holder left."""
        return os.pread(self._fd, NOTE_BYTES, 0).decode("ascii", "replace").strip()

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def create_locked(path: Path) -> FileLock:
    """A new lock file that nobody ever sees unlocked."""
    temporary = path.with_name(f".new-{path.name}")
    lock = FileLock(temporary)
    lock.try_exclusive()
    temporary.rename(path)
    return lock


def is_locked(path: Path) -> bool:
    """Whether anybody holds the lock; a missing file is not locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
