"""The value store that lives in memory: the fake of `Blobs` for tests, and for runs that record nothing."""

from __future__ import annotations

from collections.abc import Sequence

import blake3

__all__ = ["MemoryBlobs"]


class MemoryBlobs:
    """Keeps the parts of large values in a dict, under the digest of their content."""

    def __init__(self) -> None:
        self.stored: dict[str, list[bytes]] = {}

    def put(self, parts: Sequence[bytes | memoryview]) -> str:
        hasher = blake3.blake3()
        for part in parts:
            hasher.update(memoryview(part).nbytes.to_bytes(8, "little"))
            hasher.update(part)
        digest = hasher.hexdigest()
        self.stored.setdefault(digest, [bytes(part) for part in parts])
        return digest

    def get(self, digest: str) -> list[memoryview]:
        return [memoryview(bytearray(part)) for part in self.stored[digest]]
