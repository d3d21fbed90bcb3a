"""What a class of the user's own says: its bases, its body and its annotations, as it stands.

The body is walked, not parsed: `inspect.getsource` does not find a notebook's classes before Python 3.13. Methods that
a decorator generated (dataclasses, attrs) are left out; what they were generated from, fields and options, is put in.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from types import FunctionType, MemberDescriptorType
from typing import Any

from flyte_nb.engine.code.ownership import is_own_module

if sys.version_info >= (3, 14):
    import annotationlib

__all__ = ["class_items"]

_DATACLASS_OPTIONS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_CODE = (FunctionType, staticmethod, classmethod, property, cached_property)
_ANNOTATE = ("__annotate__", "__annotate_func__")
"""Functions that Python 3.14 makes of the annotations, which are put in by themselves."""


def class_items(cls: type) -> Iterator[tuple[str, Any]]:
    """All that a class says, as pairs of a name and a value or another piece of code, in an order of their own."""
    if type(cls) is not type:
        yield "(metaclass)", type(cls)
    for base in cls.__bases__:
        if base is not object:
            yield "(base)", base
    annotations = _annotations(cls)
    if annotations:
        yield "(annotations)", [[name, annotations[name]] for name in sorted(annotations)]
    yield from _fields(cls)
    if issubclass(cls, Enum):
        yield "(members)", [[name, member.value] for name, member in cls.__members__.items()]
    for name, value in sorted(vars(cls).items()):
        if _is_said(cls, name, value):
            yield name, value


def _is_said(cls: type, name: str, value: object) -> bool:
    """True for what the user wrote in the body, False for what Python or a decorator put there."""
    if name in _ANNOTATE:
        return False
    if isinstance(value, _CODE):
        function = _function_of(value)
        special = name.startswith("_") and name.endswith("_")
        return not _is_generated(function) and (_is_own(function) or not special)
    if _is_dunder(name) or name.startswith(("_abc_", "_is_")) or isinstance(value, MemberDescriptorType):
        return False
    if issubclass(cls, Enum):
        return name not in cls.__members__ and not name.startswith("_")
    return not (issubclass(cls, tuple) and hasattr(cls, "_fields") and name.startswith("_"))


def _function_of(value: Any) -> Any:
    """The innermost function of a method, property or decorated function; None when there is none."""
    match value:
        case FunctionType():
            return inspect.unwrap(value) if value.__dict__ else value
        case staticmethod() | classmethod():
            return _function_of(value.__func__)
        case property():
            return _function_of(value.fget or value.fset or value.fdel)
        case cached_property():
            return _function_of(value.func)
        case _:
            return None


def _is_own(function: Any) -> bool:
    return isinstance(function, FunctionType) and is_own_module(function.__globals__.get("__name__", ""))


def _is_generated(function: Any) -> bool:
    return isinstance(function, FunctionType) and (
        function.__code__.co_qualname.startswith("__create_fn__")
        or function.__code__.co_filename.startswith("<attrs generated")
        or function.__globals__.get("__name__", "").startswith("namedtuple_")
    )


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    annotations: dict[str, Any] = vars(cls).get("__annotations__", {})
    return annotations


def _fields(cls: type) -> Iterator[tuple[str, Any]]:
    """What the generators of methods were told: dataclasses, pydantic and attrs, each in its own place."""
    own = vars(cls)
    if "__dataclass_params__" in own:
        options = own["__dataclass_params__"]
        yield "(dataclass)", [getattr(options, name) for name in _DATACLASS_OPTIONS]
        yield "(fields)", [_dataclass_field(field) for field in own["__dataclass_fields__"].values()]
    if "__pydantic_fields__" in own:
        fields = own["__pydantic_fields__"].items()
        yield "(fields)", [[name, field.default_factory, _text(field)] for name, field in fields]
        yield (
            "(validators)",
            [
                [kind.name, name, _text(decorator.info)]
                for kind in dataclasses.fields(own["__pydantic_decorators__"])
                for name, decorator in getattr(own["__pydantic_decorators__"], kind.name).items()
            ],
        )
    if "__attrs_attrs__" in own:
        yield "(fields)", [[getattr(field, name) for name in type(field).__slots__] for field in own["__attrs_attrs__"]]


def _dataclass_field(field: Any) -> list[Any]:
    defaults = [[] if value is dataclasses.MISSING else [value] for value in (field.default, field.default_factory)]
    options = f"{field.init} {field.repr} {field.hash} {field.compare} {field.kw_only is True}"
    return [field.name, options, *defaults, *([dict(field.metadata)] if field.metadata else ())]


def _text(value: object) -> str:
    return _ADDRESS.sub("", repr(value))
