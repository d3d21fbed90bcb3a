"""The planned graph: the tasks and traced functions that a task can reach, and who calls whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Graph", "Line", "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A task or traced function.

    Attributes:
        name: full name.
        kind: `task` or `trace`.
        signature: what it takes and returns, as text.
        isolation: where a task would run; empty for a trace.
        cached: whether its results are.
        place: where it is declared, in the user's words.
    """

    name: str
    kind: str
    signature: str
    isolation: str = ""
    cached: bool = False
    place: str = ""


class Line(NamedTuple):
    """A node where it stands in the tree.

    Attributes:
        depth: 0 for the checked task.
        node: the node.
        is_repeated: what it reaches is drawn above already.
    """

    depth: int
    node: Node
    is_repeated: bool


@dataclass
class Graph:
    """The graph.

    Attributes:
        root: name of the checked task.
        nodes: by name, in the order in which they are reached.
        edges: (caller, callee) by name, each once, in the order of the source.
    """

    root: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> Iterator[Line]:
        """The graph as a tree, from the root: what was drawn before is named, and not drawn again."""
        called: dict[str, list[str]] = {}
        for caller, callee in self.edges:
            called.setdefault(caller, []).append(callee)
        drawn: set[str] = set()
        pending = [(0, self.root)]
        while pending:
            depth, name = pending.pop()
            is_repeated = name in drawn
            yield Line(depth, self.nodes[name], is_repeated and name in called)
            if not is_repeated:
                drawn.add(name)
                pending.extend((depth + 1, callee) for callee in reversed(called.get(name, ())))
