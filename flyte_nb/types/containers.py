"""Lists, dicts and sets with declared element types, and untyped ones.

    list[T]         the trees of its elements
    dict[str, T]    a dict of trees
    dict[K, T]      tagged "dict": [key, value] pairs; keys and values are lenient, as in Flyte
    set[T]          tagged "set": a list sorted by encoding
    dict            what JSON and msgpack can say, tuples become lists, as in Flyte

An untyped list, tuple, set or frozenset takes any values, see `flyte_nb.types.anything`.
"""

from __future__ import annotations

import typing
from typing import Any, get_args, get_origin

from flyte_nb.types.anything import AnyTransformer, decode_anything, encode_anything
from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError, is_canonical
from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import preview_of_value, short_text
from flyte_nb.types.scalars import ScalarTransformer, expected_value_error, plain_scalar
from flyte_nb.types.trees import leaf_content, pack, tagged

__all__ = [
    "DictTransformer",
    "JsonDictTransformer",
    "ListTransformer",
    "PairsTransformer",
    "SetTransformer",
    "container_family",
]


class _Container:
    identity = False
    type_name: str

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class ListTransformer(_Container):
    """`list[T]`."""

    def __init__(self, python_type: Any, element: Transformer, lenient: bool) -> None:
        self.type_name = describe_type(python_type)
        self.element = element
        self.canonical = is_canonical(element)
        self.accepted = (list, tuple, set, frozenset) if lenient else (list,)
        self.scalar = element.python_type if type(element) is ScalarTransformer else None

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, self.accepted):
            raise TypeTransformerFailedError("Expected a list")
        if self.scalar is not None and set(map(type, value)) <= {self.scalar}:
            return list(value)
        encode = self.element.encode
        return [encode(item, blobs) for item in value]

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        if self.element.identity:
            return tree
        decode = self.element.decode
        return [decode(item, blobs) for item in tree]


class DictTransformer(_Container):
    """`dict[str, T]`."""

    def __init__(self, python_type: Any, element: Transformer, lenient: bool) -> None:
        self.type_name = describe_type(python_type)
        self.element = element
        self.lenient = lenient

    def encode(self, value: Any, blobs: Blobs) -> Any:
        _check_is_dict(value, self.lenient)
        if not all(type(key) is str for key in value):
            raise ValueError("Flyte MapType expects all keys to be strings")
        encode = self.element.encode
        return {key: encode(item, blobs) for key, item in value.items()}

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        if self.element.identity:
            return tree
        decode = self.element.decode
        return {key: decode(item, blobs) for key, item in tree.items()}


class PairsTransformer(_Container):
    """`dict[K, T]` where K is not str."""

    def __init__(self, python_type: Any, key: Transformer, element: Transformer, lenient: bool) -> None:
        self.type_name = describe_type(python_type)
        self.key = key
        self.element = element
        self.lenient = lenient

    def encode(self, value: Any, blobs: Blobs) -> Any:
        _check_is_dict(value, self.lenient)
        pairs = [[self.key.encode(key, blobs), self.element.encode(item, blobs)] for key, item in value.items()]
        return tagged("dict", pairs)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return {self.key.decode(key, blobs): self.element.decode(item, blobs) for key, item in leaf_content(tree)[1]}


class SetTransformer(_Container):
    """`set[T]` and `frozenset[T]`."""

    def __init__(self, python_type: Any, element: Transformer) -> None:
        self.type_name = describe_type(python_type)
        self.kind = get_origin(python_type)
        self.element = element

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, set | frozenset | list | tuple):
            raise expected_value_error(self.kind, value)
        items = sorted((self.element.encode(item, blobs) for item in set(value)), key=pack)
        return tagged(self.kind.__name__, items)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return self.kind(self.element.decode(item, blobs) for item in leaf_content(tree)[1])


class JsonDictTransformer(_Container):
    """An untyped dict: what msgpack can say, to any depth."""

    type_name = "dict"

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, dict):
            raise expected_value_error(dict, value)
        _check_is_dict(value, False)
        try:
            return encode_anything(_json_copy(value), blobs)
        except TypeTransformerFailedError as error:
            raise TypeTransformerFailedError(
                f"Cannot convert `{short_text(value)}` to Flyte Literal.\nError Message: {error}. "
                "Annotate it as dict[str, Any] to pass by pickle what can be pickled."
            ) from None
        except RecursionError:
            raise TypeTransformerFailedError("Cannot convert a dict that holds itself, or is nested too deep") from None

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return decode_anything(tree, blobs)


def _check_is_dict(value: Any, lenient: bool) -> None:
    if not (isinstance(value, dict) if lenient else type(value) is dict):
        raise TypeTransformerFailedError("Expected a dict")


def _json_copy(value: Any) -> Any:
    kind = type(value)
    if kind is bytes:
        return value
    if kind is dict:
        return {_json_key(key): _json_copy(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_json_copy(item) for item in value]
    return plain_scalar(value)


def _json_key(key: Any) -> Any:
    if isinstance(key, str | int | float | bytes | None):
        return _json_copy(key)
    raise TypeTransformerFailedError(f"can not serialize a key of type '{type(key).__name__}'")


def container_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of a container type, None when it is not one."""
    if python_type is typing.List:  # noqa: UP006  # the bare old alias, which Flyte refuses
        raise ValueError(
            "Type of Generic List type is not supported, Only generic univariate typing.List[T] type is supported."
        )
    origin, args = get_origin(python_type) or python_type, get_args(python_type)
    if not args:
        if origin is dict:
            return JsonDictTransformer()
        return AnyTransformer(origin.__name__) if origin in (list, tuple, set, frozenset) else None
    if origin is list:
        return ListTransformer(python_type, resolve(args[0], lenient), lenient)
    if origin is dict and args[0] is str:
        return DictTransformer(python_type, resolve(args[1], lenient), lenient)
    if origin is dict:
        return PairsTransformer(python_type, resolve(args[0], True), resolve(args[1], True), lenient)
    if origin in (set, frozenset):
        return SetTransformer(python_type, resolve(args[0], lenient))
    return None
