"""Which transformer serves a type: users' own first, then one family of types after the other, at last the pickle.

    transformer_for(list[Model]) -> ListTransformer(PydanticTransformer(Model))

A family is a function `(python_type, resolve, lenient) -> Transformer | None`, where `resolve` is `transformer_for` and
finds the transformers of inner types. Families that need a heavy package recognise its types and never import it.
"""

from __future__ import annotations

import inspect
from collections.abc import KeysView
from functools import lru_cache
from typing import Annotated, Any, TypeVar, get_args, get_origin

from flyte_nb.types.anything import AnyTransformer
from flyte_nb.types.arrays import array_family
from flyte_nb.types.base import Family, Transformer
from flyte_nb.types.containers import container_family
from flyte_nb.types.datetimes import datetime_family
from flyte_nb.types.enums import enum_family
from flyte_nb.types.frames import ColumnsTransformer, FrameTransformer, frame_family
from flyte_nb.types.hashed import HashedTransformer, hash_function_in
from flyte_nb.types.models import pydantic_family
from flyte_nb.types.names import describe_type
from flyte_nb.types.pickles import PickleTransformer
from flyte_nb.types.scalars import scalar_family
from flyte_nb.types.structured import structured_family
from flyte_nb.types.unions import union_family

__all__ = ["register", "register_family", "registered_types", "transformer_for"]

BUILT_IN: tuple[Family, ...] = (
    scalar_family,
    datetime_family,
    enum_family,
    union_family,
    structured_family,
    container_family,
    frame_family,
    array_family,
    pydantic_family,
)

_registered: dict[Any, Transformer] = {}
_families: list[Family] = []


def register(python_type: Any, transformer: Transformer) -> None:
    """Makes `transformer` serve a type and its subclasses, before every built-in family."""
    _registered[python_type] = transformer
    _cached.cache_clear()


def registered_types() -> KeysView[Any]:
    """The types that `register` was called with."""
    return _registered.keys()


def register_family(family: Family) -> None:
    """Adds a family of types, asked before the built-in ones."""
    _families.append(family)
    _cached.cache_clear()


def transformer_for(python_type: Any, lenient: bool = False) -> Transformer:
    """The transformer of a type.

    Args:
        python_type: a class, a generic alias, a union, `Any`, `inspect.Parameter.empty` for an unannotated input.
        lenient: as the type of a field of a dataclass, NamedTuple, TypedDict or tuple, where numbers are converted.

    Raises:
        TypeTransformerFailedError: when Flyte cannot carry the type, e.g. an `enum.Flag`.
        ValueError: for `List` without an element type.
    """
    try:
        return _cached(python_type, lenient, repr(python_type))
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _build(python_type, lenient)


@lru_cache(maxsize=4096, typed=True)
def _cached(python_type: Any, lenient: bool, written: str) -> Transformer:
    # `written` keeps apart what Python takes for equal: Union[int, str] and Union[str, int].
    return _build(python_type, lenient)


def _build(python_type: Any, lenient: bool) -> Transformer:
    if get_origin(python_type) is Annotated:
        inner, *metadata = get_args(python_type)
        transformer = transformer_for(inner, lenient)
        columns = next((list(item) for item in metadata if isinstance(item, dict)), None)
        if columns and type(transformer) is FrameTransformer:
            transformer = ColumnsTransformer(transformer.python_type, columns)
        hash_function = hash_function_in(metadata)
        return transformer if hash_function is None else HashedTransformer(transformer, hash_function)
    if python_type in (Any, object, inspect.Parameter.empty) or isinstance(python_type, TypeVar):
        return AnyTransformer()
    for known in getattr(python_type, "__mro__", (python_type,)):
        if known in _registered:
            return _registered[known]

    found = (family(python_type, transformer_for, lenient) for family in (*_families, *BUILT_IN))
    return next(filter(None, found), None) or PickleTransformer(describe_type(python_type))
