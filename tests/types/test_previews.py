"""Previews: of values and of encoded trees, bounded, and never an exception."""

from __future__ import annotations

import base64
import enum
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.msgpack import Ext
from PIL import Image
from pydantic import BaseModel

from flyte_nb.types.anything import encode_anything
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.previews import label_of_payload, preview_of_tree, preview_of_value, short_text
from flyte_nb.types.signature import Signature
from flyte_nb.types.trees import pack, unpack


@dataclass
class Settings:
    rate: float
    name: str


class Model(BaseModel):
    a: int


class Color(enum.Enum):
    RED = "red"


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1, "scalar", "1"),
        (None, "scalar", "None"),
        ("a\nb", "text", "a b"),
        (b"ab", "scalar", "b'ab'"),
        (Color.RED, "scalar", "Color.RED"),
        (timedelta(hours=2), "scalar", "2:00:00"),
        ([1, "a"], "tree", "[1, 'a']"),
        ({"a": (1,)}, "tree", "{'a': (1,)}"),
        ({2, 1}, "tree", "{1, 2}"),
        (Settings(0.1, "x"), "model", "Settings(rate=0.1, name='x')"),
        (Model(a=1), "model", "Model(a=1)"),
        (object(), "opaque", "<object object>"),
        (np.float64(3), "scalar", "3.0"),
        (np.arange(3), "array", "ndarray 3, int64: 0, 1, 2"),
        (pd.DataFrame({"a": [1, 2]}), "frame", "DataFrame: 2 rows x 1 columns"),
        (Hostile(), "opaque", "<Hostile>"),
    ],
    ids=repr if not Hostile else lambda value: type(value).__name__,
)
def test_a_value_has_a_kind_and_one_line_of_text(value: Any, kind: str, text: str) -> None:
    preview = preview_of_value(value)
    assert (preview["kind"], preview["text"]) == (kind, text)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": range(9), "b": "x"}),
        pl.DataFrame({"a": range(9), "b": ["x"] * 9}),
        pa.table({"a": list(range(9)), "b": ["x"] * 9}),
    ],
    ids=lambda frame: type(frame).__module__,
)
def test_a_frame_shows_its_shape_types_and_first_rows(frame: Any) -> None:
    preview = preview_of_value(frame)
    assert preview["shape"] == [9, 2]
    assert [name for name, _ in preview["columns"]] == ["a", "b"]
    assert preview["rows"] == [[str(row), "x"] for row in range(5)]


def pixels(preview: dict[str, Any]) -> tuple[int, int]:
    png = base64.b64decode(preview["png"])
    assert len(png) <= 40_000
    return Image.open(io.BytesIO(png)).size


def test_a_figure_and_an_image_show_a_thumbnail_within_bounds() -> None:
    figure = matplotlib.figure.Figure()
    figure.add_subplot().plot([1, 3, 2])
    assert pixels(preview_of_value(figure))[0] == 360
    noise = np.random.default_rng(0).integers(0, 255, (800, 900, 3), dtype="uint8")
    preview = preview_of_value(Image.fromarray(noise))
    assert pixels(preview)[0] <= 360 and preview["shape"] == [900, 800]


def test_trees_are_cut_in_breadth_depth_and_text() -> None:
    deep: list[Any] = []
    for _ in range(20):
        deep = [deep, *range(100)]
    preview, levels = preview_of_value(deep), 0
    while preview.get("children"):
        assert len(preview["children"]) <= 50 and preview["length"] == 101
        preview, levels = preview["children"][0][1], levels + 1
    assert levels == 4
    assert len(preview_of_value("x" * 10_000)["full"]) == 4_000


def test_text_is_cut_without_looking_at_all_of_a_value() -> None:
    class Counting:
        shown = 0

        def __repr__(self) -> str:
            Counting.shown += 1
            return "Counting()"

    assert len(short_text([Counting()] * 100_000)) <= 200
    assert Counting.shown < 50


def test_an_address_in_memory_is_no_part_of_a_preview() -> None:
    class Plain: ...

    assert preview_of_value(Plain())["text"] == preview_of_value(Plain())["text"]


def test_an_encoded_value_previews_as_the_value_does(signature_of: Callable[..., Signature]) -> None:
    def task(frame: pd.DataFrame, table: dict[int, set[str]], rest: Any, choice: int | list[int]) -> int: ...

    blobs = MemoryBlobs()
    frame = pd.DataFrame({"a": range(20_000)})
    rest = {"t": (1, (2,)), 5: np.arange(2)}
    payload, _ = signature_of(task).encode_inputs((frame, {1: {"b", "a"}}, rest, [1]), {}, blobs)
    previews = [preview_of_tree(tree) for tree in unpack(payload)]
    assert [preview["kind"] for preview in previews] == ["frame", "tree", "tree", "tree"]
    assert previews[0] == preview_of_value(frame)
    assert previews[1]["text"] == "{'1': {'a', 'b'}}"
    assert previews[3]["text"] == "[1]"


def test_a_label_shows_the_inputs_in_at_most_60_characters() -> None:
    assert label_of_payload(("x", "kind"), pack([0, "rbf"])) == 'x=0, kind="rbf"'
    assert label_of_payload(("x",), pack([[1, {"a": None}]])) == "x=[1, {'a': None}]"
    assert label_of_payload((), pack([])) == ""
    assert len(label_of_payload(("x", "y"), pack(["a" * 500, "b" * 500]))) == 60


@given(st.binary(max_size=40), st.integers(0, 127))
@example(b"\xa2\x00\x80", 0)
def test_odd_data_never_raises(data: bytes, code: int) -> None:
    assert preview_of_tree(Ext(code, data))["text"]
    label_of_payload(("x",), data)


@given(st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.tuples(inner, inner)))
def test_every_preview_is_one_bounded_line(value: Any) -> None:
    for preview in (preview_of_value(value), preview_of_tree(encode_anything(value, MemoryBlobs()))):
        assert len(preview["text"]) <= 200 and "\n" not in preview["text"]
