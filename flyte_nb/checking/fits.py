"""Whether what is known of a value can be of a declared type. Says no only where the engine would refuse every value.

Constants are tried out: the engine's own encoding decides. For declared types its rules are applied: scalars are
strict (an int is no float, a bool no int), a list takes lists only, a union what one of its members takes.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin

from flyte_nb.checking.inferred import Constant, Coroutine, Inferred, Items, Of, Pairs
from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.registry import registered_types, transformer_for

__all__ = ["element_of", "fits"]

STRICT = (bool, int, float, str, types.NoneType)
ANYTHING = (Any, object, inspect.Parameter.empty, list, tuple, set, frozenset)
"""Declared types that take any value; an untyped list does, too."""
UNIONS = (typing.Union, types.UnionType)


def fits(value: Inferred, declared: Any) -> bool:
    """False when no such value is of the declared type."""
    if get_origin(declared) is typing.Annotated:
        declared = get_args(declared)[0]
    if declared is None:
        declared = types.NoneType
    if declared in ANYTHING or isinstance(declared, TypeVar | str):
        return True
    if any(known in registered_types() for known in getattr(declared, "__mro__", ())):
        return True
    if get_origin(declared) in UNIONS:
        return any(fits(value, member) for member in get_args(declared))
    match value:
        case Constant(content):
            return _constant_fits(content, declared)
        case Of(kind):
            return _type_fits(kind, declared)
        case Items():
            return _items_fit(value, declared)
        case Pairs():
            return _pairs_fit(value, declared)
        case _:
            return True


def element_of(value: Inferred) -> Sequence[Inferred]:
    """What is known of the items of an iterable; empty when nothing is."""
    match value:
        case Items(items=items):
            return items
        case Of(kind) if get_origin(kind) in (list, set, frozenset) and get_args(kind):
            return (Of(get_args(kind)[0]),)
        case Of(kind) if kind is range:
            return (Of(int),)
        case _:
            return ()


def _constant_fits(content: Any, declared: Any) -> bool:
    try:
        transformer_for(declared).encode(content, MemoryBlobs())
    except TypeTransformerFailedError:
        return False
    except Exception:  # a transformer of the user's own may raise anything; the run will say so
        return True
    return True


def _type_fits(kind: Any, declared: Any) -> bool:
    if get_origin(kind) is typing.Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in UNIONS:
        return any(_type_fits(member, declared) for member in get_args(kind))
    origin, declared_origin = get_origin(kind) or kind, get_origin(declared) or declared
    if not isinstance(origin, type) or not isinstance(declared_origin, type) or origin in (Any, object):
        return True
    if declared_origin in STRICT:
        return origin is declared_origin if origin in STRICT else _are_related(origin, declared_origin)
    if declared_origin is list:
        return _parameters_fit(kind, declared) if origin is list else _are_related(origin, list)
    if declared_origin is dict:
        return origin not in (*STRICT, list, tuple, set)
    if dataclasses.is_dataclass(declared_origin):
        return _can_be(origin, declared_origin)
    return True


def _parameters_fit(kind: Any, declared: Any) -> bool:
    mine, theirs = get_args(kind), get_args(declared)
    return not mine or not theirs or fits(Of(mine[0]), theirs[0])


def _can_be(origin: type, declared: type) -> bool:
    """Whether a value of one class can be an instance of a dataclass; False for scalars and unrelated dataclasses."""
    if origin in (bool, int, float, bytes, list):
        return False
    if not dataclasses.is_dataclass(origin) or issubclass(origin, Enum):
        return True
    was_redefined = (origin.__module__, origin.__qualname__) == (declared.__module__, declared.__qualname__)
    return was_redefined or _are_related(origin, declared)


def _are_related(one: type, other: type) -> bool:
    """Whether a value of one class can be an instance of the other; abstract classes count."""
    try:
        return issubclass(one, other) or issubclass(other, one)
    except TypeError:  # a protocol that cannot be asked
        return True


def _items_fit(value: Items, declared: Any) -> bool:
    origin, members = get_origin(declared) or declared, get_args(declared)
    if origin in STRICT or origin is dict:
        return False
    if not members:
        return True
    if origin is list:
        return value.kind is list and _all_fit(value.items, members[0])
    return origin not in (set, frozenset) or _all_fit(value.items, members[0])


def _pairs_fit(value: Pairs, declared: Any) -> bool:
    origin, members = get_origin(declared) or declared, get_args(declared)
    if origin in STRICT or origin is list:
        return False
    if origin is dict and members and members[0] is str:
        return _all_fit(value.keys, str) and _all_fit(value.values, members[1])
    return True


def _all_fit(values: Sequence[Inferred], declared: Any) -> bool:
    return all(fits(value, declared) for value in values if not isinstance(value, Coroutine))
