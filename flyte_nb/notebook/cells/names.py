"""What a cell reads and what it assigns, told from its syntax.

    total = 0
    for row in rows:          reads    rows, weight
        total += weight * row assigns  total, row      (row only perhaps: there may be no rows)

The cell is read in the order in which Python executes it. A name counts as read where it may be used before the cell
itself has assigned it, so that a cell's own intermediate names are not taken for inputs, however often it runs again.
Where the syntax leaves it open, a name counts as read, and as assigned perhaps.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["CellNames", "names_of"]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

SWALLOWING = {"suppress", "raises"}
"""Context managers by which a body may end early and the cell goes on (`contextlib.suppress`, `pytest.raises`)."""


@dataclass(frozen=True)
class CellNames:
    """The names of a cell, each in the order of its first use.

    Attributes:
        reads: may be used before the cell has assigned them, or deleted.
        assigns: assigned or deleted, values only.
        changes: an item or attribute of them is assigned or deleted.
        perhaps: those of `assigns` that may have no value when the cell ends.
        deletes: those that it deletes somewhere.
        code: functions and classes that it defines, and modules that it imports, in statements of their own.
    """

    reads: tuple[str, ...]
    assigns: tuple[str, ...]
    changes: tuple[str, ...]
    perhaps: frozenset[str]
    deletes: frozenset[str]
    code: tuple[str, ...]


def names_of(cell: ast.Module) -> CellNames:
    """The names of a parsed cell."""
    reader = _Reader()
    reader.visit_all(cell.body)
    code = _defined_by(cell.body)
    assigns = tuple(name for name in reader.assigned if name not in code)
    changes = tuple(name for name in reader.changed if name not in code)
    perhaps = frozenset(assigns) - (reader.bound - reader.doubtful)
    deletes = tuple(name for name in reader.deleted if name in assigns)
    reads = tuple(dict.fromkeys([*reader.reads, *deletes]))  # whether one is there at the end says if it was deleted
    return CellNames(reads, assigns, changes, perhaps, frozenset(deletes), code)


class _Reader(ast.NodeVisitor):
    """Reads statements in the order of their execution.

    `bound` holds the names that certainly have a value here; None behind a `raise`, `break` or `continue`, where
    nothing is executed. Ordered sets are dictionaries.
    """

    def __init__(self) -> None:
        self.reads: dict[str, None] = {}
        self.assigned: dict[str, None] = {}
        self.changed: dict[str, None] = {}
        self.deleted: dict[str, None] = {}
        self.doubtful: set[str] = set()
        """Assigned in the body of a `with`, which hardly ever ends early: read as bound, returned with care."""
        self._bound: set[str] | None = set()

    @property
    def bound(self) -> set[str]:
        return self._bound or set()

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # ---- Names.

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._assign(node.id)
        else:
            self._read(node.id)
            self._unbind(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._change(node)
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._change(node)
        self.visit_all([node.value, node.slice])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit_all([node.value, node.target])

    def _read(self, name: str) -> None:
        if self._bound is not None and name not in self._bound:
            self.reads.setdefault(name)

    def _assign(self, name: str) -> None:
        self.assigned.setdefault(name)
        if self._bound is not None:
            self._bound.add(name)

    def _unbind(self, name: str) -> None:
        self.assigned.setdefault(name)
        self.deleted.setdefault(name)
        if self._bound is not None:
            self._bound.discard(name)

    def _change(self, node: ast.Attribute | ast.Subscript) -> None:
        """Notes whose item or attribute is assigned or deleted."""
        value: ast.expr = node
        while isinstance(value, ast.Attribute | ast.Subscript):
            value = value.value
        if isinstance(value, ast.Name) and not isinstance(node.ctx, ast.Load):
            self.changed.setdefault(value.id)

    # ---- Statements.

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit_all([node.value, *node.targets])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self.visit_all([node.value, node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit_all([node.value, node.target])

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name in _imported_by(node):
            self._assign(name)

    visit_ImportFrom = visit_Import

    def visit_Raise(self, node: ast.Raise) -> None:
        self.generic_visit(node)
        self._bound = None

    def visit_Break(self, node: ast.Break) -> None:
        self._bound = None

    visit_Continue = visit_Break  # type: ignore[assignment]

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branch([node.body, node.orelse])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        before = self._copy()
        self.visit_all([node.target, *node.body])
        self._bound = before - _deleted_in(node.body) if before is not None else None
        self._branch([node.orelse, []])

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        before = self._copy()
        self.visit_all(node.body)
        self._bound = before - _deleted_in(node.body) if before is not None else None
        self._branch([node.orelse, []])

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        before = self._copy()
        self.visit_all([*node.body])
        completed = self._copy()
        failed = before - _deleted_in(node.body) if before is not None else None
        ends = []
        self._bound = completed
        self.visit_all(node.orelse)
        ends.append(self._copy())
        for handler in node.handlers:
            self._bound = set(failed) if failed is not None else None
            self.visit(handler)
            ends.append(self._copy())
        self._bound = failed - _deleted_in([*node.handlers, *node.orelse]) if failed is not None else None
        at_last = self._copy()
        self.visit_all(node.finalbody)
        gained = self.bound - (at_last or set())
        lost = _deleted_in(node.finalbody)
        together = _together(ends)
        self._bound = (together - lost) | gained if together is not None else None

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.visit_all([node.type])
        if node.name:
            self._assign(node.name)
        self.visit_all(node.body)
        if node.name:
            self._unbind(node.name)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit_all([item.context_expr, item.optional_vars])
        before = self._copy()
        self.visit_all(node.body)
        self.doubtful |= self.bound - (before or set())
        if any(_may_swallow(item.context_expr) for item in node.items):
            self._bound = before - _deleted_in(node.body) if before is not None else None

    visit_AsyncWith = visit_With

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        before = self._copy()
        ends = []
        for case in node.cases:
            self._bound = set(before) if before is not None else None
            self.visit_all([case.pattern, case.guard, *case.body])
            ends.append(self._copy())
        last = node.cases[-1]
        is_exhaustive = last.guard is None and isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        self._bound = _together(ends if is_exhaustive else [*ends, before])

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.generic_visit(node)
        if node.name:
            self._assign(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._assign(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self._assign(node.rest)

    def _branch(self, branches: list[list[ast.stmt]]) -> None:
        """One of several lists of statements is executed."""
        before = self._copy()
        ends = []
        for branch in branches:
            self._bound = set(before) if before is not None else None
            self.visit_all(branch)
            ends.append(self._copy())
        self._bound = _together(ends)

    def _copy(self) -> set[str] | None:
        return set(self._bound) if self._bound is not None else None

    # ---- Expressions that are executed in part, and scopes of their own.

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        self._perhaps([node.body])
        self._perhaps([node.orelse])

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        self._perhaps(node.values[1:])

    def visit_Compare(self, node: ast.Compare) -> None:
        self.visit_all([node.left, node.comparators[0]])
        self._perhaps(node.comparators[1:])

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)
        self._perhaps([node.msg])

    def visit_FunctionDef(self, node: Function) -> None:
        self.visit_all([*node.decorator_list, *node.args.defaults, *node.args.kw_defaults])
        self._assign(node.name)
        self._read_inner(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        self._read_inner(node)
        self._assign(node.name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        arguments = node.args
        self.visit_all([*arguments.defaults, *arguments.kw_defaults])
        every = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
        with self._inner({argument.arg for argument in every if argument is not None}):
            self.visit(node.body)

    def _visit_comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        targets = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        with self._inner(targets):
            self.visit_all([part for generator in node.generators[1:] for part in (generator.iter,)])
            self.visit_all([condition for generator in node.generators for condition in generator.ifs])
            self.visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def _perhaps(self, nodes: Iterable[ast.AST | None]) -> None:
        before = self._copy()
        self.visit_all(nodes)
        self._bound = before

    @contextmanager
    def _inner(self, own: set[str]) -> Iterator[None]:
        """A scope with names of its own; what it assigns outside (`:=`), it assigns perhaps."""
        before = self._copy()
        if self._bound is not None:
            self._bound |= own
        yield
        self._bound = before

    def _read_inner(self, node: Function | ast.ClassDef) -> None:
        """The names that a function or class of the cell reads from it."""
        table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
        for scope in _scopes(table):
            for symbol in scope.get_symbols():
                if symbol.is_referenced() and symbol.is_global():
                    self._read(symbol.get_name())


def _defined_by(statements: list[ast.stmt]) -> tuple[str, ...]:
    """The names that only definitions and imports among the statements themselves bind."""
    found: dict[str, None] = {}
    others = _Reader()
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            found.update(dict.fromkeys(_imported_by(statement)))
        else:
            others.visit(statement)
    return tuple(name for name in found if name not in others.assigned)


def _imported_by(node: ast.Import | ast.ImportFrom) -> list[str]:
    is_plain = isinstance(node, ast.Import)
    return [alias.asname or (alias.name.partition(".")[0] if is_plain else alias.name) for alias in node.names]


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _scopes(child)


def _together(ends: list[set[str] | None]) -> set[str] | None:
    """What is bound at the end of each of several ways; ways that end before do not count."""
    reached = [end for end in ends if end is not None]
    return set.intersection(*reached) if reached else None


def _deleted_in(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that are deleted anywhere in the nodes, as those of exceptions are."""
    found = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def _may_swallow(manager: ast.expr) -> bool:
    called = manager.func if isinstance(manager, ast.Call) else manager
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) in SWALLOWING
