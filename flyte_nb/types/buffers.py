"""Memory that pickle by itself would copy, or send although the value does not show it.

    numpy     times and arrays that are not contiguous would be copied into the pickle: here they are buffers beside it
    pyarrow   a slice would take all the memory of the whole with it: here only its own
    pandas    columns of arrow (all text, since pandas 3) would be copied: here their memory is taken as it is
    polars    a frame would become one long bytes object: here it crosses as the arrow table that it is

Types are recognised by their names, so none of these libraries is ever imported for a value that is not theirs.
"""

from __future__ import annotations

import copyreg
from typing import Any

__all__ = ["reduction_of"]

HIDDEN_BYTES = 64 * 1024
"""A slice may hide as much, or as much as it shows; then it is copied."""

LARGE_FRAME_BYTES = 64 * 1024
"""Smaller frames of polars keep its own pickle, which needs no pyarrow."""

Reduction = tuple[Any, ...]


def reduction_of(value: Any) -> Reduction | None:
    """What `__reduce_ex__` should have said of the value, None where it says it well."""
    kind = type(value)
    library, name = kind.__module__.partition(".")[0], kind.__name__
    if library == "numpy" and name == "ndarray":
        return _array(value)
    if library == "pyarrow" and hasattr(kind, "get_total_buffer_size") and hasattr(kind, "from_buffers"):
        return _arrow_array(value)
    if library == "pandas" and name.startswith("Arrow") and hasattr(kind, "__arrow_array__"):
        return _pandas_arrow_array(value)
    if library == "polars" and name in ("DataFrame", "Series"):
        return _polars_frame(value) if name == "DataFrame" else _polars_series(value)
    return None


def _array(array: Any) -> Reduction | None:
    holds_times = array.dtype.kind in "mM"
    is_contiguous = array.flags.c_contiguous or array.flags.f_contiguous
    if array.dtype.hasobject or (is_contiguous and not holds_times):
        return None
    if not is_contiguous:
        array = array.copy()
    if holds_times:  # the buffer protocol has no word for them
        return type(array).view, (array.view("i8"), array.dtype)
    reduction: Reduction = array.__reduce_ex__(5)
    return reduction


def _arrow_array(array: Any) -> Reduction | None:
    import pyarrow

    if not _hides_much(array, array.nbytes):
        return None
    reduction: Reduction = pyarrow.concat_arrays([array]).__reduce_ex__(5)
    return reduction


def _pandas_arrow_array(array: Any) -> Reduction | None:
    state = vars(array)
    chunks = state.get("_pa_array")
    if chunks is None or chunks.num_chunks != 1:
        return None
    settled = {"_pa_array": chunks.chunk(0), **({"_cache": {}} if "_cache" in state else {})}
    return copyreg.__newobj__, (type(array),), {**state, **settled}  # type: ignore[attr-defined]


def _polars_frame(frame: Any) -> Reduction | None:
    import polars

    table = _arrow_table(frame)
    return None if table is None else (polars.from_arrow, (table,))


def _polars_series(series: Any) -> Reduction | None:
    table = _arrow_table(series.to_frame("values"))
    return None if table is None else (_series, (table, series.name))


def _series(table: Any, name: str) -> Any:
    import polars

    return polars.DataFrame(table).to_series().alias(name)


def _arrow_table(frame: Any) -> Any | None:
    """The same memory as an arrow table; None where polars' own pickle is as good, or arrow cannot say it."""
    import polars

    shown_bytes = frame.estimated_size()
    if shown_bytes < LARGE_FRAME_BYTES:
        return None
    try:
        table = frame.to_arrow(compat_level=polars.CompatLevel.newest())
    except Exception:  # pyarrow's own errors for types that it lacks, ModuleNotFoundError without it
        return None
    keeps_types = polars.DataFrame(table.schema.empty_table()).schema == frame.schema
    return table if keeps_types and not _hides_much(table, shown_bytes) else None


def _hides_much(data: Any, shown_bytes: int) -> bool:
    hidden_bytes: int = data.get_total_buffer_size() - shown_bytes
    return hidden_bytes > max(shown_bytes, HIDDEN_BYTES)
