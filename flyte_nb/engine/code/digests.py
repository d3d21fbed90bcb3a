"""The two code digests of a task, and what they hold. Specified in docs/evaluation.md, "Code digests".

    own    the function with all that it reaches of the user's own; a task that it calls counts by name and interface
    deep   own, and that of every task it can reach

Both are taken once per run. They are equal in every kernel, process and supported Python where the code says the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.code.references import Found, Reach
from flyte_nb.engine.hashing import encode_struct, hash_struct
from flyte_nb.executors.worker.namespace import whole
from flyte_nb.types.classes import identify_code

__all__ = ["Captured", "deep_digest", "explain", "own_digest", "recorded_digests", "steps_of"]

logger = logging.getLogger("flyte")

_warned: set[tuple[str, str]] = set()

recorded_digests: WeakKeyDictionary[Any, tuple[str, str]] = WeakKeyDictionary()
"""By function, the own and deep digest of code that was loaded from a recorded run: taken once, when it first ran."""


class Captured(NamedTuple):
    """One thing that a digest holds.

    Attributes:
        name: what the code calls it; for values with the function or class that uses them.
        kind: function, bytecode (its source is unknown or is not what runs), class (by name; what it says follows),
            module, task, value, installed, opaque (counts by name, type and shape), or assigned (by name: the code
            itself assigns it).
        digest: of this thing alone, hex.
        size_bytes: of its source, or of its value as encoded.
    """

    name: str
    kind: str
    digest: str
    size_bytes: int


def own_digest(code: TaskTemplate[Any, Any] | TraceFunction[Any, Any] | Callable[..., Any]) -> str:
    """The digest of a task's code, 32 hex digits: what decides whether a finished action may be reused.

    Args:
        code: a task, a traced function, or a plain function.
    """
    if isinstance(code, TraceFunction) and (attached := vars(code).get("_code")):
        return str(attached)
    recorded = _recorded(code)
    return recorded[0] if recorded is not None else _digest("Own", code, follow_tasks=False)


def deep_digest(task: TaskTemplate[Any, Any]) -> str:
    """The digest of a task's code and of every task it can reach, 32 hex digits: the version of its cached results."""
    recorded = _recorded(task)
    return recorded[1] if recorded is not None else _digest("Deep", task, follow_tasks=True)


def steps_of(
    task: TaskTemplate[Any, Any], *, follow_tasks: bool = False
) -> list[TaskTemplate[Any, Any] | TraceFunction[Any, Any]]:
    """The tasks and traced functions that a task's code names; with `follow_tasks` also those that theirs name."""
    reach = Reach(follow_tasks=follow_tasks)
    reach.digest("Steps", _function_of(task))
    return reach.steps


def explain(code: TaskTemplate[Any, Any] | TraceFunction[Any, Any] | Callable[..., Any]) -> list[Captured]:
    """What the own digest of a task or function holds, in the order in which it is reached, its own code first."""
    reach = Reach(follow_tasks=False)
    reach.digest("Own", _function_of(code))
    return list(dict.fromkeys(_captured(found) for found in reach.found))


def _captured(found: Found) -> Captured:
    encoded_bytes = len(encode_struct("Part", found.part))
    size_bytes = encoded_bytes if found.source_bytes is None else found.source_bytes
    return Captured(found.name, found.kind, hash_struct("Part", found.part).hex(), size_bytes)


def _digest(tag: str, code: object, *, follow_tasks: bool) -> str:
    reach = Reach(follow_tasks=follow_tasks)
    digest = reach.digest(tag, _function_of(code))
    for name, what in reach.opaque:
        if (name, what) not in _warned:
            _warned.add((name, what))
            logger.warning(
                "%s is a %s: it counts by name, type and shape only, so a change of its content goes unnoticed by "
                "cache and fork. Pass it as an input.",
                name,
                what,
            )
    return digest.hex()


def _recorded(code: object) -> tuple[str, str] | None:
    try:
        return recorded_digests.get(_function_of(code))
    except TypeError:  # a callable object that cannot be a key
        return None


def _function_of(code: object) -> object:
    """What is digested: never the task itself with its settings and environment."""
    if isinstance(code, TaskTemplate):
        return getattr(whole(code), "func", None)
    if isinstance(code, TraceFunction):
        return code.func
    return code


def _identity(code: object) -> str:
    """The digest of a function or class inside a value; empty when it does not tell all of it."""
    reach = Reach(follow_tasks=False)
    digest = reach.digest("Own", code).hex()
    return "" if reach.opaque else digest


identify_code.append(_identity)
