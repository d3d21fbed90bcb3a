"""The value store as a worker has it open."""

from __future__ import annotations

import resource
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from flyte_nb.types.base import Blobs

__all__ = ["FreshBlobs", "open_blobs"]


class FreshBlobs(Blobs, Protocol):
    """The value store, as a worker has it open."""

    def take_fresh(self) -> list[str]:
        """The digests of what was put since the last call: the kernel is told of them."""


class UnboundedBlobs:
    """A value store whose mappings do not count against RLIMIT_DATA: the limit is raised by what is mapped.

    The system counts a copy-on-write mapping as data, touched or not.
    """

    def __init__(self, blobs: FreshBlobs) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()

    def put(self, parts: Sequence[bytes | memoryview]) -> str:
        """See `Blobs.put`."""
        return self._blobs.put(parts)

    def take_fresh(self) -> list[str]:
        """See `FreshBlobs.take_fresh`."""
        return self._blobs.take_fresh()

    def get(self, digest: str) -> list[memoryview]:
        """See `Blobs.get`."""
        with self._lock:
            soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
            mapped_bytes = 0
            try:
                parts = self._blobs.get(digest)
                mapped_bytes = sum(part.nbytes for part in parts)
            finally:
                raised = soft if soft == resource.RLIM_INFINITY else soft + mapped_bytes
                resource.setrlimit(resource.RLIMIT_DATA, (raised, hard))
        return parts


def open_blobs(source: tuple[str, str], is_data_bounded: bool) -> FreshBlobs:
    """The value store, opened by who knows how.

    Args:
        source: `module:function`, and its argument.
        is_data_bounded: RLIMIT_DATA holds for this process.
    """
    module, _, function = source[0].partition(":")
    blobs: FreshBlobs = getattr(import_module(module), function)(source[1])
    return UnboundedBlobs(blobs) if is_data_bounded else blobs
