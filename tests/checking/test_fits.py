"""A type is called wrong only where the engine would refuse the value."""

from __future__ import annotations

import datetime
import enum
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import pandas as pd
import pydantic
import pytest

from flyte_nb.checking.fits import fits
from flyte_nb.checking.inferred import UNKNOWN, Constant, Inferred, Items, Of, Pairs
from flyte_nb.interface import literal_to_enum
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.registry import transformer_for


class Level(enum.IntEnum):
    LOW = 1


class Color(enum.Enum):
    RED = "red"


@dataclass
class Shape:
    side: int = 1


@dataclass
class Square(Shape):
    name: str = "square"


@dataclass
class Line:
    length: int = 1


class Model(pydantic.BaseModel):
    depth: int = 1


class Pair(NamedTuple):
    left: int
    right: str


class Options(TypedDict):
    depth: int


class Text(str):
    pass


VALUES = [
    *(None, True, 0, -3, 1.5, "", "red", "1", b"", Text("a"), Level.LOW, Color.RED, np.float64(1.5), np.int64(3)),
    *([], [1], ["a"], [1.5, 2], (1, "a"), (), {1}, {"a"}, frozenset({1}), {}, {"a": 1}, {"depth": 1}, {1: "a"}),
    *(Shape(), Square(), Line(), Model(), Pair(1, "a"), datetime.datetime(2026, 1, 1), datetime.timedelta(1)),
    *(datetime.date(2026, 1, 1), np.zeros(2), pd.DataFrame({"a": [1]}), range(3)),
]
DECLARED = [
    *(type(None), bool, int, float, str, bytes, list, tuple, dict, set, Any, object, Color, Level, Shape, Square, Line),
    *(Model, Pair, Options, datetime.datetime, datetime.date, datetime.timedelta, np.ndarray, pd.DataFrame),
    *(list[int], list[str], list[list[int]], list[Any], dict[str, int], dict[int, str], dict[str, Any], set[int]),
    *(tuple[int, str], int | str, list[int] | None, int | None, Shape | None, float | list[float], None),
    *(literal_to_enum(Literal["red", "blue"]), typing.Annotated[int, "positive"]),
]


def described(value: Any) -> list[Inferred]:
    """What a check may know of a value: as it is written, and as some value of its type."""
    known: list[Inferred] = [UNKNOWN, Of(type(value)), Of(type(value) | None), Of(Any)]
    if value is None or type(value) in (bool, int, float, str, bytes):
        known.append(Constant(value))
    if type(value) in (list, tuple, set):
        known.append(Items(type(value), tuple(Constant(item) for item in value)))
    if type(value) is list and value:
        known.append(Of(list[type(value[0])]))
    if type(value) is dict:
        known.append(Pairs(tuple(map(Constant, value)), tuple(map(Constant, value.values()))))
    return known


@pytest.mark.parametrize("declared", DECLARED, ids=str)
def test_a_value_that_the_engine_takes_is_never_refused(declared: Any) -> None:
    transformer = transformer_for(declared)
    for value in VALUES:
        try:
            transformer.encode(value, MemoryBlobs())
        except (TypeError, ValueError):
            continue
        refused = [known for known in described(value) if not fits(known, declared)]
        assert not refused, (value, refused)


@pytest.mark.parametrize(
    ("known", "declared"),
    [
        *((Of(int), float), (Of(float), int), (Of(bool), int), (Of(int), bool), (Of(str), int), (Of(int), str)),
        *((Of(int | None), str), (Of(list[int]), list[str]), (Of(list[int]), int), (Of(int), list[int])),
        *((Of(Line), Shape), (Of(int), Shape), (Of(Shape), str), (Constant("a"), int | None), (Constant(1), float)),
        *((Items(list, (Of(int), Constant("a"))), list[int]), (Items(tuple, (Constant(1),)), list[int])),
        *((Pairs((Constant("a"),), (Constant("b"),)), dict[str, int]), (Pairs((), ()), str)),
    ],
)
def test_what_can_never_be_of_the_type_is_refused(known: Inferred, declared: Any) -> None:
    assert not fits(known, declared)


@pytest.mark.parametrize("kind", [Sequence[int], Iterable[int], Any, object, typing.TypeVar("T"), list, int | list])
def test_what_can_be_of_the_type_is_let_pass(kind: Any) -> None:
    assert fits(Of(kind), list[int]) and fits(Of(kind), str | list[int])


def test_a_class_that_was_defined_again_is_no_mistake_of_the_call() -> None:
    again = dataclass(type("Shape", (), {"__module__": Shape.__module__, "__qualname__": Shape.__qualname__}))
    assert fits(Of(again), Shape)
