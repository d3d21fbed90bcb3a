"""Whether recorded values can be had again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import BLOB, PICKLE, Blobs
from flyte_nb.types.offload import TREE
from flyte_nb.types.steps import UNRECORDED
from flyte_nb.types.trees import leaf_content, unpack

__all__ = ["is_whole"]

DIGEST_CHARS = 64
"""Shorter payloads name no large value."""
UNRECORDED_BYTES = UNRECORDED.encode()


def is_whole(payload: bytes, is_stored: Callable[[str], bool], blobs: Blobs) -> bool:
    """Whether all values of a payload were recorded, and the large ones among them are still stored.

    Args:
        payload: the packed list of values.
        is_stored: tells it of a digest.
        blobs: where large values are.
    """

    if len(payload) < DIGEST_CHARS and UNRECORDED_BYTES not in payload:
        return True

    def stands(tree: Any) -> bool:
        kind = type(tree)
        if kind is list:
            return all(map(stands, tree))
        if kind is dict:
            return all(map(stands, tree.values()))
        if kind is not Ext or tree.code == PICKLE:
            return True
        content = leaf_content(tree)
        if tree.code == BLOB:
            return is_stored(content.digest) and (content.codec != TREE or stands(unpack(blobs.get(content.digest)[0])))
        tag, inner = content
        return tag != UNRECORDED and stands(inner)

    return stands(unpack(payload))
