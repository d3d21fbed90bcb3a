"""Results of Flyte's own tasks that are reused: a small file for each cache key, which names where the outputs are.

async with cache.turn(action):      one after another, where the task says `Cache(serialize=True)`
    cache.find(action)              else, once it has executed: cache.keep(action, ending)
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from flyte_nb.engine.cache.turns import Turns
from flyte_nb.server.wire.executing.submitted import Ending, SubmittedAction
from flyte_nb.server.wire.uploads import Uploads

__all__ = ["ResultCache"]


class CachedResult(msgspec.Struct, frozen=True):
    """Where a result is, and of which action."""

    run: str
    action: str
    output_uri: str
    at_ns: int


class ResultCache:
    """The cache of a store. The methods block, but for `turn`, which belongs to a loop.

    Args:
        uploads: the folder in which it is.
    """

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._turns = Turns()
        self._in_turn: dict[SubmittedAction, str] = {}

    @asynccontextmanager
    async def turn(self, action: SubmittedAction) -> AsyncIterator[None]:
        """Waits, where the action's task says so, until no other with its key looks for the result, or computes it.

        Raises:
            OSError: the key cannot be locked.
        """
        key = action.cache_key
        is_serial = action.spec is not None and action.spec.task_template.metadata.cache_serializable
        if not (key and is_serial) or any(self._in_turn.get(one) == key for one in action.above()):
            yield  # to wait for an action that waits for this one would never end
            return
        turn = self._turns.of(str(self._uploads.path(f"{name_of(key)}.lock")))
        try:
            await turn.take(lambda: None)
            self._in_turn[action] = key
            yield
        finally:
            self._in_turn.pop(action, None)
            turn.release()

    def find(self, action: SubmittedAction) -> Ending | None:
        """The result of another action of the same key, unless it is too old or the run wants none."""
        wanted = action.run.spec
        if not action.cache_key or wanted.overwrite_cache or wanted.cache_config.overwrite_cache:
            return None
        path = self._uploads.path(name_of(action.cache_key))
        if not path.is_file():
            return None
        found = msgspec.json.decode(path.read_bytes(), type=CachedResult)
        metadata = action.spec.task_template.metadata if action.spec is not None else None
        if metadata is not None and metadata.HasField("cache_max_age"):
            age_seconds = (time.time_ns() - found.at_ns) / 1e9
            if age_seconds > metadata.cache_max_age.ToTimedelta().total_seconds():
                return None
        if action.types.outputs and not Path(found.output_uri, "outputs.pb").is_file():
            return None
        return Ending("succeeded", output_uri=found.output_uri, source=f"cache:{found.run}/{found.action}")

    def keep(self, action: SubmittedAction, ending: Ending) -> None:
        """Keeps the result of an action that has a key, and has succeeded by itself."""
        if action.cache_key and ending.phase == "succeeded" and not ending.source:
            result = CachedResult(action.run.name, action.name, ending.output_uri, time.time_ns())
            self._uploads.write(name_of(action.cache_key), msgspec.json.encode(result))


def name_of(key: str) -> str:
    return f"cache/{hashlib.sha256(key.encode()).hexdigest()}.json"
