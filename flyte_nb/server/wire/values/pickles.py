"""Recorded values that a client receives by pickle, made without opening any pickle here.

A large value lies in the store as a pickle beside its buffers; a client needs them in one piece: each mark of a buffer
in the pickle's opcodes is replaced by the bytes of that buffer.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Sequence
from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import BIG_INT, BLOB, PICKLE, ROUGH_TEXT, TAGGED, Blob, Blobs
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.trees import leaf_content

__all__ = ["LARGEST_PICKLE_BYTES", "plain_value", "whole_pickle"]

LARGEST_PICKLE_BYTES = 32_000_000
"""A larger value is sent as what the explorer shows of it."""
PROTOCOL = 5


def whole_pickle(tree: Any, blobs: Blobs) -> bytes:
    """A recorded value as one pickle. What only flyte_nb could open is the text that the explorer shows of it."""
    found = _recorded_pickle(tree, blobs)
    if found is not None and len(found) <= LARGEST_PICKLE_BYTES and b"flyte_nb" not in found:
        return found
    return pickle.dumps(plain_value(tree, blobs), protocol=PROTOCOL)


def plain_value(tree: Any, blobs: Blobs | None) -> Any:
    """The value of a tree as far as it is plain data; in place of a pickle the text that the explorer shows of it."""
    if type(tree) is list:
        return [plain_value(item, blobs) for item in tree]
    if type(tree) is dict:
        return {key: plain_value(item, blobs) for key, item in tree.items()}
    if type(tree) is not Ext:
        return tree
    content = leaf_content(tree)
    if tree.code in (BIG_INT, ROUGH_TEXT):
        return content
    if tree.code == BLOB and blobs is not None and content.codec == "bytes" and _is_small(content):
        return b"".join(blobs.get(content.digest))
    if tree.code != TAGGED:
        return preview_of_tree(tree)["text"]
    tag, inner = content
    if tag == "union":
        return plain_value(inner[1], blobs)
    if tag == "dict":
        return {_key(plain_value(key, blobs)): plain_value(item, blobs) for key, item in inner}
    if tag in ("tuple", "set", "frozenset") and type(inner) is list:
        items = [plain_value(item, blobs) for item in inner]
        made = {"tuple": tuple, "set": set, "frozenset": frozenset}[tag]
        return made(items) if tag == "tuple" else made(map(_key, items))
    return preview_of_tree(tree)["text"]


def _key(value: Any) -> Any:
    """Something that a dict or set can hold."""
    return value if isinstance(value, str | int | float | bytes | tuple | frozenset | None) else str(value)


def _is_small(blob: Blob) -> bool:
    return blob.size_bytes <= LARGEST_PICKLE_BYTES


def _recorded_pickle(tree: Any, blobs: Blobs) -> bytes | None:
    if type(tree) is not Ext:
        return None
    content = leaf_content(tree)
    if tree.code == TAGGED and content[0] == "hashed":
        return _recorded_pickle(content[1][1], blobs)
    if tree.code == PICKLE:
        return bytes(content[0])
    if tree.code == BLOB and content.codec == "pickle5" and _is_small(content):
        head, *buffers = blobs.get(content.digest)
        return joined_pickle(bytes(head), buffers)
    return None


def joined_pickle(head: bytes, buffers: Sequence[memoryview]) -> bytes:
    """One pickle of a pickle and the buffers beside it."""
    out, waiting = io.BytesIO(), iter(buffers)
    starts = [(opcode.name, place) for opcode, _, place in pickletools.genops(head)]
    ends = [place for _, place in starts[1:]] + [len(head)]
    for (name, place), end in zip(starts, ends, strict=True):
        if name == "NEXT_BUFFER":
            content = next(waiting)
            out.write(pickle.BYTEARRAY8 + content.nbytes.to_bytes(8, "little"))
            out.write(content)
        elif name not in ("FRAME", "READONLY_BUFFER"):  # a frame's length would be wrong; it may be left out
            out.write(head[place:end])
    return out.getvalue()
