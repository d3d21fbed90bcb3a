"""What the code of a cached result holds, item by item: to say later which of them changed."""

from __future__ import annotations

from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.code.references import Reach
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.store.cached_results import CodeItem

__all__ = ["changed_items", "code_items"]


def code_items(task: TaskTemplate[Any, Any], deep_digest: str) -> list[CodeItem] | None:
    """What a deep digest holds, in the order in which it is reached; None when the code says something else by now.

    Args:
        task: whose code.
        deep_digest: taken before.
    """
    reach = Reach(follow_tasks=True)
    if reach.digest("Deep", getattr(task, "func", None)).hex() != deep_digest:
        return None
    items = [CodeItem(found.name, found.kind, hash_struct("Part", found.part).hex()[:16]) for found in reach.found]
    return list(dict.fromkeys(items))


def changed_items(before: list[CodeItem], after: list[CodeItem]) -> list[str]:
    """What differs between two versions of the code, in words: `function scale changed`."""
    old, new = by_name(before), by_name(after)
    words = []
    for kind, name in {**new, **old}:
        digests = old.get((kind, name)), new.get((kind, name))
        if digests[0] != digests[1]:
            word = "added" if digests[0] is None else "removed" if digests[1] is None else "changed"
            words.append(f"{kind} {name} {word}")
    return words


def by_name(items: list[CodeItem]) -> dict[tuple[str, str], set[str]]:
    """The digests of the things of one kind and name."""
    found: dict[tuple[str, str], set[str]] = {}
    for item in items:
        found.setdefault((item.kind, item.name), set()).add(item.digest)
    return found
