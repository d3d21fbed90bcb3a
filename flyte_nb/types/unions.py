"""Unions and optional types: the first member that takes the value carries it.

    Optional[T], values of T       null, or the tree of T
    unions of scalars              the scalar itself
    any other union                tagged "union": [the member's name, its tree]

A value whose exact type is a member goes to that member.
"""

from __future__ import annotations

import types
import typing
from typing import Any, get_args, get_origin

from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError, is_canonical
from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import preview_of_value, short_text
from flyte_nb.types.scalars import ScalarTransformer
from flyte_nb.types.trees import leaf_content, tagged

__all__ = ["OptionalTransformer", "ScalarUnionTransformer", "UnionTransformer", "union_family"]


class UnionTransformer:
    """A union; a value whose exact type is a member goes to that member."""

    identity = False

    def __init__(self, union: Any, members: list[tuple[Any, Transformer]]) -> None:
        self.union = union
        self.type_name = describe_type(union)
        self.by_name = {_name_in(members, member): transformer for member, transformer in members}
        self.exact = {member: _name_in(members, member) for member, _ in members if isinstance(member, type)}

    def encode(self, value: Any, blobs: Blobs) -> Any:
        exact = self.exact.get(type(value))
        for name in self.by_name if exact is None else (exact,):
            try:
                return tagged("union", [name, self.by_name[name].encode(value, blobs)])
            except TypeTransformerFailedError:
                continue
        raise TypeTransformerFailedError(f"Cannot convert from {short_text(value)} to {self.union}")

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        name, inner = leaf_content(tree)[1]
        return self.by_name[name].decode(inner, blobs)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


def _name_in(members: list[tuple[Any, Transformer]], member: Any) -> str:
    """A member's name in its union. Not its position: Python takes unions that differ in order for the same type."""
    names = [describe_type(other) for other, _ in members]
    name = describe_type(member)
    return name if names.count(name) == 1 else repr(member)


class OptionalTransformer:
    """One type, or None."""

    def __init__(self, union: Any, inner: Transformer) -> None:
        self.union = union
        self.inner = inner
        self.identity = inner.identity
        self.canonical = is_canonical(inner)
        self.type_name = describe_type(union)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if value is None:
            return None
        try:
            return self.inner.encode(value, blobs)
        except TypeTransformerFailedError as error:
            if type(self.inner) is ScalarTransformer:
                raise TypeTransformerFailedError(f"Value {short_text(value)} is not of type {self.union}") from None
            raise error

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return None if tree is None else self.inner.decode(tree, blobs)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value) if value is None else self.inner.preview(value)


class ScalarUnionTransformer:
    """A union of None, bool, int, float and str, which stand for themselves."""

    identity = True

    def __init__(self, union: Any, members: list[ScalarTransformer]) -> None:
        self.union = union
        self.members = members
        self.exact = frozenset(member.python_type for member in members)
        self.type_name = describe_type(union)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if type(value) in self.exact:
            return value
        for member in self.members:
            try:
                return member.encode(value, blobs)
            except TypeTransformerFailedError:
                continue
        raise TypeTransformerFailedError(f"Value {short_text(value)} is not of type {self.union}")

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return tree

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


def union_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of a union, None when the type is not one."""
    if get_origin(python_type) not in (typing.Union, types.UnionType):
        return None
    members = [(member, resolve(member, lenient)) for member in get_args(python_type)]
    scalars = [transformer for _, transformer in members if type(transformer) is ScalarTransformer]
    if len(scalars) == len(members):
        return ScalarUnionTransformer(python_type, scalars)
    inner = [transformer for member, transformer in members if member is not type(None)]
    if len(inner) == 1 and len(members) == 2:
        return OptionalTransformer(python_type, inner[0])
    return UnionTransformer(python_type, members)
