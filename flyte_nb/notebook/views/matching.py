"""The actions of two runs in pairs, by position.

Siblings are matched by name (the same position and code), then by task, group and inputs (the code was edited), then by
task and group in the order of their calls (the inputs differ too); what is left ran in one of the runs only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from flyte_nb.notebook.views.document import AnyAction
from flyte_nb.types.trees import identity_of

__all__ = ["Pair", "matched"]


@dataclass(slots=True)
class Pair:
    """An action of the left run and its match in the right one; one of them may be missing."""

    left: AnyAction | None
    right: AnyAction | None
    parent: Pair | None

    @property
    def any(self) -> AnyAction:
        """The one that is there."""
        found = self.left if self.left is not None else self.right
        assert found is not None
        return found

    @property
    def both(self) -> tuple[AnyAction | None, AnyAction | None]:
        """The left one and the right one."""
        return self.left, self.right


def matched(left: Sequence[AnyAction], right: Sequence[AnyAction]) -> Iterator[Pair]:
    """Every action of both runs in pairs, parents before their children.

    Args:
        left: actions, parents before their children.
        right: the same of the other run.
    """
    below = children_of(left), children_of(right)
    pending = list(paired(below[0][""], below[1][""], None))[::-1]
    while pending:
        pair = pending.pop()
        yield pair
        under = [
            children[action.name] if action is not None else []
            for children, action in zip(below, pair.both, strict=True)
        ]
        pending += list(paired(under[0], under[1], pair))[::-1]


def paired(left: Sequence[AnyAction], right: Sequence[AnyAction], parent: Pair | None) -> list[Pair]:
    """Siblings in pairs, in the order of the left run; behind them those that only the right one has."""
    match: dict[str, AnyAction] = {}
    keys: Sequence[Callable[[AnyAction], Hashable]] = (
        lambda action: action.name,
        lambda action: (action.task, action.group, identity_or_bytes(action.inputs)),
        lambda action: (action.task, action.group),
    )
    free_left, free_right = list(left), list(right)
    for key in keys:
        waiting: defaultdict[Hashable, list[AnyAction]] = defaultdict(list)
        for action in reversed(free_right):
            waiting[key(action)].append(action)
        for action in free_left:
            if waiting[key(action)]:
                match[action.name] = waiting[key(action)].pop()
        taken = {id(action) for action in match.values()}
        free_left = [action for action in free_left if action.name not in match]
        free_right = [action for action in free_right if id(action) not in taken]
    pairs = [Pair(action, match.get(action.name), parent) for action in left]
    return [*pairs, *(Pair(None, action, parent) for action in free_right)]


def children_of(actions: Sequence[AnyAction]) -> defaultdict[str, list[AnyAction]]:
    children: defaultdict[str, list[AnyAction]] = defaultdict(list)
    for action in actions:
        children[action.parent].append(action)
    return children


def identity_or_bytes(payload: bytes) -> bytes:
    """Bytes that are equal for equal values, and those of damaged ones themselves."""
    try:
        return identity_of(payload) if payload else b""
    except msgspec.DecodeError:
        return payload
