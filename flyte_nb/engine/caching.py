"""The cache of results across runs: one small file per key, behind a map in memory.

Keyed as Flyte keys it: task, interface, inputs (less the ignored ones) and a version of the code. The version of
`auto` is the deep digest, so an edit of the task, or of anything it reaches, misses. A hit reads one small file at
most and never touches the database; files are written whole and renamed, so kernels that share a store share its
cache.
"""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import msgspec

from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.plans import Plan

__all__ = ["CacheEntry", "ResultCache", "cache_key"]


class CacheEntry(msgspec.Struct, array_like=True, frozen=True):
    """A stored result: the outputs' payload, and which action computed it when."""

    payload: bytes
    run: str
    action: str
    at_ns: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CacheEntry).decode


def cache_key(plan: Plan, inputs: bytes) -> str:
    """The key of a call, 32 hex characters.

    Args:
        plan: the task's plan; its `cache` is set.
        inputs: payload of the inputs.
    """
    cache = plan.cache
    assert cache is not None
    counted = plan.signature.identity(inputs, tuple(cache.get_ignored_inputs()))
    return hash_struct("cache", plan.name, plan.interface, plan.cache_version, counted).hex()


class ResultCache:
    """Results by key, in a folder shared by every process of the store.

    Args:
        folder: the cache's folder; made when the first result is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, CacheEntry] = {}

    def get(self, key: str, max_age: timedelta | int | None = None, now_ns: int = 0) -> CacheEntry | None:
        """The stored result, or None when there is none, or none young enough.

        Args:
            max_age: how old a result may be, an int is seconds; None and 0 for any age.
            now_ns: the present time.
        """
        entry = self._known.get(key) or self._read(key)
        age = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        if entry is None or (age and now_ns - entry.at_ns > age * 1e9):
            return None
        self._known[key] = entry
        return entry

    def put(self, key: str, entry: CacheEntry) -> None:
        """Stores a result; a result stored before under the key is replaced."""
        self._known[key] = entry
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_encode(entry))
        os.replace(temporary, path)

    def _read(self, key: str) -> CacheEntry | None:
        try:
            return _decode(self._path(key).read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):  # unreadable is as good as absent: it is computed again
            return None

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key
