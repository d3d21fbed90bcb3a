"""The names of types, as a person writes them: `int`, `list[Model]`, `DataFrame`, `int | None`."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from typing import Any, get_args, get_origin

__all__ = ["describe_type"]


def describe_type(python_type: Any) -> str:
    """A type as text, without module names."""
    if python_type is None or python_type is type(None):
        return "None"
    if python_type in (inspect.Parameter.empty, Any):
        return "Any"
    if python_type is Ellipsis:
        return "..."
    if isinstance(python_type, str):
        return python_type
    origin, args = get_origin(python_type), get_args(python_type)
    if origin is typing.Annotated:
        return describe_type(args[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(describe_type, args))
    if isinstance(python_type, list):
        return f"[{', '.join(map(describe_type, python_type))}]"
    if origin is not None:
        name = getattr(origin, "__name__", str(origin))
        return f"{name}[{', '.join(map(describe_type, args))}]" if args else name
    if isinstance(python_type, type):
        if issubclass(python_type, enum.Enum) and python_type.__name__ == "LiteralEnum":
            return f"Literal[{', '.join(repr(member.value) for member in python_type)}]"
        return python_type.__name__
    return getattr(python_type, "__name__", str(python_type))
