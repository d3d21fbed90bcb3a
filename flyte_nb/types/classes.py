"""Classes that pickle by value, as those of a notebook's cells do, and stay the same class in every process.

A class is named by its tracker id: a process that has the class of that id uses its own, as it stands, and fills only
one that it did not have. (cloudpickle fills a class anew each time, with copies of its methods: whoever decodes an
instance would then have its own class changed under it.) A value's class may be one of another kernel, or of its cell
before that ran again: where the notebook has a class of that name which says the same, the value becomes one of it.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import sys
import weakref
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import cloudpickle
from cloudpickle import cloudpickle as trackers

from flyte_nb.errors import RuntimeUserError

__all__ = ["PYTHON", "ValuePickler", "check_python", "class_of_id", "fill_class", "id_of_class", "identify_code"]

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SENTINELS = ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")
"""Objects of `dataclasses` that are what they are by identity."""

_names_of_sentinels = {id(getattr(dataclasses, name)): name for name in SENTINELS if hasattr(dataclasses, name)}
_whole: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes by value that have all that belongs to them."""


identify_code: list[Callable[[Any], str]] = []
"""What names a function or class by what it says; the engine puts its digest here."""


class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
    """cloudpickle, with classes that keep their identity and their state.

    Attributes:
        holds_code: a function or class was pickled by value.
        finds_twins: classes are found by what they say, too.
    """

    holds_code = False
    finds_twins = False

    @classmethod
    def dumps(cls, value: Any, *arguments: Any) -> bytes:
        """The pickle of a value, by a pickler that is made of the further arguments."""
        out = io.BytesIO()
        cls(out, *arguments).dump(value)
        return out.getvalue()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type):
            reduced = kept(super().reducer_override(obj), self.finds_twins)
            self.holds_code |= is_by_value(reduced)
            return reduced
        if isinstance(obj, FunctionType):
            reduced = super().reducer_override(obj)
            self.holds_code |= is_by_value(reduced)
            return reduced
        if isinstance(obj, CodeType):
            _, arguments = self.dispatch_table[CodeType](obj)
            return code_of, (PYTHON, *arguments)
        if id(obj) in _names_of_sentinels:
            return _names_of_sentinels[id(obj)]
        if type(obj) is functools.cached_property:  # before Python 3.12 it holds a lock
            return functools.cached_property, (obj.func,), {"attrname": obj.attrname, "__doc__": obj.__doc__}
        return super().reducer_override(obj)


def code_of(python: str, *arguments: Any) -> CodeType:
    """Pickled code.

    Raises:
        RuntimeUserError: another Python compiled it.
    """
    check_python(python)
    return CodeType(*arguments)


def check_python(python: str) -> None:
    """Compiled code is for one minor version of Python; another would crash.

    Args:
        python: that compiled it, such as `3.11`.

    Raises:
        RuntimeUserError: it was another than this.
    """
    if python != PYTHON:
        raise RuntimeUserError(
            "OtherPython",
            f"it holds code that Python {python} compiled, which Python {PYTHON} cannot run: open it with {python}",
        )


def is_by_value(reduced: Any) -> bool:
    """Whether a function or class is reduced to what it says, not to its name."""
    return isinstance(reduced, tuple) and len(reduced) == 6


def kept(reduced: Any, finds_twins: bool = False) -> Any:
    """The reduction of a class, made so that a class which is known is left alone."""
    if not isinstance(reduced, tuple) or len(reduced) != 6:  # by reference, or built in
        return reduced
    make, arguments, state, *_ = reduced
    cls = trackers._DYNAMIC_CLASS_TRACKER_BY_ID[arguments[-2]]
    _whole.add(cls)
    said = (identify_code[0](cls),) if finds_twins and identify_code else ()
    return _known_or_made, (make, arguments, *said), state, None, None, _filled_once


def class_of_id(tracker_id: str) -> type | None:
    """The class of a tracker id, None when this process does not have it."""
    known: type | None = trackers._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker_id)
    return known


def id_of_class(cls: type) -> str:
    """The tracker id of a class."""
    tracker_id: str = trackers._get_or_create_tracker_id(cls)
    return tracker_id


def fill_class(cls: type, state: Any) -> None:
    """Gives a class all that belongs to it, whatever it has."""
    _whole.add(cls)
    trackers._class_setstate(cls, state)


def _known_or_made(make: Callable[..., type], arguments: tuple[Any, ...], said: str = "") -> type:
    tracker_id = arguments[-2]
    return class_of_id(tracker_id) or _twin(arguments[1], said, tracker_id) or make(*arguments)


def _twin(name: str, said: str, tracker_id: str) -> type | None:
    """The notebook's class of a name, if it says the same; known by the other's tracker id from now on."""
    found = getattr(sys.modules.get("__main__"), name, None) if said and identify_code else None
    if not isinstance(found, type) or found.__module__ != "__main__" or identify_code[0](found) != said:
        return None
    _whole.add(found)
    trackers._DYNAMIC_CLASS_TRACKER_BY_ID[tracker_id] = found
    return found


def _filled_once(cls: type, state: Any) -> None:
    if cls not in _whole:
        fill_class(cls, state)
