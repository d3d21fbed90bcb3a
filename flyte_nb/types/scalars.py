"""Scalars: None, bool, int, float, str and bytes.

They are strict, as Flyte's are: an int is not a float, a bool is not an int. Inside a dataclass, a NamedTuple, a
TypedDict or a tuple they are *lenient*, again as Flyte's: values are converted when they are rebuilt, and None passes.
"""

from __future__ import annotations

from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import Blob, Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.trees import blob_leaf, leaf_content

__all__ = [
    "BytesTransformer",
    "LenientScalarTransformer",
    "ScalarTransformer",
    "expected_value_error",
    "plain_scalar",
    "scalar_family",
]

LARGE_BYTES = 1_000_000
"""From this size bytes go to the value store."""


def expected_value_error(expected: Any, value: Any) -> TypeTransformerFailedError:
    """Flyte's error for a value of the wrong type."""
    return TypeTransformerFailedError(
        f"Expected value of type {expected} but got '{preview_of_value(value)['text']}' of type {type(value)}"
    )


def plain_scalar(value: Any) -> Any:
    """A None, bool, int, float or str as exactly that; a subclass loses what it adds.

    Raises:
        TypeTransformerFailedError: the value is no scalar.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # a __str__ of its own must not change it
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TypeTransformerFailedError(f"can not serialize '{type(value).__name__}' object")


class ScalarTransformer:
    """None, bool, int, float and str: immutable, and they stand for themselves."""

    identity = True

    def __init__(self, python_type: type) -> None:
        self.python_type = python_type
        self.type_name = "None" if python_type is type(None) else python_type.__name__

    def encode(self, value: Any, blobs: Blobs) -> Any:
        expected = self.python_type
        if type(value) is expected:
            return value
        if not isinstance(value, expected) or isinstance(value, bool):
            raise expected_value_error(expected, value)
        return plain_scalar(value)  # of a subclass: an IntEnum, numpy's float64

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return tree

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class LenientScalarTransformer(ScalarTransformer):
    """A scalar inside a dataclass or tuple: taken as it is, converted when the value is rebuilt."""

    identity = False

    def encode(self, value: Any, blobs: Blobs) -> Any:
        return plain_scalar(value)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        expected = self.python_type
        if type(tree) is expected or tree is None:
            return tree
        if expected is type(None):
            raise expected_value_error(expected, tree)
        try:
            return expected(tree)
        except (ValueError, OverflowError):
            raise expected_value_error(expected, tree) from None


class BytesTransformer:
    """bytes; large ones live in the value store."""

    identity = False
    canonical = True
    type_name = "bytes"

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise expected_value_error(bytes, value)
        content = bytes(value)
        if len(content) < LARGE_BYTES:
            return content
        return blob_leaf(Blob(blobs.put([content]), len(content), "bytes", preview_of_value(content)))

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        if type(tree) is Ext:
            return b"".join(blobs.get(leaf_content(tree).digest))
        return tree

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


def scalar_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of a scalar type, None when it is not one."""
    if python_type is None:
        python_type = type(None)
    if python_type is bytes:
        return BytesTransformer()
    if python_type in (type(None), bool, int, float, str):
        return LenientScalarTransformer(python_type) if lenient else ScalarTransformer(python_type)
    return None
