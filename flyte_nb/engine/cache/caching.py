"""The cache of results across runs: when an earlier result stands for a new one.

Keyed as Flyte keys it: task, interface, inputs (less the ignored ones) and a version of the code. The version of
`auto` is the deep digest, so an edit of the task, or of anything it reaches, misses. A lookup reads one small file
and never touches the database; nothing is kept in memory, so what another kernel stored or cleared counts at once.

    submit        a stored result, or the executed one, which is stored
    _find         the stored result, if it may be used
    _take_turn    of simultaneous calls with one key one executes, where the task wants it so
    _store        after the action has succeeded
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.authoring.cache import Cache
from flyte_nb.engine.action import Action
from flyte_nb.engine.attempts import waiting
from flyte_nb.engine.cache.code import code_items
from flyte_nb.engine.cache.files import missing_file
from flyte_nb.engine.cache.turns import Turn, Turns
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.options import RunOptions
from flyte_nb.engine.plans import Plan
from flyte_nb.store.cached_results import (
    LOCK,
    CachedCode,
    CachedInput,
    CachedResult,
    DamagedResultError,
    code_path,
    read_result,
    renew_result,
    write_file,
)
from flyte_nb.store.errors import StoreError
from flyte_nb.store.values import ValueStore
from flyte_nb.types.contents import is_whole
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.signature import Signature
from flyte_nb.types.trees import identity_of, pack, unpack

__all__ = ["OVERRIDDEN", "ResultCache", "cache_key", "cached_inputs", "folder_name", "why_unusable"]

logger = logging.getLogger("flyte")

SHOWN_CHARS = 60
WAITING = "waits for an equal call, whose result it will share (serialize)"

OVERRIDDEN = "cache='override' executes every call"

Execute = Callable[[bool], Awaitable[Any]]
"""Carries the action out; takes whether it had to wait before."""


class Found(NamedTuple):
    """What a lookup found.

    Attributes:
        stored: the result to use; None when there is none.
        result: what the caller receives of it.
        why: why a stored result may not be used; empty when there is none.
    """

    stored: CachedResult | None = None
    result: Any = None
    why: str = ""


class ResultCache:
    """The cached results of a store. Lives on the engine loop.

    Args:
        folder: the store's `cache` folder; made when the first result is stored.
        values: where large values are.
    """

    def __init__(self, folder: Path, values: ValueStore) -> None:
        self._folder = str(folder)
        self._values = values
        self._turns = Turns()
        self._computing: dict[Action, str] = {}

    async def submit(self, action: Action, plan: Plan, execute: Execute, waited: bool) -> Any:
        """The result of a call: a stored one where there is one, else the executed one, which is stored.

        Args:
            action: the call.
            plan: of its task, whose cache is enabled.
            execute: carries the action out.
            waited: whether it had to wait before.
        """
        cache = plan.cache
        assert cache is not None
        path = f"{self._folder}/{folder_name(plan.name)}/{cache_key(plan, action.inputs)}"
        if why := overridden(cache, action.run_state.options):
            return await self._execute(action, plan, path, execute, waited, why)
        found = self._find(plan, cache, path)
        if found.stored is not None:
            return reuse(action, found.stored, found.result)
        if not cache.serialize or self._is_computed_by_ancestor(action, path):
            return await self._execute(action, plan, path, execute, waited, found.why)
        turn = self._turns.of(f"{path}{LOCK}")
        try:
            if await self._take_turn(action, plan, turn):
                waited = True
            found = self._find(plan, cache, path)
            if found.stored is not None:
                return reuse(action, found.stored, found.result)
            self._computing[action] = path
            return await self._execute(action, plan, path, execute, waited, found.why)
        finally:
            self._computing.pop(action, None)
            turn.release()

    def _find(self, plan: Plan, cache: Cache, path: str) -> Found:
        """The stored result of a key. One that cannot be used is as good as none: it is computed again."""
        try:
            stored = read_result(path)
        except DamagedResultError as error:
            logger.warning("A cached result of %s is computed again: %s", plan.name, error)
            return Found(why="the stored result was damaged")
        if stored is None:
            return Found()
        if why := why_unusable(stored, cache):
            return Found(why=why)
        source = f"{stored.run}/{stored.action}"
        lost = Found(why=f"a large value of the result of {source} is not in the store any more")
        try:
            # Its values are renewed, so that nobody prunes them now.
            if not is_whole(stored.payload, self._values.renew, self._values):
                return lost
            values = plan.signature.decode_outputs(stored.payload, self._values)
        except (KeyError, StoreError):
            return lost
        except Exception as error:  # a user's __setstate__ raises anything: a miss, which is said, loses nothing
            logger.warning("A cached result of %s cannot be read, and is computed again: %s", plan.name, error)
            return Found(why=f"the result of {source} could not be read: {type(error).__name__}: {error}")
        renew_result(path)
        return Found(stored, plan.signature.outputs_as_result(values))

    async def _take_turn(self, action: Action, plan: Plan, turn: Turn) -> bool:
        """Waits as long as the action's time allows, and gives up its place meanwhile; whether there was any wait."""
        place = action.place
        waited = False

        def begins_to_wait() -> None:
            nonlocal waited
            waited = True
            action.note = WAITING
            action.run_state.changed.add(action)
            if place is not None:
                place.pause()

        try:
            async with waiting(action, plan.place):
                await turn.take(begins_to_wait)
                if waited and place is not None:
                    await place.resume()
        except OSError as error:
            logger.warning("Equal calls of %s may execute at the same time, for they cannot wait: %s", plan.name, error)
        action.note = ""
        return waited

    def _is_computed_by_ancestor(self, action: Action, path: str) -> bool:
        """Whether the action is part of computing this very result: to wait for that would never end."""
        ancestor = action.parent_action
        while ancestor is not None and self._computing:
            if self._computing.get(ancestor) == path:
                return True
            ancestor = ancestor.parent_action
        return False

    async def _execute(self, action: Action, plan: Plan, path: str, execute: Execute, waited: bool, why: str) -> Any:
        result = await execute(waited)
        if action.outputs is not None and not action.is_masked:
            try:
                self._store(action, plan, path, why)
            except OSError as error:
                logger.warning("The result of %s is not cached: %s", plan.name, error)
        return result

    def _store(self, action: Action, plan: Plan, path: str, why: str) -> None:
        cache = plan.cache
        assert cache is not None and action.outputs is not None
        now = time.time_ns()
        is_of_code = plan.cache_version == plan.deep_digest + cache.salt
        stored = CachedResult(
            task=plan.name,
            payload=action.outputs,
            run=action.run,
            action=action.name,
            at_ns=now,
            took_ns=now - (action.started_ns or now),
            why=why,
            inputs=cached_inputs(plan.signature, action.inputs, cache.get_ignored_inputs()),
            outputs=plan.signature.output_descriptions,
            version=plan.cache_version,
            deep_digest=plan.deep_digest if is_of_code else "",
            salt=cache.salt if is_of_code else "",
        )
        write_file(path, stored)
        if is_of_code:
            self._describe(plan)

    def _describe(self, plan: Plan) -> None:
        """Keeps what the code of this version holds, once."""
        path = code_path(f"{self._folder}/{folder_name(plan.name)}", plan.deep_digest)
        if os.path.exists(path):
            return
        items = code_items(plan.template, plan.deep_digest)
        if items is not None:
            write_file(path, CachedCode(items))


def cache_key(plan: Plan, inputs: bytes) -> str:
    """The key of a call, 32 hex characters.

    Args:
        plan: the task's plan; its `cache` is set.
        inputs: payload of the inputs.
    """
    cache = plan.cache
    assert cache is not None
    counted = plan.signature.identity(inputs, cache.get_ignored_inputs())
    return hash_struct("cache", plan.name, plan.interface, plan.cache_version, counted).hex()


@lru_cache(maxsize=1_000)
def folder_name(task: str) -> str:
    """The folder in which a task's results stand."""
    return hash_struct("cached task", task).hex()[:16]


def cached_inputs(signature: Signature, payload: bytes, ignored: tuple[str, ...]) -> list[CachedInput]:
    """The inputs of a call, each with its own digest, so that later it can be said which one differs."""
    return [
        CachedInput(
            name,
            declared,
            b"" if name in ignored else hash_struct("cached input", identity_of(pack([tree]))),
            str(preview_of_tree(tree)["text"])[:SHOWN_CHARS],
        )
        for (name, declared), tree in zip(signature.input_descriptions, unpack(payload), strict=True)
    ]


def overridden(cache: Cache, options: RunOptions) -> str:
    """Why a stored result is not even looked for; empty when it is."""
    if cache.behavior == "override":
        return OVERRIDDEN
    return "the run was asked for with overwrite_cache" if options.overwrite_cache else ""


def why_unusable(stored: CachedResult, cache: Cache) -> str:
    """Why a stored result may not stand for a call with the same key; empty when it may."""
    if cache.max_age:
        age = timedelta(microseconds=(time.time_ns() - stored.at_ns) // 1_000)
        if age > cache.max_age:  # type: ignore[operator]  # a timedelta since it was declared
            return f"the result of {stored.run}/{stored.action} was {age} old, and max_age is {cache.max_age}"
    if missing := missing_file(stored.payload):
        return f"a file of the result of {stored.run}/{stored.action} is gone: {missing}"
    return ""


def reuse(action: Action, stored: CachedResult, result: Any) -> Any:
    """Ends an action with a stored result."""
    run = action.run_state
    run.start(action, time.time_ns(), "cache", announce=False)
    run.end(action, "succeeded", stored.payload, source=f"cache:{stored.run}/{stored.action}")
    return result
