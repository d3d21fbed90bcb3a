"""The file of one large value: its layout, its digest, and how it gets into memory.

    "FLYTEVAL" | number of parts | length of each part | padding | part | padding | part ...

Parts start at multiples of 64 bytes, so that arrays can be used where they are mapped.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from blake3 import blake3

from flyte_nb.store.disk import write_at
from flyte_nb.store.errors import StoreError
from flyte_nb.store.mappings import address_of

__all__ = ["ALIGNMENT_BYTES", "Content", "digest_of_file", "mapped", "part_bounds", "read"]

MAGIC = b"FLYTEVAL"
ALIGNMENT_BYTES = 64
PADDING = bytes(ALIGNMENT_BYTES)
HASH_IN_THREADS_BYTES = 1 << 20
SAMPLES = 256


class Content:
    """What the file of a value holds.

    Attributes:
        parts: as flat bytes.
        size_bytes: of the file.
    """

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self.parts = [memoryview(part).cast("B") for part in parts]
        sizes = [part.nbytes for part in self.parts]
        head = MAGIC + struct.pack(f"<Q{len(sizes)}Q", len(sizes), *sizes)
        self._head = head.ljust(padded(len(head)), b"\0")
        self.size_bytes = len(self._head) + sum(map(padded, sizes))

    def digest(self) -> str:
        """The digest of lengths and content, in hexadecimal."""
        hasher = blake3(self._head, max_threads=blake3.AUTO if self.size_bytes >= HASH_IN_THREADS_BYTES else 1)
        for part in self.parts:
            hasher.update(part)
        return hasher.hexdigest()

    def sample(self) -> int:
        """A number made of a few bytes of each part: another number means other content, an equal one nothing."""
        return hash(tuple(bytes(part[:: part.nbytes // SAMPLES + 1]) for part in self.parts))

    def write(self, fd: int) -> None:
        """Writes the whole file."""
        offset = 0
        for piece in self._pieces():
            write_at(fd, piece, offset)
            offset += len(piece)

    def _pieces(self) -> Iterator[bytes | memoryview]:
        yield self._head
        for part in self.parts:
            yield part
            yield PADDING[: padded(part.nbytes) - part.nbytes]


def part_bounds(content: memoryview, path: Path) -> list[tuple[int, int]]:
    """Where each part starts and ends in a value's file.

    Raises:
        StoreError: it is not such a file, or not all of it.
    """
    try:
        (count,) = struct.unpack_from("<Q", content, len(MAGIC))
        sizes = struct.unpack_from(f"<{count}Q", content, len(MAGIC) + 8)
    except (struct.error, OverflowError, MemoryError):
        raise StoreError(f"The value {path} is damaged: its head cannot be read") from None
    start = padded(len(MAGIC) + 8 + 8 * count)
    if content[: len(MAGIC)] != MAGIC or content.nbytes != start + sum(map(padded, sizes)):
        raise StoreError(f"The value {path} is damaged: {content.nbytes} bytes do not fit its head")
    bounds = []
    for size in sizes:
        bounds.append((start, start + size))
        start += padded(size)
    return bounds


def digest_of_file(path: Path) -> str:
    """The digest of what is in a value's file.

    Raises:
        StoreError: it is not such a file, or not all of it.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise StoreError(f"The value {path} is damaged: it is empty")
        content = memoryview(mapped(file.fileno()))
    return Content([content[start:end] for start, end in part_bounds(content, path)]).digest()


def mapped(fd: int) -> mmap.mmap:
    """A file's content, mapped copy-on-write."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, 0, access=mmap.ACCESS_COPY, trackfd=False)
    return mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)


def read(fd: int, size_bytes: int) -> memoryview:
    """A file's content, in memory of its own, aligned like a mapping."""
    room = memoryview(bytearray(size_bytes + ALIGNMENT_BYTES))
    start = -address_of(room) % ALIGNMENT_BYTES
    content = room[start : start + size_bytes]
    with open(fd, "rb", buffering=0, closefd=False) as file:
        file.readinto(content)
    return content


def padded(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
