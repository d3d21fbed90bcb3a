"""The local names of one function: where each gets its value, as far as there is one place only.

A name that is bound twice, or in a way that says nothing about its value, is known to be local and no more.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Binding", "Function", "bindings_of", "own_nodes"]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Binding:
    """How a local name gets its value.

    Attributes:
        value: what is assigned, or the definition or import itself; None when it says nothing.
        index: of a tuple that is unpacked.
        is_parameter: it is a parameter; `value` is its annotation.
        imported: the full name that an import gives it.
    """

    value: ast.AST | None = None
    index: int | None = None
    is_parameter: bool = False
    imported: str = ""


UNKNOWN = Binding()


def bindings_of(function: Function) -> dict[str, Binding]:
    """The names that are local to a function; nested functions and comprehensions have their own."""
    found: dict[str, Binding] = {}
    nodes = list(own_nodes(function))
    for name, binding in _bound_in(function, nodes):
        found[name] = UNKNOWN if name in found else binding
    for node in nodes:
        if isinstance(node, ast.Global | ast.Nonlocal):
            for name in node.names:
                found.pop(name, None)
        elif isinstance(node, NESTED):
            for name in _rebound_inside(node):
                if name in found:
                    found[name] = UNKNOWN
    return found


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body, without the bodies of functions in it."""
    pending: list[ast.AST] = list(_body(function))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, NESTED):
            pending.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context))


def _body(function: ast.AST) -> list[ast.AST]:
    body = getattr(function, "body", [])
    return list(body) if isinstance(body, list) else [body]


def _bound_in(function: Function, nodes: list[ast.AST]) -> Iterator[tuple[str, Binding]]:
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        yield argument.arg, Binding(argument.annotation, is_parameter=True)
    for rest in (arguments.vararg, arguments.kwarg):
        if rest is not None:
            yield rest.arg, UNKNOWN
    comprehended = {
        id(target)
        for node in nodes
        if isinstance(node, COMPREHENSIONS)
        for generator in node.generators
        for target in ast.walk(generator.target)
    }
    for node in nodes:
        if id(node) not in comprehended:
            yield from _bound_by(node)


def _bound_by(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    match node:
        case ast.Assign():
            for target in node.targets:
                yield from _assigned(target, node.value)
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            yield name, Binding(value)
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, Binding(value)
        case ast.AugAssign(target=ast.Name(id=name)):
            yield from ((name, UNKNOWN), (name, UNKNOWN))
        case ast.For() | ast.AsyncFor():
            yield from _unknown(node.target)
        case ast.withitem(optional_vars=ast.expr() as target):
            yield from _unknown(target)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, UNKNOWN
        case ast.MatchMapping(rest=str(name)):
            yield name, UNKNOWN
        case ast.Delete():
            for target in node.targets:
                yield from _unknown(target)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name, Binding(node)
        case ast.Import():
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, Binding(node, imported=whole)
        case ast.ImportFrom():
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                yield alias.asname or alias.name, Binding(node, imported=f"{base}:{alias.name}")


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, Binding]]:
    match target:
        case ast.Name(id=name):
            yield name, Binding(value)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            starred = any(isinstance(one, ast.Starred) for one in targets)
            for index, one in enumerate(targets):
                if isinstance(one, ast.Name) and not starred:
                    yield one.id, Binding(value, index)
                else:
                    yield from _unknown(one)


def _unknown(target: ast.expr) -> Iterator[tuple[str, Binding]]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, UNKNOWN


def _rebound_inside(nested: ast.AST) -> Iterator[str]:
    """Names that a nested function assigns with `nonlocal`."""
    for node in ast.walk(nested):
        if isinstance(node, ast.Nonlocal):
            yield from node.names
