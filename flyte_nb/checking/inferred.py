"""What is known of an expression without running it.

    Constant(3)                 this very value
    Of(int)                     some value of the type
    Items(list, (...))          a container as it is written, each item known or not
    Pairs(keys, values)         a dict as it is written
    Live(task)                  an object that exists: a task, function, class, module
    Method(task, "aio")         an attribute of one
    Nested(node)                an async function that is defined inside the function
    Partial(task, ...)          a `functools.partial` of a task
    Coroutine("add", Of(int))   the call of something async, not awaited

What is not known is `UNKNOWN`, and never a reason for a problem.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, TypeAlias

from flyte_nb.types.names import describe_type

__all__ = [
    "UNKNOWN",
    "Constant",
    "Coroutine",
    "Inferred",
    "Items",
    "Live",
    "Method",
    "Nested",
    "Of",
    "Pairs",
    "Partial",
    "Unknown",
    "coroutine_in",
    "described",
]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known."""


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Constant:
    """A scalar that is written in the source."""

    value: Any


@dataclass(frozen=True, slots=True)
class Of:
    """A value of a declared type."""

    type: Any


@dataclass(frozen=True, slots=True)
class Items:
    """A list, tuple or set as it is written; of a comprehension the one item stands for all."""

    kind: type
    items: tuple[Inferred, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict as it is written."""

    keys: tuple[Inferred, ...]
    values: tuple[Inferred, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """An object that exists already."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """An attribute of a live object, by name."""

    owner: Any
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Nested:
    """An async function that is defined inside the function that is read."""

    node: ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """A `functools.partial` of a live object.

    Attributes:
        call: the call of `functools.partial`, whose first argument is the object.
    """

    owner: Any
    call: ast.Call


@dataclass(frozen=True, slots=True)
class Coroutine:
    """The call of something async that is not awaited.

    Attributes:
        name: of what is called.
        result: what awaiting it gives.
    """

    name: str
    result: Inferred


Inferred: TypeAlias = Unknown | Constant | Of | Items | Pairs | Live | Method | Nested | Partial | Coroutine


def coroutine_in(inferred: Inferred) -> Coroutine | None:
    """The coroutine that a value is, or that stands in a container as it is written."""
    match inferred:
        case Coroutine():
            return inferred
        case Items(items=items):
            return next(filter(None, map(coroutine_in, items)), None)
        case _:
            return None


def described(inferred: Inferred) -> str:
    """What is known, as text for people."""
    match inferred:
        case Constant(value):
            text = repr(value)
            return f"{text if len(text) <= 40 else text[:39] + '…'} ({describe_type(type(value))})"
        case Of(declared):
            return describe_type(declared)
        case Items(kind=kind):
            return f"a {kind.__name__}"
        case Pairs():
            return "a dict"
        case _:
            return "a value"
