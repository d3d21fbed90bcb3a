"""Large values, one file each, named by what is in it.

    values/ab/abcdef...    "FLYTEVAL" | number of parts | length of each part | padding | part | padding | part ...

Parts start at multiples of 64 bytes, so that arrays can be used where they are mapped. A file is written under a
temporary name, renamed into place, and never changed again; whoever reads it maps it copy-on-write.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from blake3 import blake3

from flyte_nb.store.disk import sync_folder, sync_path, write_at
from flyte_nb.store.errors import FULL_CURE, StoreError
from flyte_nb.store.home import Home

__all__ = ["ValueStore"]

MAGIC = b"FLYTEVAL"
ALIGNMENT_BYTES = 64
PADDING = bytes(ALIGNMENT_BYTES)
HASH_IN_THREADS_BYTES = 1 << 20


class ValueStore:
    """The value store of a home; implements `flyte_nb.types.base.Blobs`. Every method may be called from any thread.

    Args:
        home: the store; None finds it.
    """

    def __init__(self, home: Home | None = None) -> None:
        self._home = home or Home.find()
        self._unsynced: set[Path] = set()
        self._unsynced_lock = threading.Lock()

    def put(self, parts: Sequence[bytes | memoryview]) -> str:
        """Stores the parts, in order; writes nothing when they are stored already.

        The file is in the OS's hands when this returns; `sync` brings it to the disk.

        Returns:
            The digest of parts and lengths, in hexadecimal.

        Raises:
            StoreError: it cannot be written.
        """
        buffers = [memoryview(part).cast("B") for part in parts]
        head = file_head([buffer.nbytes for buffer in buffers])
        digest = digest_of(head, buffers)
        path = self.path(digest)
        if file_size(path) != len(head) + sum(padded(buffer.nbytes) for buffer in buffers):
            self._write(path, head, buffers)
        return digest

    def get(self, digest: str) -> list[memoryview]:
        """The parts, each a writable copy-on-write view: writing to one never changes what is stored.

        Raises:
            KeyError: when nothing is stored under the digest.
            StoreError: the file is damaged.
        """
        path = self.path(digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise KeyError(f"No value with digest {digest} in {self._home.values}") from None
        try:
            mapped = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_COPY))
        except ValueError:
            raise StoreError(f"The value {path} is damaged: it is empty") from None
        finally:
            os.close(fd)
        return [mapped[start:end] for start, end in part_bounds(mapped, path)]

    def path(self, digest: str) -> Path:
        """The file of a value."""
        return self._home.values / digest[:2] / digest

    def sync(self) -> None:
        """Returns once every value put so far survives a power cut, except those that somebody deleted meanwhile.

        Raises:
            StoreError: the disk refused.
        """
        with self._unsynced_lock:
            paths, self._unsynced = self._unsynced, set()
        try:
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    sync_path(path)
            for folder in {path.parent for path in paths}:
                with contextlib.suppress(FileNotFoundError):
                    sync_folder(folder)
        except OSError as error:
            raise StoreError(f"A value in {self._home.values} could not be synced: {error.strerror}") from error

    def is_intact(self, digest: str) -> bool:
        """Whether the stored content still has its digest."""
        try:
            parts = self.get(digest)
        except (KeyError, StoreError):
            return False
        return digest_of(file_head([part.nbytes for part in parts]), parts) == digest

    def _write(self, path: Path, head: bytes, buffers: list[memoryview]) -> None:
        temporary = path.with_name(f".new-{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(exist_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            try:
                offset = 0
                for piece in pieces(head, buffers):
                    write_at(fd, piece, offset)
                    offset += len(piece)
            finally:
                os.close(fd)
            temporary.rename(path)
        except OSError as error:
            raise StoreError(
                f"A value cannot be written to {self._home.values}: {error.strerror}. {FULL_CURE}"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        with self._unsynced_lock:
            self._unsynced.add(path)


def file_head(sizes: Sequence[int]) -> bytes:
    """What stands before the parts."""
    head = MAGIC + struct.pack(f"<Q{len(sizes)}Q", len(sizes), *sizes)
    return head.ljust(padded(len(head)), b"\0")


def part_bounds(mapped: memoryview, path: Path) -> Iterator[tuple[int, int]]:
    """Where each part starts and ends in a value's file."""
    try:
        (count,) = struct.unpack_from("<Q", mapped, len(MAGIC))
        sizes = struct.unpack_from(f"<{count}Q", mapped, len(MAGIC) + 8)
    except (struct.error, OverflowError, MemoryError):
        raise StoreError(f"The value {path} is damaged: its head cannot be read") from None
    start = padded(len(MAGIC) + 8 + 8 * count)
    if mapped[: len(MAGIC)] != MAGIC or mapped.nbytes != start + sum(map(padded, sizes)):
        raise StoreError(f"The value {path} is damaged: {mapped.nbytes} bytes do not fit its head")
    for size in sizes:
        yield start, start + size
        start += padded(size)


def digest_of(head: bytes, buffers: Sequence[memoryview]) -> str:
    """The digest of a value: of its lengths and of its content."""
    large = sum(buffer.nbytes for buffer in buffers) >= HASH_IN_THREADS_BYTES
    hasher = blake3(head, max_threads=blake3.AUTO if large else 1)
    for buffer in buffers:
        hasher.update(buffer)
    return hasher.hexdigest()


def pieces(head: bytes, buffers: Sequence[memoryview]) -> Iterator[bytes | memoryview]:
    """The content of a value's file, in order."""
    yield head
    for buffer in buffers:
        yield buffer
        yield PADDING[: padded(buffer.nbytes) - buffer.nbytes]


def padded(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def file_size(path: Path) -> int:
    """The size of a file in bytes; -1 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
