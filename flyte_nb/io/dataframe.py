"""`DataFrame`: a frame that tasks hand to one another, and open as whatever library they use.

A frame in memory crosses a task boundary by value, as one mapped buffer in the value store; one that is stored
somewhere (`from_existing_remote`, or `from_df` with a `uri`) crosses by reference.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_serializer

from flyte_nb.io import frames, locations
from flyte_nb.io.hashing import HashMethod, as_hash
from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.pickles import pickled, unpickled
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.registry import register_family
from flyte_nb.types.trees import decode_reference, reference

__all__ = ["PARQUET", "DataFrame", "DataFrameTransformer"]

PARQUET = "parquet"

F = TypeVar("F")


class DataFrame(BaseModel):
    """A frame: in memory until it is stored, or by reference.

    Args:
        uri: where it is stored, a parquet file or a folder of them; None while it is only in memory.
        format: `parquet` or `csv`.
        hash: what the frame counts as in cache keys, instead of its content or address.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        json_schema_extra={
            "description": "A tabular data reference backed by a remote file.",
            "x-flyte-type": "dataframe",
        },
    )

    uri: str | None = None
    format: str | None = ""
    hash: str | None = None

    _frame: Any = PrivateAttr(default=None)
    _opened_as: Any = PrivateAttr(default=None)

    @classmethod
    def from_df(cls, val: Any | None = None, uri: str | None = None) -> DataFrame:
        """A frame in memory.

        Args:
            val: a frame of pandas, polars or pyarrow.
            uri: where it is to be stored once it crosses a task boundary; when None it crosses by value.
        """
        made = cls(uri=uri)
        made._frame = val
        return made

    @classmethod
    def wrap_df(cls, val: Any | None = None, uri: str | None = None) -> DataFrame:
        """The older name of `from_df`."""
        return cls.from_df(val, uri)

    @classmethod
    def from_local_sync(
        cls,
        df: Any,
        columns: Any = None,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
    ) -> DataFrame:
        """A frame in memory, with a hash of the user's.

        Args:
            df: a frame of pandas, polars or pyarrow.
            columns: names and types, recorded only.
            remote_destination: as `uri` of `from_df`.
            hash_method: its hash, or how to compute it from the frame.
        """
        known, method = as_hash(hash_method)
        if method is not None:
            method.update(df)
            known = method.result()
        made = cls.from_df(df, remote_destination)
        made.hash = known
        return made

    @classmethod
    async def from_local(
        cls,
        df: Any,
        columns: Any = None,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
    ) -> DataFrame:
        """`from_local_sync`, on a thread."""
        return await asyncio.to_thread(cls.from_local_sync, df, columns, remote_destination, hash_method)

    @classmethod
    def from_existing_remote(cls, remote_path: str, format: str | None = None, **kwargs: Any) -> DataFrame:
        """A frame that is stored already.

        Args:
            remote_path: a file, or a folder of parquet files.
            format: `parquet` or `csv`.
            **kwargs: other fields.
        """
        return cls(uri=remote_path, format=format or "", **kwargs)

    @property
    def val(self) -> Any:
        """The frame in memory, None for one that is only referred to."""
        return self._frame

    def open(self, dataframe_type: type[Any]) -> Self:
        """Says as what the frame is wanted: `await df.open(pd.DataFrame).all()`."""
        self._opened_as = dataframe_type
        return self

    def all_sync(self) -> Any:
        """The whole frame, as the type given to `open`.

        Raises:
            ValueError: `open` was not called, or its type is not a frame's.
        """
        frame_type = self._wanted_type()
        if self._frame is not None:
            return frames.convert(self._frame, frame_type)
        return frames.read(self._stored_at(), self.format or PARQUET, frame_type)

    async def all(self) -> Any:
        """`all_sync`, on a thread."""
        return await asyncio.to_thread(self.all_sync)

    async def iter(self) -> AsyncIterator[Any]:
        """The frame in parts, one for each of its files: `async for part in await df.open(pd.DataFrame).iter()`."""
        frame_type = self._wanted_type()
        if self._frame is not None:
            return _iterate([frames.convert(self._frame, frame_type)])
        return _iterate(frames.parts(self._stored_at(), self.format or PARQUET, frame_type))

    def __flyte_frame__(self, frame_type: type) -> Any:
        """The frame for a task that declares a library's own type."""
        return self.open(frame_type).all_sync()

    def __flyte_preview__(self) -> Preview:
        if self._frame is not None:
            return preview_of_value(self._frame)
        path = self.uri or ""
        return {"kind": "file", "text": path[-200:], "path": path, "size_bytes": locations.size_bytes(path)}

    @model_serializer
    def _reference(self) -> dict[str, str | None]:
        """As a field of a model: stored first, then by reference."""
        if self._frame is not None:
            self.store()
        return {"uri": self.uri, "format": self.format, "hash": self.hash}

    def store(self) -> None:
        """Writes the frame to its `uri`, or to the raw data of the running task, unless that was done."""
        if self.uri is not None and self.format == PARQUET:
            return
        self.uri = self.uri or locations.new_path("frame.parquet")
        frames.write(self._frame, self.uri)
        self.format = PARQUET

    def _wanted_type(self) -> type:
        if self._opened_as is None:
            raise ValueError("No dataframe type set. Use open() to set the local dataframe type you want to use.")
        wanted: type = self._opened_as
        return wanted

    def _stored_at(self) -> str:
        if self.uri is None:
            raise ValueError("This DataFrame holds nothing: make it with DataFrame.from_df(frame)")
        return self.uri


class DataFrameTransformer:
    """A frame in memory crosses by value, a stored one by reference."""

    identity = False
    type_name = "DataFrame"

    def __init__(self, python_type: type[DataFrame]) -> None:
        self.python_type = python_type

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, DataFrame):
            raise TypeTransformerFailedError(
                f"Expected a DataFrame instance, but got {type(value)} instead. "
                "Did you forget to wrap your dataframe in a DataFrame instance?"
            )
        if value.val is not None and value.uri is not None:
            value.store()
        in_memory = value.val is not None and value.uri is None
        uri = None if value.uri is None else locations.absolute(value.uri)
        fields = {"uri": uri, "format": value.format, "frame": pickled(value.val, blobs) if in_memory else None}
        return reference(fields, value.__flyte_preview__(), value.hash)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        fields, known_hash = decode_reference(tree)
        frame = fields.pop("frame")
        made = self.python_type(**fields, hash=known_hash)
        made._frame = None if frame is None else unpickled(frame, blobs)
        return made

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


async def _iterate(parts: Any) -> AsyncIterator[Any]:
    remaining = iter(parts)
    nothing = object()
    while (part := await asyncio.to_thread(next, remaining, nothing)) is not nothing:
        yield part


def _dataframe_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    is_frame = isinstance(python_type, type) and issubclass(python_type, DataFrame)
    return DataFrameTransformer(python_type) if is_frame else None


register_family(_dataframe_family)
