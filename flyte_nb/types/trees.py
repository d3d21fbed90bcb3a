"""Plain trees on the wire: packing to msgpack and back, the extension leaves, and the identity of a payload.

    tree --pack--> payload --unpack--> tree
    payload --identity_of--> bytes that are equal for equal values

`pack` takes what msgpack does not (integers beyond 64 bits, text with lone surrogates) only once the fast way has
failed, so that trees of ordinary values cost one call into msgspec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from flyte_nb.types.base import BIG_INT, BLOB, PICKLE, ROUGH_TEXT, TAGGED, Blob, Preview

__all__ = [
    "blob_leaf",
    "decode_reference",
    "identity_of",
    "leaf_content",
    "pack",
    "pickle_leaf",
    "reference",
    "tagged",
    "unpack",
]

SCALARS = frozenset([type(None), bool, int, float, str, bytes])

_encode = msgspec.msgpack.Encoder().encode
_encode_sorted = msgspec.msgpack.Encoder(order="deterministic").encode


def pack(tree: Any) -> bytes:
    """The msgpack bytes of a plain tree."""
    try:
        return _encode(tree)
    except (OverflowError, UnicodeEncodeError):
        return _encode(_map_leaves(tree, _wire_form))


def unpack(payload: bytes | memoryview) -> Any:
    """The plain tree of msgpack bytes.

    Raises:
        msgspec.DecodeError: when the bytes are not msgpack.
    """
    return _decode(payload)


def tagged(tag: str, tree: Any) -> Ext:
    """A leaf that stands for what a plain tree cannot say: `tagged("tuple", [1, 2])`."""
    return Ext(TAGGED, pack([tag, tree]))


def pickle_leaf(pickled: bytes, preview: Preview) -> Ext:
    """A small pickle, inline."""
    return Ext(PICKLE, _encode([pickled, preview]))


def blob_leaf(blob: Blob) -> Ext:
    """A reference to a large value."""
    return Ext(BLOB, _encode(blob))


def reference(fields: Any, preview: Preview, known_hash: str | None) -> Ext:
    """A leaf that refers to something outside the tree (a file), shown by its preview, known by its hash if any."""
    leaf = tagged("previewed", [preview, fields])
    return leaf if known_hash is None else tagged("hashed", [known_hash, leaf])


def decode_reference(leaf: Ext) -> tuple[Any, str | None]:
    """(fields, known hash) of a leaf made by `reference`."""
    tag, content = leaf_content(leaf)
    if tag == "hashed":
        return decode_reference(content[1])[0], content[0]
    return content[1], None


def leaf_content(leaf: Ext) -> Any:
    """What a leaf holds: a `Blob`, `[pickle, preview]` or `[tag, tree]`, by its code."""
    return _decode_blob(leaf.data) if leaf.code == BLOB else _decode(leaf.data)


def identity_of(payload: bytes, ignored: frozenset[int] = frozenset()) -> bytes:
    """Bytes that name the values of a payload: equal for equal values, whatever the order of their dicts.

    Previews do not count, and a value that brings its own hash (`HashFunction`, a hashed `File`) counts by that hash.

    Args:
        payload: the packed list of a call's values.
        ignored: positions of values that do not count.
    """
    trees = unpack(payload)
    return _pack_sorted([_identified(tree) for position, tree in enumerate(trees) if position not in ignored])


def _identified(tree: Any) -> Any:
    """The tree with every leaf in a form that is equal for equal values."""
    kind = type(tree)
    if kind is Ext:
        return _identified_leaf(tree)
    if kind is list and not SCALARS.issuperset(map(type, tree)):
        return [_identified(item) for item in tree]
    if kind is dict and not SCALARS.issuperset(map(type, tree.values())):
        return {key: _identified(item) for key, item in tree.items()}
    return tree


def _identified_leaf(leaf: Ext) -> Ext:
    content = leaf_content(leaf)
    if leaf.code == BLOB:
        return Ext(BLOB, content.digest.encode())
    if leaf.code == PICKLE:
        return Ext(PICKLE, content[0])
    tag, tree = content
    if tag == "hashed":
        return Ext(TAGGED, _pack_sorted([tag, tree[0]]))
    if tag == "previewed":
        return Ext(TAGGED, _pack_sorted([tag, _identified(tree[1])]))
    if tag == "dict":
        return Ext(TAGGED, _pack_sorted([tag, sorted(_pack_sorted(_identified(pair)) for pair in tree)]))
    return Ext(TAGGED, _pack_sorted([tag, _identified(tree)]))


def _pack_sorted(tree: Any) -> bytes:
    try:
        return _encode_sorted(tree)
    except (OverflowError, UnicodeEncodeError):
        return _encode_sorted(_map_leaves(tree, _wire_form))


def _map_leaves(tree: Any, change: Callable[[Any], Any]) -> Any:
    kind = type(tree)
    if kind is dict:
        return {change(key): _map_leaves(value, change) for key, value in tree.items()}
    if kind is list or kind is tuple:
        return [_map_leaves(item, change) for item in tree]
    return change(tree)


def _wire_form(leaf: Any) -> Any:
    kind = type(leaf)
    if kind is int and not -(2**63) <= leaf < 2**64:
        return Ext(BIG_INT, hex(leaf).encode())
    if kind is str and not leaf.isascii():
        try:
            leaf.encode()
        except UnicodeEncodeError:
            return Ext(ROUGH_TEXT, leaf.encode("utf-8", "surrogatepass"))
    return leaf


def _read_ext(code: int, data: memoryview) -> Any:
    if code == BIG_INT:
        return int(bytes(data), 16)
    if code == ROUGH_TEXT:
        return bytes(data).decode("utf-8", "surrogatepass")
    return Ext(code, bytes(data))


_decode = msgspec.msgpack.Decoder(ext_hook=_read_ext).decode
_decode_blob = msgspec.msgpack.Decoder(Blob).decode
