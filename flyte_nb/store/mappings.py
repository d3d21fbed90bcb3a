"""Which mapped values nobody has written to: they keep their digest, whoever passes them on.

A value is mapped copy-on-write. For each of its pages the OS tells, in /proc/self/pagemap, whether it still is the
file's page or has become this process's own by a write. To ask for 100 MB takes 0.1 ms, to digest them fifteen. Where
the OS does not tell (macOS, Windows, some sandboxes) every mapping counts as written to.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Mappings", "address_of", "is_untouched"]

PAGEMAP = "/proc/self/pagemap"
ENTRY_BYTES = 8
PRESENT, SWAPPED, OF_FILE = 0x80, 0x40, 0x20
"""Bits 63, 62 and 61 of a page's entry, in its last byte."""
UNTOUCHED = bytes(top for top in range(256) if not top & (PRESENT | SWAPPED) or top & OF_FILE)


@dataclass(slots=True)
class Mapping:
    """A value's file, mapped, as long as somebody uses it."""

    digest: str
    memory: weakref.ref[mmap.mmap]
    address: int
    bounds: list[tuple[int, int]]


class Mappings:
    """The values that are mapped in this process. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._by_largest_part: dict[int, Mapping] = {}

    def add(self, digest: str, memory: mmap.mmap, bounds: list[tuple[int, int]]) -> None:
        """A value was mapped.

        Args:
            memory: its file.
            bounds: where each part starts and ends in it.
        """
        address = address_of(memoryview(memory))
        key = address + max(bounds, key=size_of)[0]

        def forget(memory: weakref.ref[mmap.mmap]) -> None:
            found = self._by_largest_part.get(key)
            if found is not None and found.memory is memory:  # else the address serves another mapping already
                del self._by_largest_part[key]

        self._by_largest_part[key] = Mapping(digest, weakref.ref(memory, forget), address, bounds)

    def digest_of(self, parts: Sequence[memoryview]) -> str | None:
        """The digest of parts which are those of a mapped value, in memory that nobody has written to, else None.

        Parts beside the largest may lie elsewhere when they are equal (the head of a pickle is always made anew).
        """
        if not parts:
            return None
        mapping = self._by_largest_part.get(address_of(max(parts, key=len)))
        memory = mapping.memory() if mapping is not None else None
        if mapping is None or memory is None or list(map(len, parts)) != list(map(size_of, mapping.bounds)):
            return None
        if not is_untouched(mapping.address, len(memory)):
            return None
        same = all(
            address_of(part) == mapping.address + start or bytes(part) == memory[start:end]
            for part, (start, end) in zip(parts, mapping.bounds, strict=True)
        )
        return mapping.digest if same else None


def is_untouched(address: int, size_bytes: int) -> bool:
    """Whether each page of privately mapped file memory is still the file's."""
    first, end = address // mmap.PAGESIZE, -(-(address + size_bytes) // mmap.PAGESIZE)
    wanted_bytes = (end - first) * ENTRY_BYTES
    try:
        fd = os.open(PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
        try:
            entries = os.pread(fd, wanted_bytes, first * ENTRY_BYTES)
        finally:
            os.close(fd)
    except OSError:
        return False
    return len(entries) == wanted_bytes and not entries[ENTRY_BYTES - 1 :: ENTRY_BYTES].translate(None, UNTOUCHED)


def size_of(bounds: tuple[int, int]) -> int:
    """The size in bytes of a part from its start and end."""
    return bounds[1] - bounds[0]


def address_of(view: memoryview) -> int:
    """Where the bytes of a view lie in memory, also when it is read-only (`from_buffer` takes only writable ones)."""
    buffer = _Buffer()
    _get_buffer(view, ctypes.byref(buffer), 0)
    address: int = buffer.address or 0
    _release_buffer(ctypes.byref(buffer))
    return address


class _Buffer(ctypes.Structure):
    """`Py_buffer` of the stable C interface."""

    _fields_ = [
        ("address", ctypes.c_void_p),
        ("owner", ctypes.c_void_p),
        ("size", ctypes.c_ssize_t),
        ("item_size", ctypes.c_ssize_t),
        ("is_read_only", ctypes.c_int),
        ("dimensions", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int]
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.POINTER(_Buffer)]
_release_buffer.restype = None
