"""The values that code reaches: constants, settings, tables, each as a part of a digest.

    by value                 scalars, enums, paths, dates, containers to 1,000 items and 100 levels, arrays to 1 MB
    class and attributes instances of the user's own classes
    name, type and shape all else: larger containers and arrays, frames, models, connections

What counts by its type alone may change unnoticed, so it is handed back beside the part and the user is told once:
pass it as an input. Functions, classes and modules are not values; `refer` stands for them.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import PurePath
from types import MappingProxyType, UnionType
from typing import Any, ForwardRef, Union, get_args, get_origin

from flyte_nb.engine.code.ownership import installed_name, is_own_module
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.parts import Part, integer, text

__all__ = ["MAX_ARRAY_BYTES", "MAX_DEPTH", "MAX_ITEMS", "TooLarge", "ValueEncoder", "type_name"]

MAX_ITEMS = 1_000
MAX_DEPTH = 100
MAX_ARRAY_BYTES = 1_000_000

_BY_REPR = {
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *(f"builtins.{name}" for name in ("complex", "ellipsis", "NotImplementedType", "range")),
    *("decimal.Decimal", "fractions.Fraction", "uuid.UUID", "zoneinfo.ZoneInfo"),
    *("typing.ParamSpec", "typing.TypeVar", "typing._SpecialForm"),
}
"""Types of the standard library whose repr is their value, the same on every Python."""

_NEVER_DATA = {"flyte_nb", "IPython", "ipykernel", "ipywidgets", "traitlets"}
"""Packages whose objects (like those of the standard library: loggers, locks) nobody would pass as an input."""


class TooLarge(Exception):
    """A value has more items, levels or bytes than are digested by value."""


class ValueEncoder:
    """Encodes values one after another.

    Args:
        refer: gives the part of a function, class, module, task ...; None for a value.
    """

    def __init__(self, refer: Callable[[object], Part | None]) -> None:
        self._refer = refer
        self._opaque: list[str] = []
        self._items = 0
        self._array_bytes = 0
        self._open: list[int] = []

    def encode_within_limits(self, value: object) -> tuple[Part, list[str]]:
        """The part of one value of a name, and what of it counts by its type alone, as types and shapes."""
        self._items = self._array_bytes = 0
        self._opaque = []
        try:
            part = self.encode(value)
        except TooLarge:
            what = _described(value)
            part, self._opaque = ["opaque", what], [what]
        return part, self._opaque

    def encode(self, value: object) -> Part:
        """The part of a value, or of a piece of code.

        Raises:
            TooLarge: when the value is over the limits.
        """
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value  # type: ignore[return-value]
        if kind is int:
            return integer(value)  # type: ignore[arg-type]
        if kind is str:
            return text(value)  # type: ignore[arg-type]
        if kind is bytes:
            return value  # type: ignore[return-value]
        if kind not in _PLAIN_CONTAINERS:
            reference = self._refer(value)
            if reference is not None:
                return reference
        if id(value) in self._open:
            return ["cycle", len(self._open) - self._open.index(id(value))]
        if len(self._open) == MAX_DEPTH:
            raise TooLarge
        self._open.append(id(value))
        try:
            if kind in _PLAIN_CONTAINERS:
                return [kind.__name__, self._contents(value)]
            return self._encode_type(value) or [self._refer(kind), self._encode_object(value, kind)]
        finally:
            self._open.pop()

    def _encode_type(self, value: Any) -> Part:
        """The part of a type that is no class, `list[int]` or `"Later" | None`; None for anything else.

        It counts by what it says: the classes that Python makes such types of change from version to version.
        """
        if isinstance(value, ForwardRef):
            return ["ForwardRef", value.__forward_arg__]
        origin = get_origin(value)
        if origin is None:
            return None
        if origin is Union or origin is UnionType:
            name: Part = "Union"
        else:
            name = origin.__name__ if origin.__module__ == "typing" else self.encode(origin)
        return ["Generic", name, [self.encode(argument) for argument in get_args(value)]]

    def _encode_object(self, value: Any, kind: type) -> Part:
        name = type_name(kind)
        if isinstance(value, Enum):
            return value.name
        if isinstance(value, PurePath):
            return text(str(value))
        if name in _BY_REPR:
            return repr(value)
        if name == "re.Pattern":
            return [self.encode(value.pattern), value.flags]
        if name == "builtins.slice":
            return [self.encode(value.start), self.encode(value.stop), self.encode(value.step)]
        if isinstance(value, _CONTAINERS):
            return [self._contents(value), self._attributes(value)]
        if name.startswith("numpy.") and hasattr(value, "dtype") and hasattr(value, "tobytes"):
            return self._array(value)
        if is_own_module(kind.__module__):
            return self._attributes(value)
        wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
        if wrapped is not None:
            return self.encode(wrapped)
        return self._opaque_object(value, kind)

    def _contents(self, value: Any) -> Part:
        """The items of a container, in its order where it has one; the plain value of a subclass of a scalar."""
        match value:
            case list() | tuple() | deque():
                self._count(len(value))
                return [self.encode(item) for item in value]
            case dict() | MappingProxyType():
                self._count(len(value))
                return [[self.encode(key), self.encode(item)] for key, item in value.items()]
            case float():
                return float(value)
            case int():
                return integer(int(value))
            case str():
                return text(str.__str__(value))
            case bytes() | bytearray():
                return bytes(value)
            case set() | frozenset():
                self._count(len(value))
                return sorted(hash_struct("", self.encode(item)) for item in value)
            case _:
                raise TypeError(f"not a container: {type(value).__name__}")

    def _attributes(self, value: object) -> Part:
        """What an instance of the user's own class holds, by name."""
        kind = type(value)
        if not is_own_module(kind.__module__):
            return None
        attributes = {**dict(_slots(value)), **getattr(value, "__dict__", {})}
        self._count(len(attributes))
        return [[name, self.encode(attributes[name])] for name in sorted(attributes)]

    def _array(self, value: Any) -> Part:
        if value.dtype.hasobject:
            self._count(value.size)
            return [list(value.shape), [self.encode(item) for item in value.ravel().tolist()]]
        self._array_bytes += value.nbytes
        if self._array_bytes > MAX_ARRAY_BYTES:
            raise TooLarge
        return [value.dtype.str, list(value.shape), hash_struct("Buffer", value.tobytes())]

    def _opaque_object(self, value: object, kind: type) -> Part:
        name = getattr(value, "__name__", None)
        if callable(value) and isinstance(name, str):  # a compiled function: counts by name like any installed one
            return name
        shape = _shape_of(value)
        package = kind.__module__.partition(".")[0]
        if package not in sys.stdlib_module_names and package not in _NEVER_DATA:
            self._opaque.append(_described(value))
        return shape

    def _count(self, items: int) -> None:
        self._items += items
        if self._items > MAX_ITEMS:
            raise TooLarge


_PLAIN_CONTAINERS = {list, tuple, dict, set, frozenset}
_CONTAINERS = (int, float, str, bytes, bytearray, dict, MappingProxyType, list, tuple, set, frozenset, deque)
"""With the scalars: an instance of a subclass has contents and attributes."""


def type_name(kind: type) -> str:
    """A class by package and qualified name."""
    return installed_name(kind.__module__, kind.__qualname__)


def _described(value: object) -> str:
    """Type and shape, for people: `list of 2000 items`, `numpy.ndarray 300 x 2 float64`."""
    return f"{type_name(type(value)).removeprefix('builtins.')} {_shape_of(value)}".strip()


def _shape_of(value: object) -> str:
    """Shape and element type of an array or frame, the length of what has one, else nothing."""
    try:
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
        if isinstance(shape, Iterable):
            return " x ".join(str(int(size)) for size in shape) + (f" {dtype}" if dtype is not None else "")
        return f"of {len(value)} items"  # type: ignore[arg-type]
    except Exception:  # any property of any object may raise anything; then it has no shape
        return ""


def _slots(value: object) -> Iterator[tuple[str, object]]:
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            mangled = (
                f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
            )
            if name not in ("__dict__", "__weakref__") and hasattr(value, mangled):
                yield mangled, getattr(value, mangled)
