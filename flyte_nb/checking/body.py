"""The source of one live function, node by node: in which scope each stands, and what it reads and changes outside.

Source is that of the code as it runs: a function whose file was edited since, or that was generated, has none.
"""

from __future__ import annotations

import ast
import builtins
import weakref
from collections import deque
from collections.abc import Container, Iterator
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from flyte_nb.checking.bindings import COMPREHENSIONS
from flyte_nb.checking.scope import MISSING, Global, Place, Scope, attribute_of
from flyte_nb.engine.code.forms import function_node
from flyte_nb.engine.code.ownership import is_own_module

__all__ = ["Body", "Read", "Spot", "Write", "body_of"]

CONTAINERS = (list, dict, set, bytearray, deque)
MUTATORS = {
    *("add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert"),
    *("intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort"),
    *("symmetric_difference_update", "update"),
}
"""The methods that change them."""


class Spot(NamedTuple):
    """One node of the source.

    Attributes:
        node: the node.
        parent: the node around it; of the value of a keyword argument, the call.
        scope: the names it sees.
        is_direct: it runs where the function itself runs; not so a lambda, or a nested function that is passed on.
    """

    node: ast.AST
    parent: ast.AST
    scope: Scope
    is_direct: bool


class Read(NamedTuple):
    """A name from outside that is read."""

    name: str
    place: Place
    value: Any
    node: ast.expr


class Write(NamedTuple):
    """A name from outside that is assigned, or whose value is changed."""

    name: str
    place: Place


class Body:
    """A function's source.

    Attributes:
        function: the live function.
        node: its definition.
        spots: every node of it, in the order of the source.
        reads: what it reads from outside, with built-in names left out.
        writes: what it changes outside.
    """

    def __init__(self, function: FunctionType, node: ast.AST, changing: Container[Place]) -> None:
        self.function = function
        self.node = node
        self.spots: list[Spot] = []
        self.reads: list[Read] = []
        self.writes: list[Write] = []
        scope = Scope(node, function, changing)
        body = getattr(node, "body", [])
        for statement in body if isinstance(body, list) else [body]:
            self._visit(statement, node, scope, True)

    @cached_property
    def _called(self) -> set[str]:
        """The plain names that are called anywhere in it."""
        calls = (node for node in ast.walk(self.node) if isinstance(node, ast.Call))
        return {call.func.id for call in calls if isinstance(call.func, ast.Name)}

    def _visit(self, node: ast.AST, parent: ast.AST, scope: Scope, is_direct: bool) -> None:
        self.spots.append(Spot(node, parent, scope, is_direct))
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            self._note_name(node, parent, scope)
        elif isinstance(node, ast.Call):
            self._note_mutation(node, scope)
        inner, inner_is_direct = scope, is_direct
        outside: list[ast.AST] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = Scope(node, self.function, scope.changing, scope)
            inner_is_direct = is_direct and self._runs_here(node)
            outside = [*getattr(node, "decorator_list", []), *_defaults(node)]
        elif isinstance(node, COMPREHENSIONS):
            inner = Scope(node, self.function, scope.changing, scope)
        elif isinstance(node, ast.ClassDef):  # its methods belong to objects that nobody knows
            return
        for child in outside:
            self._visit(child, node, scope, is_direct)
        around = parent if isinstance(node, ast.keyword) else node
        for child in _inside(node):
            self._visit(child, around, inner, inner_is_direct)

    def _runs_here(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
        """Whether a nested function runs on the thread of this one: it is async, or called by its name."""
        if isinstance(node, ast.AsyncFunctionDef):
            return True
        return isinstance(node, ast.FunctionDef) and not node.decorator_list and node.name in self._called

    def _note_name(self, node: ast.Name | ast.Attribute | ast.Subscript, parent: ast.AST, scope: Scope) -> None:
        if not isinstance(node.ctx, ast.Load):
            found = followed(node, scope)
            if found is not None:
                self.writes.append(Write(found[0].place[1], found[0].place))
        if isinstance(node, ast.Subscript) or (isinstance(parent, ast.Attribute) and parent.value is node):
            return  # the chain around it says more
        found = followed(node, scope)
        if found is None or isinstance(node.ctx, ast.Store | ast.Del):
            return
        (place, value), _ = found
        if value is not MISSING and place[0] != id(builtins):
            self.reads.append(Read(place[1], place, value, node))

    def _note_mutation(self, call: ast.Call, scope: Scope) -> None:
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in MUTATORS:
            return
        found = followed(call.func.value, scope)
        if found is not None and not found[1] and isinstance(found[0].value, CONTAINERS):
            self.writes.append(Write(found[0].place[1], found[0].place))


def followed(node: ast.AST, scope: Scope) -> tuple[Global, list[str]] | None:
    """The global behind a chain of attributes and items, through modules of the user's own; and what is left of it."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        attributes.append(node.attr if isinstance(node, ast.Attribute) else "[]")
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    found = scope.find(node.id)
    if not isinstance(found, Global):
        return None
    attributes.reverse()
    while attributes and isinstance(found.value, ModuleType) and is_own_module(found.value.__name__):
        name = attributes.pop(0)
        found = Global((id(vars(found.value)), name), attribute_of(found.value, name))
    return found, attributes


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """What of a node belongs to its own scope: all but annotations, decorators and defaults."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from node.body
        case ast.Lambda():
            yield node.body
        case ast.AnnAssign():
            yield node.target
            if node.value is not None:
                yield node.value
        case _:
            yield from (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context))


def _defaults(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.expr]:
    return [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]


_bodies: weakref.WeakKeyDictionary[FunctionType, ast.AST | None] = weakref.WeakKeyDictionary()
"""The sources found before; what their names stand for is looked up anew each time."""


def body_of(function: FunctionType, changing: Container[Place]) -> Body | None:
    """The source of a function; None when it has none that can be believed.

    Args:
        function: of the user's own.
        changing: globals whose value now says nothing, see `Scope`.
    """
    if function not in _bodies:
        _bodies[function] = function_node(function.__code__)
    node = _bodies[function]
    return None if node is None else Body(function, node, changing)
