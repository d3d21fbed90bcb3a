"""Values with named or counted fields: dataclasses, NamedTuples, TypedDicts and tuples.

    dataclass, TypedDict, NamedTuple    {field: tree}
    tuple[A, B]                         tagged "tuple": [tree, ...], one transformer per place
    tuple[T, ...]                       tagged "tuple": [tree, ...], one transformer for all

Fields are lenient, as Flyte's: an int in a float field becomes a float when the value is rebuilt. A plain dict is taken
for a dataclass, and so is an instance of another dataclass with the same fields (a notebook cell may have defined it
again).
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, NotRequired, Required, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.trees import leaf_content, tagged

__all__ = [
    "DataclassTransformer",
    "NamedTupleTransformer",
    "TupleTransformer",
    "TypedDictTransformer",
    "structured_family",
]


class _Structured:
    """A class whose fields are found at first use, so that a type may contain itself."""

    identity = False

    def __init__(self, python_type: Any, resolve: Resolve) -> None:
        self.python_type = python_type
        self.origin = get_origin(python_type) or python_type
        self.type_name = describe_type(python_type)
        self._resolve = resolve

    @cached_property
    def fields(self) -> dict[str, Transformer]:
        """The transformer of every field, by name."""
        types = _field_types(self.origin, get_args(self.python_type))
        return {name: self._resolve(types.get(name, Any), True) for name in self._field_names()}

    def _field_names(self) -> list[str]:
        raise NotImplementedError

    def _encode_field(self, name: str, value: Any, blobs: Blobs) -> Any:
        try:
            return self.fields[name].encode(value, blobs)
        except TypeTransformerFailedError as error:
            raise TypeTransformerFailedError(f'Field "{name}" of {self.type_name}: {error}') from error

    def _decode_field(self, name: str, tree: Any, blobs: Blobs) -> Any:
        try:
            return self.fields[name].decode(tree, blobs)
        except TypeTransformerFailedError as error:
            raise TypeTransformerFailedError(f'Field "{name}" of {self.type_name}: {error}') from error

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class DataclassTransformer(_Structured):
    """A dataclass, generic ones too."""

    def _field_names(self) -> list[str]:
        return [field.name for field in dataclasses.fields(self.origin)]

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if isinstance(value, dict):
            self._check_keys(value)
            return {name: self._encode_field(name, value[name], blobs) for name in self.fields if name in value}
        if not isinstance(value, self.origin):
            self._check_same_fields(value)
        return {
            name: self._encode_field(name, getattr(value, name), blobs) for name in self.fields if hasattr(value, name)
        }

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        values = {name: self._decode_field(name, item, blobs) for name, item in tree.items() if name in self.fields}
        at_init = {f.name: values[f.name] for f in dataclasses.fields(self.origin) if f.init and f.name in values}
        try:
            rebuilt = self.origin(**at_init)
        except TypeError as error:  # e.g. an InitVar without a default, whose value is gone
            raise TypeTransformerFailedError(f"{self.type_name} cannot be rebuilt from its fields: {error}") from error
        if len(at_init) < len(values) or hasattr(self.origin, "__post_init__"):
            # What __post_init__ computes, it would compute twice: the fields are as they were.
            for name, value in values.items():
                object.__setattr__(rebuilt, name, value)
        return rebuilt

    def _check_keys(self, value: dict[str, Any]) -> None:
        fields = dataclasses.fields(self.origin)
        defaulted = {
            f.name
            for f in fields
            if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        }
        missing = [name for name in self.fields if name not in value and name not in defaulted]
        if missing:
            raise TypeTransformerFailedError(
                f"The original fields are missing the following keys from the dataclass fields: {missing}"
            )
        extra = [key for key in value if key not in self.fields]
        if extra:
            raise TypeTransformerFailedError(
                f"The original fields have the following extra keys that are not in dataclass fields: {extra}"
            )

    def _check_same_fields(self, value: Any) -> None:
        if not dataclasses.is_dataclass(value) or isinstance(value, type):
            raise TypeTransformerFailedError(
                f"{type(value)} is not of type @dataclass, expected an instance of {self.type_name} or a dict"
            )
        names = [field.name for field in dataclasses.fields(value)]
        unknown = next((name for name in names if name not in self.fields), None)
        if unknown is not None:
            raise TypeTransformerFailedError(
                f"Field '{unknown}' is not present in the expected dataclass fields {self.type_name}"
            )
        self._check_keys(dict.fromkeys(names))


class TypedDictTransformer(_Structured):
    """A TypedDict; keys that it does not declare are dropped, as in Flyte."""

    def _field_names(self) -> list[str]:
        return list(get_type_hints(self.origin))

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, dict):
            raise TypeTransformerFailedError(f"Expected a dict but got {type(value)}")
        missing = sorted(self.origin.__required_keys__ - value.keys())
        if missing:
            raise TypeTransformerFailedError(f"Missing required key '{missing[0]}' for TypedDict {self.origin}")
        return {name: self._encode_field(name, value[name], blobs) for name in self.fields if name in value}

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return {name: self._decode_field(name, item, blobs) for name, item in tree.items() if name in self.fields}


class NamedTupleTransformer(_Structured):
    """A NamedTuple as one value; a plain tuple or list of the same length is taken too."""

    def _field_names(self) -> list[str]:
        return list(self.origin._fields)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        _check_length(value, len(self.fields))
        return {name: self._encode_field(name, item, blobs) for name, item in zip(self.fields, value, strict=True)}

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return self.origin._make(self._decode_field(name, tree[name], blobs) for name in self.fields)


class TupleTransformer:
    """`tuple[A, B]` and `tuple[T, ...]` as one value."""

    identity = False

    def __init__(self, python_type: Any, resolve: Resolve) -> None:
        args = get_args(python_type)
        self.type_name = describe_type(python_type)
        self.repeated = len(args) == 2 and args[1] is Ellipsis
        self.places = [resolve(arg, True) for arg in (args[:1] if self.repeated else args)]

    def encode(self, value: Any, blobs: Blobs) -> Any:
        _check_length(value, None if self.repeated else len(self.places))
        items = [place.encode(item, blobs) for place, item in zip(self._places(value), value, strict=True)]
        return tagged("tuple", items)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        items = leaf_content(tree)[1]
        return tuple(place.decode(item, blobs) for place, item in zip(self._places(items), items, strict=True))

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)

    def _places(self, items: Any) -> list[Transformer]:
        return self.places * len(items) if self.repeated else self.places


def structured_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of a dataclass, NamedTuple, TypedDict or tuple type, None when the type is none of them."""
    origin = get_origin(python_type) or python_type
    if not isinstance(origin, type):
        return None
    if dataclasses.is_dataclass(origin):
        return DataclassTransformer(python_type, resolve)
    if is_typeddict(origin):
        return TypedDictTransformer(python_type, resolve)
    if issubclass(origin, tuple) and hasattr(origin, "_fields"):
        return NamedTupleTransformer(python_type, resolve)
    if origin is tuple and origin is not python_type and get_args(python_type):
        return TupleTransformer(python_type, resolve)
    return None


def _check_length(value: Any, length: int | None) -> None:
    if not isinstance(value, tuple | list):
        raise TypeTransformerFailedError(f"Expected a tuple but got {type(value)}")
    if length is not None and len(value) != length:
        raise TypeTransformerFailedError(f"Tuple length {len(value)} doesn't match expected length {length}")


def _field_types(origin: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The types of a class's fields, with the parameters of a generic class filled in."""
    try:
        hints = get_type_hints(origin, include_extras=True)
    except NameError:  # a postponed annotation names something that lives in a function: values speak for themselves
        return {}
    filled = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
    return {name: _fill(hint, filled) for name, hint in hints.items()}


def _fill(hint: Any, filled: dict[Any, Any]) -> Any:
    if get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    if isinstance(hint, TypeVar):
        return filled.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    if parameters and not isinstance(hint, type):
        return hint[tuple(filled.get(parameter, Any) for parameter in parameters)]
    return hint
