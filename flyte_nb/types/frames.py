"""Frames of pandas, polars and pyarrow.

They cross by pickle 5, whose out-of-band buffers are the very memory of the columns: stored once, mapped copy-on-write
by every reader (numpy arrays do the same without a transformer of their own). A type is recognised by its module, so
none of these libraries is ever imported here.
"""

from __future__ import annotations

from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.pickles import pickled, unpickled
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.scalars import expected_value_error

__all__ = ["ColumnsTransformer", "FrameTransformer", "frame_family"]

FRAMES = {
    "pandas": {"DataFrame", "Series"},
    "polars": {"DataFrame", "LazyFrame", "Series"},
    "pyarrow": {"Table", "RecordBatch"},
}


class FrameTransformer:
    """A frame: checked against its declared class."""

    identity = False

    def __init__(self, python_type: type) -> None:
        self.python_type = python_type
        self.type_name = python_type.__name__

    def encode(self, value: Any, blobs: Blobs) -> Any:
        opened = getattr(type(value), "__flyte_frame__", None)  # a flyte.io.DataFrame
        if opened is not None:
            value = opened(value, self.python_type)
        if not isinstance(value, self.python_type):
            raise expected_value_error(self.python_type, value)
        return pickled(value, blobs)

    def decode(self, tree: Ext, blobs: Blobs) -> Any:
        return unpickled(tree, blobs)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class ColumnsTransformer(FrameTransformer):
    """Some columns of a frame: `Annotated[pd.DataFrame, OrderedDict(a=int)]`, as in Flyte."""

    def __init__(self, python_type: type, columns: list[str]) -> None:
        super().__init__(python_type)
        self.columns = columns

    def encode(self, value: Any, blobs: Blobs) -> Any:
        opened = getattr(type(value), "__flyte_frame__", None)
        frame = value if opened is None else opened(value, self.python_type)
        if isinstance(frame, self.python_type):
            missing = [name for name in self.columns if name not in _column_names(frame)]
            if missing:
                raise TypeTransformerFailedError(
                    f"The frame has no column {missing[0]!r}; its columns are {_column_names(frame)}"
                )
            frame = _selected(frame, self.columns)
        return super().encode(frame, blobs)


def _column_names(frame: Any) -> list[str]:
    return list(getattr(frame, "column_names", None) or frame.columns)


def _selected(frame: Any, columns: list[str]) -> Any:
    return frame.select(columns) if hasattr(frame, "select") else frame[columns]


def frame_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of a frame type, None when the type is not one."""
    if not isinstance(python_type, type):
        return None
    library = python_type.__module__.partition(".")[0]
    return FrameTransformer(python_type) if python_type.__name__ in FRAMES.get(library, ()) else None
