"""Previews of frames, arrays and images, of whatever library: recognised by module and attributes, never imported."""

from __future__ import annotations

import base64
import io
from typing import Any

from flyte_nb.types.base import Preview

__all__ = ["preview_of_data"]

ROWS = 5
COLUMNS = 50
CELL_CHARS = 80
ARRAY_HEAD = 8
IMAGE_PIXELS = 360
IMAGE_BYTES = 40_000
ARRAY_MODULES = {"numpy", "torch", "jax", "jaxlib", "tensorflow", "cupy"}


def preview_of_data(value: Any) -> Preview | None:
    """The preview of a frame, an array or an image; None when the value is none of them."""
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    if library == "pandas" and name in ("DataFrame", "Series"):
        return _pandas_preview(value)
    if library == "polars" and name in ("DataFrame", "Series"):
        return _polars_preview(value)
    if library == "pyarrow" and name in ("Table", "RecordBatch"):
        return _arrow_preview(value)
    if library == "numpy" and not hasattr(value, "__len__"):
        return {"kind": "scalar", "text": str(value)}
    if library in ARRAY_MODULES and hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array_preview(value)
    if library == "matplotlib" and hasattr(value, "savefig"):
        return _figure_preview(value)
    if library == "PIL" and hasattr(value, "thumbnail"):
        return _image_preview(value)
    return None


def _frame(name: str, columns: list[list[str]], rows: list[list[str]], shape: tuple[int, int]) -> Preview:
    text = f"{name}: {shape[0]:,} rows x {shape[1]:,} columns"
    return {"kind": "frame", "text": text, "columns": columns, "rows": rows, "shape": list(shape)}


def _cell(value: Any) -> str:
    text = str(value) if not isinstance(value, float) else f"{value:.6g}"
    return text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"


def _pandas_preview(value: Any) -> Preview:
    if value.ndim == 1:
        head = value.iloc[:ROWS]
        rows = [[_cell(cell)] for cell in head.tolist()]
        return _frame("Series", [[str(value.name or ""), str(value.dtype)]], rows, (len(value), 1))
    head = value.iloc[:ROWS, :COLUMNS]
    columns = [[str(name), str(kind)] for name, kind in zip(head.columns, head.dtypes, strict=True)]
    rows = [[_cell(cell) for cell in row] for row in head.itertuples(index=False, name=None)]
    return _frame("DataFrame", columns, rows, value.shape)


def _polars_preview(value: Any) -> Preview:
    frame = value.to_frame() if type(value).__name__ == "Series" else value
    columns = [[name, str(kind)] for name, kind in list(frame.schema.items())[:COLUMNS]]
    rows = [[_cell(cell) for cell in row[:COLUMNS]] for row in frame.head(ROWS).rows()]
    return _frame(type(value).__name__, columns, rows, frame.shape)


def _arrow_preview(value: Any) -> Preview:
    columns = [[field.name, str(field.type)] for field in list(value.schema)[:COLUMNS]]
    head = value.slice(0, ROWS).to_pylist()
    rows = [[_cell(row[name]) for name, _ in columns] for row in head]
    return _frame(type(value).__name__, columns, rows, (value.num_rows, value.num_columns))


def _array_preview(value: Any) -> Preview:
    shape, dtype = [int(size) for size in value.shape], str(value.dtype)
    flat = value.flat if hasattr(value, "flat") else value.reshape(-1)  # numpy's reshape copies what is transposed
    first = flat[:ARRAY_HEAD].tolist()
    size = 1
    for length in shape:
        size *= length
    head = ", ".join(map(_cell, first)) + (", ..." if size > len(first) else "")
    text = f"{type(value).__name__} {' x '.join(map(str, shape)) or 'of one value'}, {dtype}: {head}"
    return {"kind": "array", "text": text[:200], "shape": shape, "dtype": dtype, "head": head}


def _figure_preview(figure: Any) -> Preview:
    width, height = figure.get_size_inches()
    png = b""
    for pixels in (IMAGE_PIXELS, IMAGE_PIXELS // 2, IMAGE_PIXELS // 4):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=pixels / max(width, height / 2))
        png = buffer.getvalue()
        if len(png) <= IMAGE_BYTES:
            break
    text = f"Figure {width:g} x {height:g} in, {len(figure.axes)} axes"
    return _image(text, png, [round(width * figure.dpi), round(height * figure.dpi)])


def _image_preview(image: Any) -> Preview:
    shown = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    png = b""
    for pixels in (IMAGE_PIXELS, IMAGE_PIXELS // 2, IMAGE_PIXELS // 4, IMAGE_PIXELS // 8):
        shown.thumbnail((pixels, 2 * pixels))
        buffer = io.BytesIO()
        shown.save(buffer, format="PNG")
        png = buffer.getvalue()
        if len(png) <= IMAGE_BYTES:
            break
    return _image(f"Image {image.width} x {image.height}, {image.mode}", png, [image.width, image.height])


def _image(text: str, png: bytes, shape: list[int]) -> Preview:
    preview: Preview = {"kind": "image", "text": text, "shape": shape}
    if len(png) <= IMAGE_BYTES:
        preview["png"] = base64.b64encode(png).decode()
    return preview
