"""Which outputs became which inputs: the data edges of the explorer's graph (docs/explorer.md).

Nothing is recorded for this: an edge says that a value came out of one action, alone or as a member of a collection,
before an equal value, alone or as a member, went into a sibling that was called later. Actions are taken together by
node: the same task, in the same group, under parents of the same node.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from flyte_nb.engine.action import Action
from flyte_nb.store.rows import ActionRow, TaskRow
from flyte_nb.types.base import TAGGED
from flyte_nb.types.trees import identity_of, leaf_content, pack, unpack

__all__ = ["Flow", "find_flows", "flow_rows"]

ACTIONS = 50_000
"""Only the values of the first so many actions are compared."""
MEMBERS = 10_000
"""Only the first so many members of a collection are."""
FAINT_CHARS = 16
"""A shorter text, like a number, may be equal by chance."""
LEAST_SHARE = 0.5
"""Values that may be equal by chance make an edge where at least this share of what an input got came from there."""

AnyAction = ActionRow | Action


@dataclass(slots=True)
class Node:
    """Actions that the graph draws as one."""

    actions: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Flow:
    """Values that went from the actions of one node to those of another."""

    producer: Node
    output: str
    consumer: Node
    input: str
    count: int = 0
    share: float = 0.0
    """Of all that the input got, in calls: a collection of which half came from there counts a half."""
    is_faint: bool = True
    """Every value may have been equal by chance."""


@dataclass(slots=True)
class Produced:
    """Where equal values came from, in the order in which they were there."""

    ended_ns: list[int] = field(default_factory=list)
    origins: list[tuple[Node, str]] = field(default_factory=list)

    def before(self, queued_ns: int) -> tuple[Node, str] | None:
        """The last that was there by then."""
        at = bisect_right(self.ended_ns, queued_ns)
        return self.origins[at - 1] if at else None


def find_flows(actions: Sequence[AnyAction], tasks: Mapping[int, TaskRow]) -> list[Flow]:
    """The flows of a run.

    Args:
        actions: its actions, parents before their children.
        tasks: its tasks by the number of their declaration, for the names of inputs and outputs.
    """
    considered = actions[:ACTIONS]
    nodes = _nodes_of(considered)
    siblings: defaultdict[str, list[AnyAction]] = defaultdict(list)
    for action in considered:
        siblings[action.parent].append(action)
    flows: dict[tuple[int, str, int, str], Flow] = {}
    for alike in siblings.values():
        if len(alike) > 1:
            _add_flows(flows, alike, nodes, tasks)
    return [flow for flow in flows.values() if _is_sure(flow)]


def flow_rows(flows: Sequence[Flow], shown: Collection[str] | None = None) -> list[list[Any]]:
    """Flows as a document carries them: `[action, output, action, input, count]`, an action standing for its node.

    Args:
        flows: the flows.
        shown: the actions of the document; None where it has all.
    """
    rows = []
    for flow in flows:
        source = next((name for name in flow.producer.actions if shown is None or name in shown), None)
        target = next((name for name in flow.consumer.actions if shown is None or name in shown), None)
        if source is not None and target is not None:
            rows.append([source, flow.output, target, flow.input, flow.count])
    return rows


def _nodes_of(actions: Sequence[AnyAction]) -> dict[str, Node]:
    """The node of every action, by its name."""
    nodes: dict[str, Node] = {}
    by_place: dict[tuple[int, str, str], Node] = {}
    for action in actions:
        place = (id(nodes.get(action.parent)), action.group, action.task)
        node = by_place.get(place)
        if node is None:
            node = by_place[place] = Node()
        node.actions.append(action.name)
        nodes[action.name] = node
    return nodes


def _add_flows(
    flows: dict[tuple[int, str, int, str], Flow],
    siblings: Sequence[AnyAction],
    nodes: Mapping[str, Node],
    tasks: Mapping[int, TaskRow],
) -> None:
    """Adds what went from one to the other of the actions of one parent."""
    produced = _produced_by(siblings, nodes, tasks)
    for action in siblings:
        declared = tasks[action.spec].inputs if action.spec in tasks else action.trace_inputs or []
        consumer = nodes[action.name]
        for (name, _), tree in zip(declared, _trees(action.inputs), strict=False):
            for value, (producer, output), weight in _origins(tree, produced, action.queued_ns):
                key = (id(producer), output, id(consumer), name)
                flow = flows.get(key)
                if flow is None:
                    flow = flows[key] = Flow(producer, output, consumer, name)
                flow.count += 1
                flow.share += weight
                flow.is_faint &= _is_faint(value)


def _produced_by(
    siblings: Sequence[AnyAction], nodes: Mapping[str, Node], tasks: Mapping[int, TaskRow]
) -> dict[bytes, Produced]:
    """Every output and every member of one, by its identity."""
    produced: defaultdict[bytes, Produced] = defaultdict(Produced)
    ended = [action for action in siblings if action.ended_ns is not None and action.outputs]
    for action in sorted(ended, key=lambda one: one.ended_ns or 0):
        names = [name for name, _ in tasks[action.spec].outputs] if action.spec in tasks else ["o0"]
        for output, tree in zip(names, _trees(action.outputs), strict=False):
            for value in (tree, *_members(tree)):
                if not _is_empty(value):
                    known = produced[_key(value)]
                    known.ended_ns.append(action.ended_ns or 0)
                    known.origins.append((nodes[action.name], output))
    return produced


def _origins(
    tree: Any, produced: Mapping[bytes, Produced], queued_ns: int
) -> Iterator[tuple[Any, tuple[Node, str], float]]:
    """Where an input came from, as a whole or else by its members; with each the part of the input that it is."""
    members = _members(tree)
    for value, weight in [(tree, 1.0), *((member, 1.0 / len(members)) for member in members)]:
        found = produced.get(_key(value)) if not _is_empty(value) else None
        origin = found.before(queued_ns) if found is not None else None
        if origin is not None:
            yield value, origin, weight
            if value is tree:
                return


def _is_sure(flow: Flow) -> bool:
    if not flow.is_faint:
        return True
    # A task that is called with 0, 1, 2 ... after one that returned 1 was not given that 1.
    return flow.producer is not flow.consumer and flow.share >= LEAST_SHARE * len(flow.consumer.actions)


def _trees(payload: bytes | None) -> list[Any]:
    try:
        return list(unpack(payload)) if payload else []
    except msgspec.DecodeError:  # damaged bytes: the action still stands in the graph
        return []


def _key(tree: Any) -> bytes:
    return identity_of(pack([tree]))


def _members(tree: Any) -> list[Any]:
    """The first members of a collection; none of any other value."""
    if isinstance(tree, Ext) and tree.code == TAGGED:
        tag, content = leaf_content(tree)
        if tag == "dict":
            return [value for _, value in content[:MEMBERS]]
        return content[:MEMBERS] if tag in ("tuple", "set", "frozenset") else []
    if isinstance(tree, dict):
        return list(islice(tree.values(), MEMBERS))
    return tree[:MEMBERS] if isinstance(tree, list) else []


def _is_empty(tree: Any) -> bool:
    """Whether there is nothing to follow: None, a truth value, an empty text or collection."""
    return tree is None or isinstance(tree, bool) or (isinstance(tree, str | bytes | list | dict) and not tree)


def _is_faint(tree: Any) -> bool:
    return isinstance(tree, int | float) or (isinstance(tree, str | bytes) and len(tree) < FAINT_CHARS)
