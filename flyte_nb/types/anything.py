"""Values without a declared type (`Any`, `object`, an unannotated input, an untyped list or set).

Scalars and builtin containers cross as trees, so that they are compared, digested and shown by content; everything else
crosses by pickle. Sets are sorted by their encoding: equal sets are equal bytes, whatever the hash seed.
"""

from __future__ import annotations

from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import BLOB, TAGGED, Blobs, Preview
from flyte_nb.types.pickles import pickled, unpickled
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.scalars import BytesTransformer
from flyte_nb.types.trees import leaf_content, pack, tagged

__all__ = ["AnyTransformer", "decode_anything", "encode_anything"]

SCALARS = frozenset([type(None), bool, int, float, str])

_bytes = BytesTransformer()


def encode_anything(value: Any, blobs: Blobs) -> Any:
    """The plain tree of any value."""
    try:
        return _encode(value, blobs)
    except RecursionError:  # a container that holds itself: only a pickle can say that
        return pickled(value, blobs)


def decode_anything(tree: Any, blobs: Blobs) -> Any:
    """The value of a tree made by `encode_anything`."""
    kind = type(tree)
    if kind is list:
        return [decode_anything(item, blobs) for item in tree]
    if kind is dict:
        return {key: decode_anything(item, blobs) for key, item in tree.items()}
    if kind is not Ext:
        return tree
    if tree.code != TAGGED:
        large_bytes = tree.code == BLOB and leaf_content(tree).codec == "bytes"
        return _bytes.decode(tree, blobs) if large_bytes else unpickled(tree, blobs)
    tag, inner = leaf_content(tree)
    if tag == "hashed":  # a pickle with its identity
        return unpickled(tree, blobs)
    if type(inner) is str:  # stands for a value that could not be recorded
        return inner
    if tag == "dict":
        return {decode_anything(key, blobs): decode_anything(item, blobs) for key, item in inner}
    items = [decode_anything(item, blobs) for item in inner]
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[tag](items)


def _encode(value: Any, blobs: Blobs) -> Any:
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is list:
        return list(value) if SCALARS.issuperset(map(type, value)) else [_encode(item, blobs) for item in value]
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: _encode(item, blobs) for key, item in value.items()}
        return tagged("dict", [[_encode(key, blobs), _encode(item, blobs)] for key, item in value.items()])
    if kind is tuple:
        return tagged("tuple", [_encode(item, blobs) for item in value])
    if kind is set or kind is frozenset:
        return tagged(kind.__name__, sorted((_encode(item, blobs) for item in value), key=pack))
    if kind is bytes:
        return _bytes.encode(value, blobs)
    return pickled(value, blobs)


class AnyTransformer:
    """Takes every value."""

    identity = False

    def __init__(self, type_name: str = "Any") -> None:
        self.type_name = type_name

    def encode(self, value: Any, blobs: Blobs) -> Any:
        return encode_anything(value, blobs)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return decode_anything(tree, blobs)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)
