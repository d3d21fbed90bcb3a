"""The names that a cell's syntax tells of, against what executing the cell shows."""

from __future__ import annotations

import ast
from contextlib import nullcontext
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flyte_nb.notebook.cells.names import CellNames, names_of
from flyte_nb.notebook.cells.source import read_body

NAMES = ("a", "b", "c", "d")


def names_in(cell: str) -> CellNames:
    return names_of(ast.parse(cell))


class Watched(dict[str, Any]):
    """A namespace that tells which of the names it held at first were read before they were assigned."""

    def __init__(self, held: dict[str, Any]) -> None:
        super().__init__(held)
        self.read: set[str] = set()
        self._fresh = set(held)

    def __getitem__(self, name: str) -> Any:
        if name in self._fresh:
            self.read.add(name)
        return super().__getitem__(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._fresh.discard(name)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self._fresh.discard(name)
        super().__delitem__(name)


def indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


class Writer:
    """Writes a cell; equal seeds write equal cells."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def block(self, depth: int = 2) -> list[str]:
        return [line for _ in range(self._random.randint(1, 3)) for line in self._statement(depth)]

    def _name(self) -> str:
        return self._random.choice(NAMES)

    def _value(self) -> str:
        a, b, c = self._name(), self._name(), self._name()
        return self._random.choice(
            [
                str(self._random.randint(0, 9)),
                a,
                f"{a} + {b}",
                f"({a} if {b} else {c})",
                f"[{a} + {b} for {a} in range({b} % 5)][-1:] and {b}",
                f"(lambda {a}: {a} + {b})(1)",
                f"({a} and ({b} := {c}))",
            ]
        )

    def _statement(self, depth: int) -> list[str]:
        flat = ["assign", "assign", "add", "delete", "unpack"]
        kind = self._random.choice([*flat, "if", "for", "while", "try", "with", "match", "def"] if depth else flat)
        name, value = self._name(), self._value()
        match kind:
            case "assign":
                return [f"{name} = {value}"]
            case "add":
                return [f"{name} += {value}"]
            case "delete":
                return [f"del {name}"]
            case "unpack":
                return [f"{name}, *{self._name()} = ({value}, 1)"]
            case "if":
                return [f"if {value}:", *self._inner(depth), "else:", *self._inner(depth)]
            case "for":
                leave = self._random.choice([[], ["    break"], ["    continue"]])
                head = f"for {name} in range({value} % 3):"
                return [head, *self._inner(depth), *leave, "else:", *self._inner(depth)]
            case "while":
                return [f"while {value}:", *self._inner(depth), "    break"]
            case "try":
                handler = ["except NameError as error:", *self._inner(depth)]
                rest = ["else:", *self._inner(depth), "finally:", *self._inner(depth)]
                return ["try:", *self._inner(depth), *handler, *rest]
            case "with":
                return ["with nothing() as _:", *self._inner(depth)]
            case "match":
                ways = ["    case 0:", *indented(self._inner(depth)), f"    case {name}:"]
                return [f"match {value}:", *ways, *indented(self._inner(depth))]
            case _:
                return [f"def f(x={value}):", f"    return x + {self._name()}", f"{name} = f()"]

    def _inner(self, depth: int) -> list[str]:
        return indented(self.block(depth - 1))


cells = st.integers(0, 2**32).map(lambda seed: "\n".join(Writer(seed).block()))
names = st.sampled_from(NAMES)


@settings(max_examples=150, deadline=None)
@given(cell=cells, held=st.dictionaries(names, st.integers(0, 3)))
@example(cell="for a in range(b):\n    c = 1\nd = c", held={"b": 0, "c": 5})
@example(cell="try:\n    del a\nexcept NameError as b:\n    pass\nc = 1", held={"a": 1, "b": 2})
@example(cell="if a:\n    b = 1\nelse:\n    del c", held={"a": 1, "c": 2})
def test_what_executing_a_cell_reads_and_assigns_its_names_tell(cell: str, held: dict[str, int]) -> None:
    told = names_in(cell)
    namespace = Watched(held)
    try:
        exec(compile(cell, "<cell>", "exec"), {"nothing": nullcontext}, namespace)
    except (NameError, TypeError, ValueError, AttributeError):  # what a cell does until it fails counts as well
        failed = True
    else:
        failed = False
    assert namespace.read <= {*told.reads}
    changed = {name for name in NAMES if name not in held or namespace.get(name) is not held[name]} & {*namespace}
    assert changed <= {*told.assigns, *told.code}
    if not failed:
        gone = {name for name in told.assigns if name not in namespace}
        assert gone <= told.perhaps
        assert {name for name in held if name not in namespace} <= told.deletes


@settings(max_examples=150, deadline=None)
@given(cell=cells, held=st.dictionaries(names, st.integers(0, 3)))
def test_a_cell_as_a_function_leaves_what_the_cell_itself_leaves(cell: str, held: dict[str, int]) -> None:
    expected: dict[str, Any] = {**held, "nothing": nullcontext}
    try:
        exec(compile(cell, "<cell>", "exec"), expected)
    except (NameError, TypeError, ValueError, AttributeError):
        return
    told = names_in(cell)
    inputs = [name for name in told.reads if name in held]
    outputs = tuple(name for name in told.assigns if name != "_")
    perhaps = told.perhaps.intersection(outputs)
    body = read_body(cell).source("step", inputs, outputs, perhaps)
    scope: dict[str, Any] = {**held, "nothing": nullcontext}
    exec(body, scope)
    returned = scope["step"](**{name: held[name] for name in inputs})
    values = returned if isinstance(returned, tuple) else (returned,) if outputs else ()
    missing = values[-1] if perhaps else ()
    for name, value in zip(outputs, values, strict=False):
        if name in missing:
            assert name not in expected or (name in held and name not in told.deletes)
        elif not callable(value) and not isinstance(value, BaseException):
            assert expected[name] == value


@pytest.mark.parametrize(
    ("cell", "reads", "assigns"),
    [
        ("total = 0\nfor row in rows:\n    total += row", ["rows"], ["total", "row"]),
        ("df['b'] = df.a * 2", ["df"], []),
        ("import numpy as np\nnp.zeros(n)", ["n"], []),
        ("def f(x):\n    return x + rate\ny = f(1)", ["rate"], ["y"]),
        ("class A:\n    size = n\n    def get(self):\n        return size", ["n", "size"], []),
        ("with open(path) as f:\n    text = f.read()\nlines = text.split()", ["open", "path"], ["f", "text", "lines"]),
        ("x: int = start\ny: str", ["start"], ["x"]),
        ("try:\n    import ujson as json\nexcept ImportError:\n    import json", ["ImportError"], ["json"]),
        ("q = [x for x in xs if x > low]", ["xs", "low"], ["q"]),
    ],
)
def test_names_stand_in_the_order_of_their_use(cell: str, reads: list[str], assigns: list[str]) -> None:
    told = names_in(cell)
    assert (list(told.reads), list(told.assigns)) == (reads, assigns)


def test_an_item_that_is_assigned_changes_its_variable() -> None:
    told = names_in("df['b'] = 1\nmodel.layers[0].size += 2\ndel cache[key]\nfresh = {}\nfresh['a'] = 1")
    assert told.changes == ("df", "model", "cache", "fresh")


def test_definitions_and_imports_of_the_cell_itself_are_code() -> None:
    told = names_in("import os.path\nfrom sys import argv as words\ndef f(): pass\nclass A: pass\nf = f\nx = 1")
    assert told.code == ("os", "words", "A") and told.assigns == ("f", "x")
