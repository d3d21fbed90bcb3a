"""Types and values as Flyte's literals: what the official SDK makes of them is the oracle."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flyteidl2.core import literals_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from flyte_nb.io.dir import Dir
from flyte_nb.io.file import File
from flyte_nb.server.wire.values.literals import LiteralError, literal_of, tree_of, value_of
from flyte_nb.server.wire.values.types import literal_type, python_type
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.registry import transformer_for
from tests.server.wire import Client, official_client
from tests.server.wire_tasks import Color, Inner, Order, Pair

TYPES = [
    "None",
    "bool",
    "int",
    "float",
    "str",
    "bytes",
    "datetime",
    "date",
    "timedelta",
    "list[int]",
    "list[list[str]]",
    "list",
    "dict[str, float]",
    "dict[int, str]",
    "dict",
    "set[int]",
    "tuple",
    "int | None",
    "int | str",
    "list[int] | None",
    "Any",
    "Color",
    "list[Color]",
    "File",
    "Dir",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with official_client("http://127.0.0.1:9", tmp_path_factory.mktemp("client")) as client:
        client.run(
            "import enum\n"
            "from typing import Any\n"
            "from datetime import date, datetime, timedelta\n"
            "from flyte.io import Dir, File\n"
            "from flyte.types import TypeEngine\n"
            "from google.protobuf.json_format import MessageToDict\n"
            "class Color(enum.Enum):\n    RED = 'r'\n    BLUE = 'b'\n"
            "def said(kind):\n"
            "    message = TypeEngine.to_literal_type(kind)\n"
            "    return {k: v for k, v in MessageToDict(message).items() if k != 'metadata'}\n"
        )
        yield client


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_what_the_official_sdk_makes_of_it(client: Client, name: str) -> None:
    ours = MessageToDict(literal_type(eval(name)))
    ours.pop("metadata", None)  # how a pickled class is written
    assert ours == client(f"said({name})")


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (int, 5),
        (bool, True),
        (str, "é"),
        (float, 0.5),
        (type(None), None),
        (datetime, datetime(2024, 1, 1, tzinfo=UTC)),
        (timedelta, timedelta(seconds=3)),
        (list[int], [1, 2]),
        (dict[str, list[float]], {"a": [1.0]}),
        (dict, {"a": [1]}),
        (int | None, None),
        (int | None, 4),
        (int | str, "x"),
        (list[int | None], [1, None]),
    ],
)
def test_a_value_comes_back_as_it_was(declared: Any, value: Any) -> None:
    blobs = MemoryBlobs()
    tree = transformer_for(declared).encode(value, blobs)
    literal = literal_of(tree, declared, blobs)
    assert value_of(literals_pb2.Literal.FromString(literal.SerializeToString())) == value
    assert tree_of(literal, python_type(literal_type(declared)), blobs) == tree


def test_values_with_fields_are_dicts_of_them() -> None:
    blobs = MemoryBlobs()
    for declared, value, plain in (
        (
            Order,
            Order(1, inner=Inner(2)),
            {"x": 1, "y": 1.0, "note": None, "items": [], "inner": {"a": 2}, "counts": {}},
        ),
        (Pair, Pair(1, "b"), {"left": 1, "right": "b"}),
        (tuple[int, str], (1, "b"), {"item_0": 1, "item_1": "b"}),
    ):
        tree = transformer_for(declared).encode(value, blobs)
        assert value_of(literal_of(tree, declared, blobs)) == plain
    assert value_of(literal_of("BLUE", Color, blobs)) == "BLUE"


@pytest.mark.parametrize(
    "value", [np.arange(100_000.0), np.arange(5), pd.DataFrame({"a": range(50_000)}), 1 + 2j, b"x"]
)
def test_what_flyte_pickles_arrives_as_one_pickle(value: Any) -> None:
    blobs = MemoryBlobs()
    tree = transformer_for(type(value)).encode(value, blobs)
    found = pickle.loads(literal_of(tree, type(value), blobs).scalar.binary.value)
    assert type(found) is type(value)
    assert np.array_equal(found, value)


def test_a_pickle_from_a_client_is_kept_and_not_opened() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("it was opened",)

    literal = literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=literals_pb2.Binary(value=pickle.dumps(Trap()))))
    blobs = MemoryBlobs()
    tree = tree_of(literal, Any, blobs)
    assert isinstance(tree, Ext)
    assert literal_of(tree, Any, blobs) == literal


def test_files_are_their_addresses() -> None:
    blobs = MemoryBlobs()
    for kind, path in ((File, "/tmp/x.csv"), (Dir, "/tmp/folder")):
        tree = transformer_for(kind).encode(kind(path=path), blobs)
        literal = literal_of(tree, kind, blobs)
        assert literal.scalar.blob.uri == path
        assert value_of(literal).path == path


@given(st.binary(max_size=60))
def test_whatever_bytes_say_is_a_value_or_one_clear_error(content: bytes) -> None:
    try:
        literal = literals_pb2.Literal.FromString(content)
    except Exception:  # the library's own, for bytes that are no message: only what is one can be tested
        return
    try:
        tree_of(literal, Any, MemoryBlobs())
    except LiteralError as error:
        assert str(error)


def test_dates_have_flytes_type_of_moments() -> None:
    literal = literal_of("2024-01-02", date, MemoryBlobs())
    assert value_of(literal) == datetime(2024, 1, 2, tzinfo=UTC)
