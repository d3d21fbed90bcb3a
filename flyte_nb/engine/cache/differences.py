"""Why a call was not answered from the cache: what its key has that no stored result's has.

A call that is asked about is written as the result that it would store, so that two calls compare field by field.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flyte_nb.authoring.cache import cache_from_request
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.cache.caching import cached_inputs, folder_name
from flyte_nb.engine.cache.code import changed_items
from flyte_nb.engine.code.digests import deep_digest
from flyte_nb.engine.plans import cache_version
from flyte_nb.store.cached_results import CachedInput, CachedResult, CodeItem, read_code
from flyte_nb.types.signature import signature_of

__all__ = ["asked_call", "code_of", "differences", "nearest", "version_text"]

DIGEST_CHARS = 8


def asked_call(task: TaskTemplate[Any, Any], payload: bytes | None) -> CachedResult:
    """A call of a task as it stands now.

    Args:
        task: with its cache enabled.
        payload: the inputs; None for any.
    """
    cache, signature, deep = cache_from_request(task.cache), signature_of(task), deep_digest(task)
    version = cache_version(task, cache, deep)
    is_of_code = version == deep + cache.salt
    return CachedResult(
        task=task.name,
        payload=b"",
        run="",
        action="",
        at_ns=0,
        took_ns=0,
        why="",
        inputs=[CachedInput(name, declared, b"", "") for name, declared in signature.input_descriptions]
        if payload is None
        else cached_inputs(signature, payload, cache.get_ignored_inputs()),
        outputs=signature.output_descriptions,
        version=version,
        deep_digest=deep if is_of_code else "",
        salt=cache.salt if is_of_code else "",
    )


def nearest(asked: CachedResult, stored: Iterable[CachedResult]) -> CachedResult | None:
    """The stored result whose key differs least, the latest of several; None when there is none."""
    return min(stored, key=lambda one: (distance(asked, one), -one.at_ns), default=None)


def distance(asked: CachedResult, stored: CachedResult) -> int:
    """In how many things two calls differ."""
    known = {one.name: one.digest for one in stored.inputs}
    inputs = sum(known.get(one.name) != one.digest for one in asked.inputs)
    return inputs + (asked.version != stored.version) + (interface_text(asked) != interface_text(stored))


def differences(
    folder: Path, asked: CachedResult, stored: CachedResult, code: list[CodeItem] | None = None
) -> list[str]:
    """What differs between a call and a stored result of the same task, a line each; none when the keys are equal.

    Args:
        folder: the store's `cache` folder.
        asked: the call.
        stored: the result.
        code: what the code of the call holds; None looks it up.
    """
    lines = []
    if interface_text(asked) != interface_text(stored):
        lines.append(f"interface: {interface_text(asked)}; before {interface_text(stored)}")
    if asked.version != stored.version:
        lines.append(version_difference(folder, asked, stored, code))
    known = {one.name: one for one in stored.inputs}
    both = [(one, known[one.name]) for one in asked.inputs if one.name in known]
    return lines + [input_difference(one, before) for one, before in both if one.digest != before.digest]


def version_difference(folder: Path, asked: CachedResult, stored: CachedResult, code: list[CodeItem] | None) -> str:
    """What differs between the code of two calls, or between what stands for it."""
    if not asked.deep_digest or not stored.deep_digest:
        return f"version: {version_text(asked)}; before {version_text(stored)}"
    if asked.deep_digest == stored.deep_digest:
        return f"salt: {asked.salt!r}; before {stored.salt!r}"
    salt = "" if asked.salt == stored.salt else f"; salt: {asked.salt!r}, before {stored.salt!r}"
    before, after = code_of(folder, stored), code or code_of(folder, asked)
    if before is None or after is None:
        return f"code: {version_text(asked)}; before {version_text(stored)}; it was not kept what they hold{salt}"
    changed = ", ".join(changed_items(before, after)) or "the order in which it is reached"
    return f"code: {changed}{salt}"


def input_difference(asked: CachedInput, stored: CachedInput) -> str:
    """What differs between two values of an input."""
    if not asked.digest or not stored.digest:
        now, before = ("does not count" if not one.digest else "counts" for one in (asked, stored))
        return f"input {asked.name}: {now}; before it {before}"
    if asked.text == stored.text:
        return f"input {asked.name}: other content, shown alike as {asked.text}"
    return f"input {asked.name}: {asked.text}; before {stored.text}"


def code_of(folder: Path, result: CachedResult) -> list[CodeItem] | None:
    """What the code of a result holds; None when that was not kept."""
    code = read_code(f"{folder}/{folder_name(result.task)}", result.deep_digest) if result.deep_digest else None
    return code.items if code is not None else None


def version_text(result: CachedResult) -> str:
    """What stands for the code in a result's key, in a few words."""
    return f"digest {result.deep_digest[:DIGEST_CHARS]}" if result.deep_digest else repr(result.version)


def interface_text(result: CachedResult) -> str:
    """The interface of a result's task: `(x: int) -> float`."""
    inputs = ", ".join(f"{one.name}: {one.type}" for one in result.inputs)
    return f"({inputs}) -> {', '.join(declared for _, declared in result.outputs) or 'None'}"
