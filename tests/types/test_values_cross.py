"""Values of every family cross a boundary as in Flyte: the same class, by value, strictly checked."""

# ruff: noqa: UP006, UP007, UP035, UP045 - the old spellings of types are what users write, and what is tested

from __future__ import annotations

import dataclasses
import decimal
import enum
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Dict, Generic, List, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union

import pytest
from pydantic import BaseModel, ConfigDict

from flyte_nb.types import TypeTransformerFailedError
from flyte_nb.types.registry import transformer_for

Crossed = Callable[[Any, Any], Any]
T = TypeVar("T")
NAIVE = datetime(2024, 1, 1, 12)
EAST = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Number(enum.Enum):
    ONE = 1


class Flags(enum.Flag):
    READ = 1


@dataclass
class Inner:
    x: int
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    when: datetime
    color: Color = Color.RED


@dataclass
class Outer:
    inner: Inner
    rates: dict[str, float]
    note: str | None = None
    places: tuple[int, str] = (1, "a")
    seen: set[int] = field(default_factory=set)
    payload: Any = None


@dataclass
class Tree:
    value: int
    children: list[Tree] = field(default_factory=list)


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Doubled:
    x: int
    late: int = dataclasses.field(init=False, default=7)

    def __post_init__(self) -> None:
        self.x *= 2


class Model(BaseModel):
    a: int
    b: list[str | None] = []
    when: datetime | None = None
    color: Color = Color.RED


class Point(NamedTuple):
    x: int
    label: str = "q"


class Movie(TypedDict):
    title: str
    years: list[int]


class Plain:
    def __init__(self, value: int) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Plain({self.value})"


ROUND_TRIPS: list[tuple[Any, Any]] = [
    (int, -(2**63)),
    (float, 1.5),
    (str, "ü"),
    (bool, True),
    (bytes, b"\x00\xff"),
    (None, None),
    (type(None), None),
    (Color, Color.RED),
    (Level, Level.LOW),
    (Optional[int], None),
    (Optional[int], 3),
    (Union[int, str], "s"),
    (int | None, 4),
    (Union[list[int], list[str]], ["a"]),
    (Union[Inner, int], Inner(1)),
    (Optional[Model], Model(a=1)),
    (Optional[Literal["a", "b"]], "a"),
    (List[int], [1, 2]),
    (Dict[str, int], {"b": 1, "a": 2}),
    (dict[int, str], {2: "b", 1: "a"}),
    (dict[Color, int], {Color.RED: 1}),
    (dict[str, Model], {"a": Model(a=1)}),
    (list[dict[str, list[int]]], [{"a": [1, 2]}, {}]),
    (dict, {"a": 1, "b": [1, "x", None], "c": {"d": 1.5}, 2: b"x"}),
    (list, [1, "a", None, (1, 2), {3}]),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (tuple, (1, [2])),
    (set, {1, 2}),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (Point, Point(1, "b")),
    (Movie, {"title": "x", "years": [1]}),
    (Inner, Inner(1, ["a"])),
    (Frozen, Frozen(NAIVE, Color.BLUE)),
    (Frozen, Frozen(EAST)),
    (Outer, Outer(Inner(1), {"a": 1.0}, None, (2, "b"), {3}, {"any": (1,)})),
    (Tree, Tree(1, [Tree(2, [Tree(3)])])),
    (Box[int], Box(3)),
    (Box[Inner], Box(Inner(1))),
    (Model, Model(a=1, b=[None, "x"], when=NAIVE, color=Color.BLUE)),
    (list[Model], [Model(a=1), Model(a=2)]),
    (date, date(2024, 5, 6)),
    (timedelta, timedelta(days=-1, microseconds=3)),
    (datetime, NAIVE.replace(tzinfo=UTC)),
    (time, time(1, 2)),
    (Any, {"a": (1, 2), "b": {1, 2}, 3: frozenset({4})}),
    (Any, None),
    (Any, NAIVE),
    (uuid.UUID, uuid.UUID(int=1)),
    (decimal.Decimal, decimal.Decimal("1.5")),
    (Path, Path("a/b")),
    (Annotated[int, "metadata"], 3),
    (typing.Sequence[int], [1]),
]


@pytest.mark.parametrize(("python_type", "value"), ROUND_TRIPS, ids=repr)
def test_a_value_comes_back_equal_and_of_the_same_class(crossed: Crossed, python_type: Any, value: Any) -> None:
    received = crossed(python_type, value)
    assert received == value
    assert type(received) is type(value)
    assert repr(received) == repr(value)  # the order of dicts, the types of what is inside


class IntSubclass(int): ...


class DictSubclass(dict[str, int]): ...


CONVERTED: list[tuple[Any, Any, Any]] = [
    (int, IntSubclass(3), 3),
    (Color, "RED", Color.RED),
    (datetime, NAIVE, NAIVE.replace(tzinfo=UTC)),
    (datetime, EAST, datetime(2024, 1, 1, 10, tzinfo=UTC)),
    (date, NAIVE, date(2024, 1, 1)),
    (Inner, {"x": 1}, Inner(1)),
    (Model, {"a": "3"}, Model(a=3)),
    (Point, (1, "b"), Point(1, "b")),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[float, int], (1, 2), (1.0, 2)),
    (Movie, {"title": "x", "years": [], "extra": 1}, {"title": "x", "years": []}),
    (dict, {"a": (1, 2)}, {"a": [1, 2]}),
    (dict[int, str], {"1": 2}, {1: "2"}),
    (Outer, Outer(Inner(1), {"a": 1}), Outer(Inner(1), {"a": 1.0})),
]


@pytest.mark.parametrize(("python_type", "value", "expected"), CONVERTED, ids=repr)
def test_what_flyte_converts_is_converted(crossed: Crossed, python_type: Any, value: Any, expected: Any) -> None:
    assert repr(crossed(python_type, value)) == repr(expected)


REFUSED: list[tuple[Any, Any, str]] = [
    (int, True, "but got 'True' of type <class 'bool'>"),
    (int, 1.0, "Expected value of type <class 'int'>"),
    (float, 1, "Expected value of type <class 'float'> but got '1'"),
    (bool, 1, "Expected value of type <class 'bool'>"),
    (int, None, "but got 'None' of type <class 'NoneType'>"),
    (Color, "red", r"Value red is not valid value, expected - \['RED', 'BLUE'\]"),
    (Color, "zz", "is not in Enum <enum 'Color'>"),
    (Color, Number.ONE, "Value Number.ONE is not in Enum"),
    (Level, 1, "Expected an enum"),
    (Color, [1], r"Value \[1\] is not in Enum"),
    (Optional[int], "x", r"Value 'x' is not of type .*int"),
    (Union[int, str], True, "is not of type"),
    (Optional[Literal["a"]], "b", "is not one of Literal"),
    (list[int], (1, 2), "Expected a list"),
    (list[int], [1, "x"], "but got 'x' of type <class 'str'>"),
    (dict[str, int], DictSubclass(a=1), "Expected a dict"),
    (dict, {"a": Plain(1)}, "can not serialize 'Plain' object"),
    (dict, [1], "Expected value of type <class 'dict'>"),
    (tuple[int, str], (1,), "Tuple length 1 doesn't match expected length 2"),
    (Movie, {"title": "x"}, "Missing required key 'years'"),
    (Movie, 3, "Expected a dict but got <class 'int'>"),
    (Inner, {"y": 1}, r"missing the following keys from the dataclass fields: \['x'\]"),
    (Inner, {"x": 1, "zz": 3}, r"extra keys that are not in dataclass fields: \['zz'\]"),
    (Inner, Frozen(NAIVE), "Field 'when' is not present in the expected dataclass fields Inner"),
    (Inner, 1, "is not of type @dataclass"),
    (Model, {}, "Failed to coerce dict into"),
    (Model, 1, "Expected an instance of Model or a dict"),
    (datetime, date(2024, 1, 1), "but got '2024-01-01' of type <class 'datetime.date'>"),
]


@pytest.mark.parametrize(("python_type", "value", "reason"), REFUSED, ids=repr)
def test_a_value_of_another_type_is_refused_with_the_reason(
    crossed: Crossed, python_type: Any, value: Any, reason: str
) -> None:
    with pytest.raises(TypeError, match=reason):
        crossed(python_type, value)


def test_a_field_that_cannot_be_converted_is_named(crossed: Crossed) -> None:
    with pytest.raises(TypeTransformerFailedError, match=r'(?s)converting input \'x\'.*Field "x" of Inner'):
        crossed(Inner, Inner("q"))  # type: ignore[arg-type]


def test_a_map_with_keys_that_are_no_text_is_flytes_value_error(crossed: Crossed) -> None:
    with pytest.raises(ValueError, match="Flyte MapType expects all keys to be strings"):
        crossed(dict[str, int], {1: 1})


@pytest.mark.parametrize("enum_type", [Number, Flags])
def test_an_enum_whose_members_cannot_travel_is_refused_when_the_task_is_compiled(enum_type: type) -> None:
    with pytest.raises(TypeTransformerFailedError):
        transformer_for(enum_type)


def test_a_literal_of_texts_reaches_the_task_as_text(signature_of: Any, blobs: Any) -> None:
    def choose(x: Literal["a", "b"]) -> str: ...

    signature = signature_of(choose)
    assert signature.encode_inputs(("a",), {}, blobs)[1] == {"x": "a"}
    assert signature.input_descriptions == [("x", "Literal['a', 'b']")]
    for wrong, reason in [
        ("zzz", "Value zzz is not in Enum"),
        ("A", r"expected - \['a', 'b'\]"),
        (1, "is not in Enum"),
    ]:
        with pytest.raises(TypeError, match=reason):
            signature.encode_inputs((wrong,), {}, blobs)


def test_fields_are_as_they_were_though_post_init_changes_them(crossed: Crossed) -> None:
    value = Doubled(2)
    value.late = 99
    received = crossed(Doubled, value)
    assert (received.x, received.late) == (4, 99)


def test_instances_of_a_class_that_a_cell_defined_again_are_still_taken(crossed: Crossed) -> None:
    @dataclass
    class Again:
        x: int
        tags: list[str]

    assert crossed(Inner, Again(1, ["a"])) == Inner(1, ["a"])
    again = enum.Enum("Color", {"RED": "red"}, module=__name__, qualname="Color")
    assert crossed(Color, again["RED"]) is Color.RED


def test_a_subclass_crosses_as_the_declared_class(crossed: Crossed) -> None:
    @dataclass
    class More(Inner):
        y: int = 5

    assert type(crossed(Inner, More(1))) is Inner


def test_members_of_a_union_are_found_again_whatever_their_order(blobs: Any) -> None:
    tree = transformer_for(Union[Inner, list[int]]).encode(Inner(1), blobs)
    assert transformer_for(Union[list[int], Inner]).decode(tree, blobs) == Inner(1)


def test_an_instance_of_a_plain_class_crosses_by_value(crossed: Crossed) -> None:
    value = Plain(1)
    received = crossed(Plain, value)
    assert isinstance(received, Plain) and received.value == 1 and received is not value


def test_a_model_that_json_cannot_say_crosses_by_pickle(crossed: Crossed) -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        plain: Plain
        raw: bytes = b"\xff"

    assert crossed(Odd, Odd(plain=Plain(3))).plain.value == 3


def test_a_container_that_holds_itself_crosses(crossed: Crossed) -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    received = crossed(Any, loop)
    assert received[1][1] is received[1]
