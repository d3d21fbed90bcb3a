"""Writing files so that nobody ever sees half of one, after a power cut neither."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

__all__ = ["create_file", "sync_file", "sync_folder", "sync_path", "write_at"]


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Writes all of the data at the offset, with one call where the OS takes it so."""
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)


def create_file(path: Path, content: bytes) -> int:
    """A new file that appears with its content, or not at all; returns its descriptor, open for writing."""
    temporary = path.with_name(f".new-{path.name}")
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        write_at(fd, content, 0)
        sync_file(fd)
        temporary.rename(path)
        sync_folder(path.parent)
    except BaseException:
        os.close(fd)
        temporary.unlink(missing_ok=True)
        raise
    return fd


def sync_file(fd: int) -> None:
    """Returns once the file's content is on the disk."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_path(path: Path) -> None:
    """The same for a file by name; one that is gone needs nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        sync_file(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Returns once the folder's names are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
