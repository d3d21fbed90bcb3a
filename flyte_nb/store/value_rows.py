"""A call's values as rows that SQL can read: digest, size, preview, and the value itself where JSON can say it.

The store knows no Python types: it reads the plain trees that `flyte_nb.types` wrote. Names and types stand with
the task.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.msgpack import Ext

from flyte_nb.types.base import BLOB, TAGGED
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.trees import leaf_content, unpack

__all__ = ["ValueRow", "value_rows"]

VALUE_JSON_BYTES = 64 * 1024
"""A value whose JSON is longer stands in the database by its preview only."""

UNREADABLE = '{"kind":"opaque","text":"<unreadable value>"}'
LISTS = ("tuple", "set", "frozenset")

ValueRow = tuple[str, str, str, int, str | None, int, str, str | None]
"""run, action, direction, position, digest, size_bytes, preview, value"""


def value_rows(run: str, action: str, direction: str, payload: bytes) -> list[ValueRow]:
    """One row for each value of a payload (the packed list of a call's values); none when it is not one.

    Args:
        run: name of the run.
        action: name of the action.
        direction: `input` or `output`.
        payload: the packed list of values.
    """
    try:
        raws = decode_raws(payload)
    except (msgspec.DecodeError, ValueError):
        return []
    rows = []
    for position, raw in enumerate(map(bytes, raws)):
        digest, size_bytes = None, len(raw)
        try:
            tree = unpack(raw)
            if type(tree) is Ext and tree.code == BLOB:
                blob = leaf_content(tree)
                digest, size_bytes = blob.digest, blob.size_bytes
            preview = encode_preview(preview_of_tree(tree)).decode()
            value = value_json(tree)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            preview, value = UNREADABLE, None
        rows.append((run, action, direction, position, digest, size_bytes, preview, value))
    return rows


def value_json(tree: Any) -> str | None:
    """The value as JSON; None when JSON cannot say it, or not in a few words."""
    try:
        encoded = encode_value(tree)
    except (ValueError, TypeError):
        return None
    return encoded.decode() if len(encoded) <= VALUE_JSON_BYTES else None


def plain_leaf(leaf: Any) -> Any:
    """What a leaf is in JSON; lists for tuples and sets."""
    if type(leaf) is Ext and leaf.code == TAGGED:
        tag, tree = leaf_content(leaf)
        if tag in LISTS:
            return tree
        if tag == "hashed":
            return tree[1]
    raise ValueError("JSON has no word for this")


decode_raws = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
encode_value = msgspec.json.Encoder(enc_hook=plain_leaf).encode
encode_preview = msgspec.json.Encoder(enc_hook=str).encode
