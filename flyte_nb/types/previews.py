"""What the explorer shows of a value: previews of Python values, of encoded trees, and short labels of calls.

Every preview is bounded, and none of these functions raises: whatever a value's own `__repr__` or attributes do, there
is a text to show. The shapes are fixed in docs/explorer.md.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from flyte_nb.types.base import BLOB, PICKLE, Preview
from flyte_nb.types.previews_data import preview_of_data
from flyte_nb.types.trees import leaf_content, unpack

__all__ = ["label_of_payload", "preview_of_tree", "preview_of_value", "short_text"]

TEXT_CHARS = 200
FULL_TEXT_CHARS = 4000
LABEL_CHARS = 60
CHILDREN = 50
LEVELS = 4

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_SCALARS = frozenset([int, float, complex, bool, type(None)])
_DATED = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)


def preview_of_value(value: Any, level: int = 0) -> Preview:
    """The preview of a Python value."""
    kind = type(value)
    if kind in _SCALARS:
        return {"kind": "scalar", "text": _cut(repr(value))}
    if kind is str:
        return _text_preview(value)
    try:
        return _rich_preview(value, level) or {"kind": "opaque", "text": short_text(value)}
    except Exception:  # the value's own attributes and methods may raise anything
        return {"kind": "opaque", "text": f"<{kind.__name__}>"}


def preview_of_tree(tree: Any, level: int = 0) -> Preview:
    """The preview of an encoded value whose Python type is not known here."""
    kind = type(tree)
    if kind in _SCALARS:
        return {"kind": "scalar", "text": _cut(repr(tree))}
    if kind is Ext:
        try:
            return _preview_of_leaf(tree, level)
        except (msgspec.DecodeError, LookupError, TypeError, ValueError):
            return {"kind": "opaque", "text": f"<unreadable value, code {tree.code}>"}
    if kind is list:
        return _tree_preview("[", tree, "]", level)
    if kind is dict:
        return _dict_preview(tree, level)
    return preview_of_value(tree, level)


def label_of_payload(names: Sequence[str], payload: bytes) -> str:
    """A few words for the row of an action: `x=0, kind="rbf"`, at most 60 characters."""
    try:
        trees = unpack(payload)
        parts, room = [], LABEL_CHARS
        for name, tree in zip(names, trees, strict=False):
            kind = type(tree)
            text = f'"{tree[:LABEL_CHARS]}"' if kind is str else None
            text = text or (str(tree) if kind in _SCALARS else preview_of_tree(tree, LEVELS)["text"])
            parts.append(f"{name}={text}")
            room -= len(parts[-1]) + 2
            if room < 0:
                break
        return _cut(", ".join(parts), LABEL_CHARS)
    except (msgspec.DecodeError, TypeError, ValueError):  # damaged bytes: no label, the row still shows
        return ""


def short_text(value: Any, limit: int = TEXT_CHARS) -> str:
    """A bounded `repr` in one line, without memory addresses; builtin containers are walked no further than shown."""
    try:
        return _cut(_ADDRESS.sub("", _bounded_repr(value, limit)), limit)
    except Exception:  # a user's __repr__ may raise anything
        return f"<{type(value).__name__}>"


def _bounded_repr(value: Any, limit: int) -> str:
    kind = type(value)
    if kind is str or kind is bytes:
        return repr(value[: limit + 1])
    if kind is int and value.bit_length() > 3 * limit:
        return f"<an integer of {value.bit_length()} bits>"
    if kind in _BRACKETS:
        opening, closing = _BRACKETS[kind]
        if not value:
            return repr(value)
        items = _sorted_if_possible(value) if kind in (set, frozenset) else value
        comma = "," if kind is tuple and len(value) == 1 else ""
        return opening + _joined(_bounded_repr, items, limit) + comma + closing
    if kind is dict:
        return "{" + _joined(_pair_repr, value.items(), limit) + "}"
    return repr(value)


def _pair_repr(pair: tuple[Any, Any], limit: int) -> str:
    return f"{_bounded_repr(pair[0], limit)}: {_bounded_repr(pair[1], limit)}"


def _joined(text_of: Any, items: Any, limit: int) -> str:
    parts: list[str] = []
    for item in items:
        if limit <= 0:
            parts.append("...")
            break
        parts.append(text_of(item, limit))
        limit -= len(parts[-1]) + 2
    return ", ".join(parts)


def _sorted_if_possible(items: Any) -> Any:
    first = list(islice(items, 2 * TEXT_CHARS))
    try:
        return sorted(first)
    except TypeError:
        return sorted(first, key=repr)


def _cut(text: str, limit: int = TEXT_CHARS) -> str:
    if "\n" in text or "\r" in text:
        text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _text_preview(value: str) -> Preview:
    full = value[:FULL_TEXT_CHARS]
    return {"kind": "text", "text": _cut(full), "full": full}


def _rich_preview(value: Any, level: int) -> Preview | None:
    kind = type(value)
    own = getattr(kind, "__flyte_preview__", None)
    if own is not None:
        return dict(own(value))
    if isinstance(value, enum.Enum):
        return {"kind": "scalar", "text": _cut(str(value) if "." in str(value) else f"{kind.__name__}.{value.name}")}
    if isinstance(value, _DATED):
        return {"kind": "scalar", "text": str(value)}
    if kind in (bytes, bytearray, memoryview):
        head, size = bytes(value[:TEXT_CHARS]), len(value)
        return {"kind": "scalar", "text": repr(head) if size <= 40 else f"{size:,} bytes: {_cut(repr(head), 60)}"}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _model_preview(kind.__name__, dict(zip(kind._fields, value, strict=False)), level)
    if isinstance(value, list | tuple | set | frozenset):
        items = _sorted_if_possible(value) if isinstance(value, set | frozenset) else value
        children = [[str(at), preview_of_value(item, level + 1)] for at, item in _shown(items, level)]
        return {"kind": "tree", "text": short_text(value), "children": children, "length": len(value)}
    if isinstance(value, dict):
        children = [
            [_key_text(key), preview_of_value(item, level + 1)] for _, (key, item) in _shown(value.items(), level)
        ]
        return {"kind": "tree", "text": short_text(value), "children": children, "length": len(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        return _model_preview(kind.__name__, named, level)
    if isinstance(getattr(kind, "model_fields", None), dict):
        return _model_preview(kind.__name__, {name: getattr(value, name, None) for name in kind.model_fields}, level)
    return preview_of_data(value)


def _model_preview(name: str, named: dict[str, Any], level: int) -> Preview:
    children = [[key, preview_of_value(item, level + 1)] for _, (key, item) in _shown(named.items(), level)]
    inner = _joined(lambda pair, room: f"{pair[0]}={_bounded_repr(pair[1], room)}", named.items(), TEXT_CHARS)
    text = _cut(_ADDRESS.sub("", f"{name}({inner})"))
    return {"kind": "model", "text": text, "children": children, "length": len(named)}


def _shown(items: Any, level: int) -> list[tuple[int, Any]]:
    return [] if level >= LEVELS else list(enumerate(islice(items, CHILDREN)))


def _key_text(key: Any) -> str:
    return _cut(key) if type(key) is str else short_text(key)


# Trees: text is built from the children's texts, so that no value has to be rebuilt.


def _tree_preview(opening: str, items: list[Any], closing: str, level: int) -> Preview:
    children = [[str(at), preview_of_tree(item, level + 1)] for at, item in _shown(items, level)]
    text = _cut(opening + _joined(_tree_text, items, TEXT_CHARS) + closing)
    return {"kind": "tree", "text": text, "children": children, "length": len(items)}


def _dict_preview(tree: dict[str, Any], level: int) -> Preview:
    children = [[_cut(str(key)), preview_of_tree(item, level + 1)] for _, (key, item) in _shown(tree.items(), level)]
    inner = _joined(lambda pair, room: f"{pair[0]!r}: {_tree_text(pair[1], room)}", tree.items(), TEXT_CHARS)
    return {"kind": "tree", "text": _cut("{" + inner + "}"), "children": children, "length": len(tree)}


def _tree_text(tree: Any, limit: int) -> str:
    if type(tree) in (list, dict, Ext):
        return str(preview_of_tree(tree, LEVELS)["text"])
    return _bounded_repr(tree, limit)


def _preview_of_leaf(leaf: Ext, level: int) -> Preview:
    content = leaf_content(leaf)
    if leaf.code == BLOB:
        return dict(content.preview)
    if leaf.code == PICKLE:
        return dict(content[1])
    tag, tree = content
    if tag in ("hashed", "union"):
        return preview_of_tree(tree[1], level)
    if tag == "tuple":
        return _tree_preview("(", tree, ",)" if len(tree) == 1 else ")", level)
    if tag in ("set", "frozenset"):
        return _tree_preview("{", tree, "}", level)
    if tag == "dict":
        named = {preview_of_tree(key, LEVELS)["text"]: item for key, item in tree}
        return _dict_preview(named, level)
    if tag == "previewed":
        return dict(tree[0])
    return preview_of_tree(tree, level)
