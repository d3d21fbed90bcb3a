"""`flyte.io.DataFrame`: in memory by value, stored by reference, opened as any library's frame."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

from flyte_nb.io import DataFrame, HashFunction
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.registry import transformer_for

Task = AbstractContextManager[None]

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


def cross(python_type: Any, value: Any, blobs: MemoryBlobs) -> Any:
    transformer = transformer_for(python_type)
    return transformer.decode(transformer.encode(value, blobs), blobs)


@pytest.mark.parametrize("made", [FRAME, pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pa.Table.from_pandas(FRAME)])
@pytest.mark.parametrize("wanted", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table])
async def test_a_frame_is_opened_as_what_is_wanted(made: Any, wanted: type) -> None:
    opened = await DataFrame.from_df(made).open(wanted).all()
    assert isinstance(opened, wanted)
    if isinstance(opened, pl.LazyFrame):
        opened = opened.collect()
    assert opened.shape == (2, 2)


def test_what_is_wanted_has_to_be_said() -> None:
    with pytest.raises(ValueError, match=r"No dataframe type set. Use open\(\)"):
        DataFrame.from_df(FRAME).all_sync()
    with pytest.raises(ValueError, match="Cannot open a frame as <class 'int'>"):
        DataFrame.from_df(FRAME).open(int).all_sync()


def test_a_frame_in_memory_crosses_by_value(blobs: MemoryBlobs) -> None:
    received = cross(DataFrame, DataFrame.from_df(FRAME), blobs)
    frame = received.open(pd.DataFrame).all_sync()
    frame.loc[0, "a"] = 9
    assert FRAME.loc[0, "a"] == 1 and received.uri is None
    tree = transformer_for(DataFrame).encode(DataFrame.from_df(FRAME), blobs)
    assert preview_of_tree(tree)["shape"] == [2, 2]


async def test_a_frame_with_an_address_is_stored_there_when_it_crosses(blobs: MemoryBlobs, tmp_path: Path) -> None:
    address = tmp_path / "stored" / "frame.parquet"
    received = cross(DataFrame, DataFrame.from_df(FRAME, uri=str(address)), blobs)
    assert (received.uri, received.format, address.exists()) == (str(address), "parquet", True)
    assert received.open(pl.DataFrame).all_sync().shape == (2, 2)
    existing = DataFrame.from_existing_remote(str(tmp_path / "stored"), format="parquet")
    assert existing.open(pd.DataFrame).all_sync().equals(FRAME)
    assert [part.num_rows async for part in await existing.open(pa.Table).iter()] == [2]


def test_csv_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,x\n")
    stored = DataFrame.from_existing_remote(str(tmp_path / "t.csv"), format="csv")
    for wanted in (pd.DataFrame, pl.DataFrame, pa.Table):
        assert stored.open(wanted).all_sync().shape == (1, 2)


def test_a_raw_frame_is_refused_where_a_dataframe_is_declared(blobs: MemoryBlobs) -> None:
    with pytest.raises(TypeError, match="Did you forget to wrap your dataframe in a DataFrame instance"):
        cross(DataFrame, FRAME, blobs)


@pytest.mark.parametrize("declared", [pd.DataFrame, pl.DataFrame, pa.Table])
def test_a_dataframe_is_opened_where_a_librarys_frame_is_declared(declared: type, blobs: MemoryBlobs) -> None:
    assert isinstance(cross(declared, DataFrame.from_df(FRAME), blobs), declared)


@pytest.mark.parametrize("frame", [FRAME, pl.DataFrame({"a": [1], "b": ["x"]}), pa.Table.from_pandas(FRAME)])
def test_declared_columns_are_selected(frame: Any, blobs: MemoryBlobs) -> None:
    declared = Annotated[type(frame), OrderedDict(a=int)]
    received = cross(declared, frame, blobs)
    assert list(getattr(received, "column_names", received.columns)) == ["a"]
    with pytest.raises(TypeError, match="The frame has no column 'z'"):
        cross(Annotated[type(frame), OrderedDict(z=int)], frame, blobs)


async def test_a_hash_is_given_or_computed() -> None:
    computed = await DataFrame.from_local(FRAME, hash_method=HashFunction.from_fn(lambda frame: f"{len(frame)} rows"))
    assert computed.hash == "2 rows"
    assert DataFrame.from_local_sync(FRAME, hash_method="known").hash == "known"


class Owner(BaseModel):
    data: DataFrame


def test_a_dataframe_in_a_model_is_stored_in_the_runs_data(task: Task, blobs: MemoryBlobs, tmp_path: Path) -> None:
    with task:
        received = cross(Owner, Owner(data=DataFrame.from_df(FRAME)), blobs)
    assert Path(received.data.uri).is_relative_to(tmp_path / "raw")
    assert received.data.open(pd.DataFrame).all_sync().equals(FRAME)
