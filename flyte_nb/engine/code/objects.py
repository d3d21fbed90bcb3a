"""Pieces of code as Python has them: functions, classes and modules, and what is made of functions.

What is the user's own is followed; what is installed counts by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from flyte_nb.engine.code.ownership import installed_name, is_own_module
from flyte_nb.engine.parts import Part

__all__ = ["code_part", "is_own_function"]


def is_own_function(function: FunctionType) -> bool:
    """True when the user wrote the function's body; a wrapper made by an installed decorator is not."""
    return is_own_module(function.__globals__.get("__name__", ""))


def code_part(value: object, follow: Callable[[Any], Part], encode: Callable[[object], Part]) -> Part | None:
    """The part that stands for a piece of code; None when the value is none.

    Args:
        value: anything.
        follow: gives the part of a function, class or module of the user's own.
        encode: gives the part of what a method is bound to, of a partial's arguments, of a property's functions.
    """
    match value:
        case FunctionType():
            if is_own_function(value) or value.__closure__:  # what an installed decorator wraps may be the user's
                return follow(value)
            return ["installed", installed_name(value.__globals__.get("__name__"), value.__code__.co_qualname)]
        case type():
            return follow(value) if is_own_module(value.__module__) else ["installed", _name_of(value)]
        case ModuleType():
            return follow(value) if is_own_module(value.__name__) else ["installed", value.__name__]
        case MethodType():
            return ["method", encode(value.__self__), encode(value.__func__)]
        case partial():
            return ["partial", encode(value.func), encode(value.args), encode(value.keywords)]
        case staticmethod() | classmethod():
            return [type(value).__name__, encode(value.__func__)]
        case property():
            return ["property", encode(value.fget), encode(value.fset), encode(value.fdel)]
        case cached_property():
            return ["cached_property", encode(value.func)]
        case BuiltinFunctionType() | MethodWrapperType():
            owner = value.__self__
            if owner is None or isinstance(owner, ModuleType | type):
                return ["installed", _name_of(value)]
            return ["method", encode(owner), value.__name__]
        case MethodDescriptorType() | WrapperDescriptorType() | ClassMethodDescriptorType():
            return ["installed", f"{_name_of(value.__objclass__)}.{value.__name__}"]
        case GetSetDescriptorType() | MemberDescriptorType():
            return ["descriptor", value.__name__]
        case _:
            return None


def _name_of(value: Any) -> str:
    return installed_name(getattr(value, "__module__", None), value.__qualname__)
