"""What a name stands for at a place in a live function: a local, or an object that exists already.

    Scope    one function of the source (nested ones, lambdas and comprehensions too) inside the live function around it

Looking up runs nothing and imports nothing: names are followed through namespaces, closures and the modules that are
loaded.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias

from flyte_nb.checking.bindings import COMPREHENSIONS, Binding, Function, bindings_of

__all__ = ["MISSING", "Global", "Place", "Scope", "attribute_of"]

MISSING = object()
Place: TypeAlias = tuple[int, str]
"""Where a value is kept: the identity of a namespace, or of a cell, and a name."""


class Global(NamedTuple):
    """A name from outside of a function: where it is kept, and its value now."""

    place: Place
    value: Any


@dataclass(eq=False)
class Scope:
    """The names of one function of the source.

    Attributes:
        node: the function, lambda or comprehension.
        function: the live function that it belongs to.
        changing: globals that some function changes: what they are now says nothing.
        outer: the scope around it, None for that of the live function itself.
    """

    node: ast.AST
    function: FunctionType
    changing: Container[Place]
    outer: Scope | None = None
    _cells: Mapping[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = self.function.__code__.co_freevars
        self._cells = dict(zip(names, self.function.__closure__ or (), strict=True))

    @cached_property
    def bindings(self) -> dict[str, Binding]:
        if isinstance(self.node, Function):
            return bindings_of(self.node)
        if isinstance(self.node, COMPREHENSIONS):
            targets = [generator.target for generator in self.node.generators]
            return {node.id: Binding() for one in targets for node in ast.walk(one) if isinstance(node, ast.Name)}
        return {}

    def find(self, name: str) -> tuple[Scope, Binding] | Global | None:
        """The local binding of a name and its scope, or the global; None for a name that exists nowhere."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bindings:
                return scope, scope.bindings[name]
            scope = scope.outer
        if name in self._cells:
            cell = self._cells[name]
            try:
                return Global((id(cell), name), cell.cell_contents)
            except ValueError:  # not bound yet
                return Global((id(cell), name), MISSING)
        names = self.function.__globals__
        if name in names:
            return Global((id(names), name), names[name])
        if hasattr(builtins, name):
            return Global((id(builtins), name), getattr(builtins, name))
        return None

    def imported(self, name: str) -> Any:
        """What an import in a function gives, if its module is loaded; else MISSING."""
        module, _, attribute = name.partition(":")
        try:
            module = importlib.util.resolve_name(module, self.function.__globals__.get("__package__") or "")
        except ImportError:  # beyond the top-level package: the import itself will say so
            return MISSING
        loaded: Any = sys.modules.get(module, MISSING)
        return attribute_of(loaded, attribute) if attribute and loaded is not MISSING else loaded


def attribute_of(module: Any, name: str) -> Any:
    """A name of a loaded module; nothing is imported for it, but the names of flyte_nb, which come when used."""
    if not isinstance(module, ModuleType):
        return MISSING
    if module.__name__ == "flyte_nb":
        return getattr(module, name, MISSING)
    return vars(module).get(name, sys.modules.get(f"{module.__name__}.{name}", MISSING))
