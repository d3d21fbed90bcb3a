"""Enums and literals: choices among named members.

A member crosses by name, so a member of a class that a notebook cell has defined again is still the member. At the top
of a signature `Literal["a", "b"]` arrives here as Flyte makes it: an enum named `LiteralEnum`, whose values the task
sees.
"""

from __future__ import annotations

import enum
from typing import Any, Literal, get_args, get_origin

from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import preview_of_value, short_text

__all__ = ["EnumTransformer", "LiteralEnumTransformer", "LiteralTransformer", "enum_family"]


class EnumTransformer:
    """A member of an enum, or its name."""

    identity = False
    canonical = True

    def __init__(self, enum_type: type[enum.Enum]) -> None:
        self.enum_type = enum_type
        self.type_name = enum_type.__name__
        _check_transportable(enum_type)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        members = self.enum_type.__members__
        if isinstance(value, self.enum_type):
            return value.name
        if isinstance(value, enum.Enum):
            same_class = (type(value).__module__, type(value).__qualname__)
            if same_class == (self.enum_type.__module__, self.enum_type.__qualname__) and value.name in members:
                return value.name
            raise TypeTransformerFailedError(f"Value {value} is not in Enum {self.enum_type}")
        if isinstance(value, str) and value in members:
            return str(value)
        if not isinstance(value, str | int) or value not in [member.value for member in self.enum_type]:
            raise TypeTransformerFailedError(f"Value {short_text(value)} is not in Enum {self.enum_type}")
        if not isinstance(value, str):
            raise TypeTransformerFailedError("Expected an enum")
        raise TypeTransformerFailedError(f"Value {value} is not valid value, expected - {list(members)}")

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        try:
            return self.enum_type[tree]
        except KeyError:
            raise TypeTransformerFailedError(f"Value {tree} is not in Enum {self.enum_type}") from None

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class LiteralEnumTransformer:
    """`Literal` of strings at the top of a signature: the task's body receives plain text."""

    identity = True

    def __init__(self, enum_type: type[enum.Enum]) -> None:
        self.enum_type = enum_type
        self.values = [member.value for member in enum_type]
        self.type_name = describe_type(enum_type)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if isinstance(value, enum.Enum):
            value = value.value
        if isinstance(value, str) and value in self.values:
            return str(value)
        if isinstance(value, str) and value in self.enum_type.__members__:
            raise TypeTransformerFailedError(f"Value {value} is not valid value, expected - {self.values}")
        shown = preview_of_value(value)["text"]
        raise TypeTransformerFailedError(f"Value {shown} is not in Enum {self.enum_type}")

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return tree

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class LiteralTransformer:
    """`Literal` inside another type."""

    identity = True

    def __init__(self, literal: Any) -> None:
        self.values = get_args(literal)
        self.type_name = describe_type(literal)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        for allowed in self.values:
            if type(value) is type(allowed) and value == allowed:
                return allowed.name if isinstance(allowed, enum.Enum) else allowed
        raise TypeTransformerFailedError(f"Value {short_text(value)} is not one of {self.type_name}")

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return next((v for v in self.values if isinstance(v, enum.Enum) and v.name == tree), tree)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


def enum_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of an enum or literal, None when the type is neither."""
    if get_origin(python_type) is Literal:
        return LiteralTransformer(python_type)
    if not (isinstance(python_type, type) and issubclass(python_type, enum.Enum)):
        return None
    return (
        LiteralEnumTransformer(python_type) if python_type.__name__ == "LiteralEnum" else EnumTransformer(python_type)
    )


def _check_transportable(enum_type: type[enum.Enum]) -> None:
    if issubclass(enum_type, enum.Flag):
        raise TypeTransformerFailedError(
            f"{enum_type.__name__} is a Flag enum. A composite member such as 'READ|WRITE' cannot be looked up by "
            "name, so Flag and IntFlag cannot cross a task boundary. Use an IntEnum, or pass the combined value as an "
            "int."
        )
    first = next(iter(enum_type), None)
    if first is None:
        raise TypeTransformerFailedError(f"{enum_type.__name__} has no members, so there is nothing to pass.")
    if not isinstance(first.value, str) and not issubclass(enum_type, enum.IntEnum):
        raise TypeTransformerFailedError(
            f"Only string-valued enums and IntEnum are supported, got {enum_type.__name__} with "
            f"{type(first.value).__name__} values."
        )
