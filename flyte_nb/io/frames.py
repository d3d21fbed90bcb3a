"""Reading, writing and converting frames of pandas, polars and pyarrow, whichever of them is installed.

Frames are stored as parquet. A frame goes from one library to another by way of arrow.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from flyte_nb.io import locations

__all__ = ["convert", "is_frame", "read", "write"]


def is_frame(value: Any) -> bool:
    """True for a frame of one of the libraries."""
    return _library(type(value)) in ("pandas", "polars", "pyarrow")


def convert(frame: Any, frame_type: type) -> Any:
    """The frame as one of another type.

    Raises:
        ValueError: for a type that is not a frame's.
    """
    if isinstance(frame, frame_type):
        return frame
    source, target = _library(type(frame)), _library(frame_type)
    if source == "polars" and frame_type.__name__ == "LazyFrame":
        return frame.lazy()
    if source == "polars" and type(frame).__name__ == "LazyFrame":
        return convert(frame.collect(), frame_type)
    arrow = importlib.import_module("pyarrow")
    table = frame if source == "pyarrow" else frame.to_arrow() if source == "polars" else arrow.Table.from_pandas(frame)
    if target == "pyarrow":
        return table
    if target == "pandas":
        return table.to_pandas()
    if target == "polars":
        polars = sys.modules["polars"]
        eager = polars.from_arrow(table)
        return eager.lazy() if frame_type.__name__ == "LazyFrame" else eager
    raise ValueError(f"Cannot open a frame as {frame_type}: pandas, polars and pyarrow frames are known")


def write(frame: Any, path: str) -> None:
    """Writes a frame as parquet."""
    library = _library(type(frame))
    if library == "polars" and type(frame).__name__ == "LazyFrame":
        frame = frame.collect()
    with locations.open_file(path, "wb") as file:
        if library == "polars":
            frame.write_parquet(file)
        elif library == "pandas":
            frame.to_parquet(file)
        else:
            importlib.import_module("pyarrow.parquet").write_table(frame, file)


def read(path: str, stored_format: str, frame_type: type) -> Any:
    """Reads a stored frame as one of the given type.

    Args:
        path: a file, or a folder of parquet files.
        stored_format: `parquet` or `csv`; parquet when empty.
        frame_type: a frame class of pandas, polars or pyarrow.
    """
    parts = [_read_file(file, stored_format, frame_type) for file in _files(path)]
    if not parts:
        raise FileNotFoundError(f"There is no frame at {path}")
    if len(parts) == 1:
        return parts[0]
    library = sys.modules[_library(frame_type)]
    if library.__name__ == "pyarrow":
        return library.concat_tables(parts)
    return library.concat(parts, ignore_index=True) if library.__name__ == "pandas" else library.concat(parts)


def parts(path: str, stored_format: str, frame_type: type) -> Any:
    """The frames of a stored frame's files, one after the other."""
    return (_read_file(file, stored_format, frame_type) for file in _files(path))


def _files(path: str) -> list[str]:
    if locations.is_remote(path):
        files = list(locations.walk_files(path))
        return files or [path]
    return list(locations.walk_files(path)) or ([path] if locations.exists(path) else [])


def _read_file(path: str, stored_format: str, frame_type: type) -> Any:
    library = _library(frame_type)
    if library not in ("pandas", "polars", "pyarrow"):
        raise ValueError(f"Cannot open a frame as {frame_type}: pandas, polars and pyarrow frames are known")
    reader = {
        ("pandas", True): ("pandas", "read_csv"),
        ("pandas", False): ("pandas", "read_parquet"),
        ("polars", True): ("polars", "read_csv"),
        ("polars", False): ("polars", "read_parquet"),
        ("pyarrow", True): ("pyarrow.csv", "read_csv"),
        ("pyarrow", False): ("pyarrow.parquet", "read_table"),
    }[library, stored_format == "csv"]
    with locations.open_file(path, "rb") as file:
        frame = getattr(importlib.import_module(reader[0]), reader[1])(file)
    return frame.lazy() if frame_type.__name__ == "LazyFrame" else frame


def _library(frame_type: type) -> str:
    return frame_type.__module__.partition(".")[0]
