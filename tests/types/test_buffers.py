"""Buffers stay beside the pickle, whole and uncopied, and carry no more than the value shows."""

from __future__ import annotations

import datetime
import decimal
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flyte_nb.types.base import BLOB, Blob
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.pickles import pickled, unpickled
from flyte_nb.types.trees import leaf_content

ROWS = 20_000


def parts_of(value: Any, blobs: MemoryBlobs) -> list[bytes]:
    leaf = pickled(value, blobs)
    assert leaf.code == BLOB
    stored: Blob = leaf_content(leaf)
    assert stored.size_bytes == sum(map(len, blobs.stored[stored.digest]))
    return blobs.stored[stored.digest]


TABLE = np.arange(6.0 * ROWS).reshape(ROWS, 6)
TIMES = np.arange(ROWS).astype("datetime64[s]")
ARRAYS = {
    "fortran": np.asfortranarray(TABLE),
    "transposed": TABLE.T,
    "every second": TABLE[::2, ::-1],
    "times": TIMES,
    "durations, every second": (TIMES - TIMES[0])[::2],
    "times by column": np.asfortranarray(TIMES.reshape(-1, 4)),
    "structured": np.zeros(ROWS, dtype=[("a", "i4"), ("b", "f8")]),
    "complex": TABLE.astype(complex),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_the_memory_of_an_array_is_one_buffer_beside_a_small_pickle(array: np.ndarray, blobs: MemoryBlobs) -> None:
    head, buffer = parts_of(array, blobs)
    assert len(head) < 300 and len(buffer) == array.nbytes
    received = unpickled(pickled(array, blobs), blobs)
    assert received.dtype == array.dtype and received.flags.writeable and np.array_equal(received, array)


def test_an_empty_array_and_one_of_objects_cross(blobs: MemoryBlobs) -> None:
    for array in (np.zeros((0, 3)), np.array([{"a": 1}, None] * ROWS, dtype=object)[::2]):
        received = unpickled(pickled(array, blobs), blobs)
        assert received.shape == array.shape and received.tolist() == array.tolist()


@given(arrays.arrays(arrays.array_dtypes() | arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0)), st.data())
def test_any_array_and_any_view_of_it_crosses_as_it_is(array: np.ndarray, data: st.DataObject) -> None:
    view = array[data.draw(arrays.basic_indices(array.shape))] if array.ndim else array
    blobs = MemoryBlobs()
    received = unpickled(pickled(view, blobs), blobs)
    assert received.dtype == view.dtype and received.shape == view.shape and received.tobytes() == view.tobytes()


def test_a_slice_of_an_arrow_table_takes_only_its_own_memory_along(blobs: MemoryBlobs) -> None:
    table = pa.table({"a": range(20 * ROWS), "b": [f"name {k}" for k in range(20 * ROWS)]})
    part = table.slice(ROWS, ROWS)
    assert sum(map(len, parts_of(part, blobs))) < 2 * part.nbytes
    assert unpickled(pickled(part, blobs), blobs).equals(part)
    assert len(pickle.dumps(part)) > 10 * part.nbytes  # which is why


def frames() -> dict[str, Any]:
    numbers = np.random.default_rng(0).random(ROWS)
    texts = [f"name {k % 1000}" for k in range(ROWS)]
    mixed = {"a": numbers, "b": np.arange(ROWS), "s": texts, "t": pd.date_range("2020", periods=ROWS, freq="s")}
    missing = {"whole": pd.array([1, None] * (ROWS // 2)), "kind": pd.Categorical(texts)}
    return {
        "pandas mixed": pd.DataFrame({**mixed, **missing}),
        "pandas indexed": pd.DataFrame({"a": numbers}, index=pd.Index(texts, name="key")),
        "pandas arrow": pd.DataFrame(mixed).convert_dtypes(dtype_backend="pyarrow"),
        "pandas series": pd.Series(texts, name="s"),
        "polars": pl.DataFrame({"a": numbers, "s": texts}),
        "polars series": pl.Series("named", numbers),
        "polars nameless": pl.Series(numbers),
        "pyarrow": pa.table({"a": numbers, "s": texts}),
    }


@pytest.mark.parametrize("name", frames())
def test_a_frame_that_was_received_has_the_digest_of_its_original(name: str, blobs: MemoryBlobs) -> None:
    frame = frames()[name]
    head, *_ = parts_of(frame, blobs)
    assert len(head) < 3_000
    leaf = pickled(frame, blobs)
    received = unpickled(leaf, blobs)
    assert type(received) is type(frame) and received.equals(frame)
    assert pickled(received, blobs) == leaf and len(blobs.stored) == 1


def test_several_chunks_of_text_are_joined(blobs: MemoryBlobs) -> None:
    texts = pd.Series(["text"] * ROWS)
    both = pd.concat([texts, texts])
    assert unpickled(pickled(both, blobs), blobs).equals(both)


TYPES = {
    "a": range(ROWS),
    "small": pl.Series([1, None] * (ROWS // 2), dtype=pl.UInt8),
    "wide": pl.Series([10**30] * ROWS, dtype=pl.Int128),
    "e": pl.Series(["x", "y"] * (ROWS // 2), dtype=pl.Enum(["x", "y"])),
    "c": pl.Series(["x", "y"] * (ROWS // 2), dtype=pl.Categorical),
    "d": [decimal.Decimal("1.50")] * ROWS,
    "l": [[1], None] * (ROWS // 2),
    "st": [{"k": 1, "v": "x"}] * ROWS,
    "t": [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)] * ROWS,
    "day": [datetime.date(2020, 1, 1)] * ROWS,
    "time": [datetime.time(1)] * ROWS,
    "took": [datetime.timedelta(1)] * ROWS,
    "b": [True, None] * (ROWS // 2),
    "raw": [b"x", None] * (ROWS // 2),
    "none": [None] * ROWS,
    "pair": pl.Series([[1, 2]] * ROWS, dtype=pl.Array(pl.Int64, 2)),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_polars_column_of_any_type_keeps_it(name: str, blobs: MemoryBlobs) -> None:
    frame = pl.DataFrame({name: TYPES[name]})
    received = unpickled(pickled(frame, blobs), blobs)
    assert received.schema == frame.schema and received.equals(frame)


def test_a_few_rows_of_a_polars_frame_leave_the_rest_behind(blobs: MemoryBlobs) -> None:
    frame = pl.DataFrame({"s": [f"a text of some length {k}" for k in range(10 * ROWS)]})
    few = frame.slice(ROWS, ROWS // 2)
    assert sum(map(len, parts_of(few, blobs))) < frame.estimated_size() / 5
    assert unpickled(pickled(few, blobs), blobs).equals(few)
