"""Flyte's names for the type system: a user's own types, and clear refusals of what is protobuf."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte_nb import types
from flyte_nb.types import registry
from flyte_nb.types.base import Blobs
from flyte_nb.types.names import describe_type


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y


class PointTransformer(types.TypeTransformer[Point]):
    def encode(self, value: Point, blobs: Blobs) -> Any:
        return [value.x, value.y]

    def decode(self, tree: Any, blobs: Blobs) -> Point:
        return Point(*tree)


class LiteralTransformer(types.TypeTransformer[Point]):
    async def to_literal(self, python_val: Any, python_type: Any, expected: Any) -> Any: ...


@pytest.fixture
def clean_registry() -> Iterator[None]:
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)
    registry._cached.cache_clear()


@pytest.mark.usefixtures("clean_registry")
def test_a_registered_transformer_serves_its_type_and_subclasses(crossed: Callable[[Any, Any], Any]) -> None:
    class Further(Point): ...

    types.TypeEngine.register(PointTransformer("point", Point))
    received = crossed(list[Further], [Further(1, 2)])
    assert (received[0].x, received[0].y) == (1, 2)
    assert types.TypeEngine.get_transformer(Point).name == "point"
    with pytest.raises(TypeError, match=r"Expected value of type .*Point"):
        crossed(Point, 3)
    with pytest.raises(ValueError, match="Transformer already registered for type"):
        types.TypeEngine.register(PointTransformer("point", Point))


def test_a_transformer_of_protobuf_literals_is_refused_with_the_way_to_go() -> None:
    with pytest.raises(NotImplementedError, match="does not override encode and decode"):
        types.TypeEngine.register(LiteralTransformer("point", Point))


def test_what_is_protobuf_refuses_clearly() -> None:
    for refused in (types.TypeEngine.to_literal_type, types.literal_string_repr, types.guess_interface):
        with pytest.raises(NotImplementedError, match="protobuf"):
            refused(None)


@pytest.mark.parametrize(
    ("python_type", "text"),
    [
        (int, "int"),
        (None, "None"),
        (list[Point], "list[Point]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (int | None, "int | None"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Any, "Any"),
        (Callable[[int], str], "Callable[[int], str]"),
    ],
)
def test_types_have_short_names(python_type: Any, text: str) -> None:
    assert describe_type(python_type) == text


def test_types_load_nothing_heavy() -> None:
    check = (
        "import flyte_nb.types.signature, sys\n"
        "print(sorted({'pydantic', 'numpy', 'pandas', 'IPython', 'duckdb'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", check], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
