"""Large values leave the payload: what would take more than a megabyte of it becomes a blob.

Arrays, frames, long bytes and large pickles are blobs by themselves; this is for the rest: a long text, a list of a
million numbers, a model with such a field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import BLOB, Blob, Blobs
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.trees import blob_leaf, leaf_content, pack, unpack

__all__ = ["INLINE_LIMIT_BYTES", "TREE", "pack_values", "unpack_values"]

INLINE_LIMIT_BYTES = 1 << 20
TREE = "tree"
"""Codec of such a blob."""


def pack_values(trees: Sequence[Any], blobs: Blobs) -> bytes:
    """The payload of a call's values; the large ones are put into the value store."""
    payload = pack(trees)
    if len(payload) <= INLINE_LIMIT_BYTES:
        return payload
    return pack([_offloaded(tree, blobs) for tree in trees])


def unpack_values(payload: bytes, blobs: Blobs) -> list[Any]:
    """The trees of a payload, the large ones fetched.

    Raises:
        KeyError: a large value is no longer in the value store.
    """
    return [_fetched(tree, blobs) if type(tree) is Ext else tree for tree in unpack(payload)]


def _offloaded(tree: Any, blobs: Blobs) -> Any:
    packed = pack(tree)
    if len(packed) <= INLINE_LIMIT_BYTES:
        return tree
    return blob_leaf(Blob(blobs.put([packed]), len(packed), TREE, preview_of_tree(tree)))


def _fetched(tree: Ext, blobs: Blobs) -> Any:
    if tree.code == BLOB:
        blob: Blob = leaf_content(tree)
        if blob.codec == TREE:
            return unpack(blobs.get(blob.digest)[0])
    return tree
