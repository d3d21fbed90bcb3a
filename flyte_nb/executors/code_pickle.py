"""Code by value: functions, and what is made of them, such that they live in the namespace of the other process.

    function -> its code object, the *name* of its namespace, cells, defaults, attributes
    class    -> by value, or as the pickler's subclass refers to it
    module   -> by name

A function is rebuilt with the other process's namespace of that name as its globals, so all functions of a module
(of the notebook: `__main__`) share one there, too. Both sides run the same minor version of Python: code objects
cross as they are. Stored code refers to the functions at the end of this module by their names: those are a part of the
store's format.
"""

from __future__ import annotations

import functools
import marshal
import pickle
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar
from importlib import import_module
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, Protocol

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.types.classes import PYTHON, ValuePickler, check_python, fill_class

__all__ = [
    "CodePickler",
    "Surroundings",
    "class_of",
    "code_bytes",
    "is_mirrored",
    "known_globals",
    "loads",
    "namespace_of",
    "settings_of",
    "surroundings",
    "template_of",
]

Reduction = Any
CACHED = type(functools.lru_cache(int))
LOCKS: dict[type, Callable[[], Any]] = {type(make()): make for make in (threading.Lock, threading.RLock)}
"""A lock guards the memory of one process: in another there is a new one."""


class Surroundings(Protocol):
    """What pickled code finds where it is loaded."""

    def module_of(self, namespace: str) -> ModuleType:
        """The module of a name that `namespace_of` gave on the other side."""

    def globals_of(self, namespace: str) -> dict[str, Any]:
        """Its names."""

    def class_of(self, tracker_id: str) -> type:
        """A class that crosses apart from the code that uses it."""

    def template_of(self, key: str, changes: bytes) -> TaskTemplate[Any, Any]:
        """A task that the other side knows, see `TaskReference`."""


_surroundings: ContextVar[Surroundings] = ContextVar("flyte_nb_surroundings")


def loads(pickled: bytes, within: Surroundings) -> Any:
    """Loads what a `CodePickler` pickled."""
    token = _surroundings.set(within)
    try:
        return pickle.loads(pickled)
    finally:
        _surroundings.reset(token)


def surroundings() -> Surroundings:
    """What `loads` was given."""
    return _surroundings.get()


class CodePickler(ValuePickler, ABC):
    """Pickles code; a subclass says how tasks cross, and hears of what is reached.

    Attributes:
        latest: the object that was begun last; of one that cannot be pickled, the culprit.
    """

    latest: Any = None
    root: Any = None

    # ---- For subclasses.

    @abstractmethod
    def refer_to_task(self, task: TaskTemplate[Any, Any]) -> Reduction:
        """How another task crosses."""

    @abstractmethod
    def code_of_trace(self, function: TraceFunction[..., Any]) -> str:
        """What names the code of a traced function in records."""

    def refer_to_class(self, cls: type) -> Reduction:
        """How a class crosses that no module of the other side has; here by value."""
        return super().reducer_override(cls)

    def reach_function(self, function: FunctionType, namespace: str) -> None:
        """A function crosses by value."""

    def reach_module(self, name: str) -> Iterable[str]:
        """The other side imports a module, and those submodules of it which are returned."""
        return ()

    # ---- Reductions.

    def reducer_override(self, obj: Any) -> Reduction:
        self.latest = obj
        kind = type(obj)
        if kind is FunctionType:
            return self._function(obj)
        if kind is CodeType:
            return _marshalled_code, (PYTHON, code_bytes(obj))
        if kind is CellType:
            return CellType, ()  # its content comes with the function that it belongs to
        if issubclass(kind, type):
            return self._class(obj)
        if kind is ModuleType:
            return self._module(obj)
        if issubclass(kind, TaskTemplate):
            return self.by_value(obj) if obj is self.root else self.refer_to_task(obj)
        if issubclass(kind, TraceFunction):
            return kind.__new__, (kind,), (obj.func, self.code_of_trace(obj)), None, None, _fill_trace
        if kind is CACHED and not _is_importable(obj):
            parameters = obj.cache_parameters()
            return _cached, (obj.__wrapped__, parameters["maxsize"], parameters["typed"])
        if kind in LOCKS:
            return LOCKS[kind], ()
        if kind is ContextVar:
            return _context_variable, (obj.name, *_default_of(obj))
        if kind is weakref.WeakKeyDictionary or kind is weakref.WeakValueDictionary:
            return kind, (dict(obj),)
        return super().reducer_override(obj)

    def _function(self, function: FunctionType) -> Reduction:
        if _is_importable(function):
            self.reach_module(function.__module__)
            return NotImplemented
        namespace = namespace_of(function.__globals__)
        self.reach_function(function, namespace)
        cells = function.__closure__ or ()
        state = (
            [_contents(cell) for cell in cells],
            function.__dict__,
            {name: getattr(function, name) for name in _STATE},
            _annotations(function),
        )
        return _make_function, (function.__code__, namespace, cells), state, None, None, _fill_function

    def _class(self, cls: type) -> Reduction:
        if _is_importable(cls):
            self.reach_module(cls.__module__)
            return NotImplemented
        if cls is self.root:
            return (*super().reducer_override(cls)[:5], fill_class)
        if cls.__module__ == "builtins":  # NoneType and the like
            return super().reducer_override(cls)
        return self.refer_to_class(cls)

    def _module(self, module: ModuleType) -> Reduction:
        namespace = namespace_of(vars(module))
        return _module_of, (namespace, *self.reach_module(namespace))

    def by_value(self, task: TaskTemplate[Any, Any]) -> Reduction:
        """A task with its function."""
        return _make_task, (type(task),), settings_of(task), None, None, _fill_task


# ---------------------------------------------------------------- what is by value

_STATE = ("__defaults__", "__kwdefaults__", "__doc__", "__module__", "__name__", "__qualname__")
_detached: dict[int, tuple[int, dict[str, Any]]] = {}
_marshalled: dict[int, tuple[weakref.ref[CodeType], bytes]] = {}


def is_mirrored(namespace: str) -> bool:
    """Whether a namespace has no file that it could be imported from, so that its names cross one by one."""
    return namespace == "__main__" or "@" in namespace


def namespace_of(names: dict[str, Any]) -> str:
    """The name of a function's globals: of the module, or one of our own for a dict that no import gives."""
    name = names.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is not None and vars(module) is names and (name == "__main__" or _has_origin(module)):
        return str(name)
    number, _ = _detached.setdefault(id(names), (len(_detached), names))
    return f"{name}@{number}"


def known_globals(namespace: str) -> dict[str, Any]:
    """The globals that `namespace_of` gave this name in this process."""
    _, _, number = namespace.partition("@")
    if number:
        return next(names for known, names in _detached.values() if known == int(number))
    return vars(import_module(namespace))


def settings_of(task: TaskTemplate[Any, Any]) -> dict[str, Any]:
    """All that a task says, without what this process keeps there for itself."""
    return {name: value for name, value in vars(task).items() if name not in ("parent_env", "_compiled", "_reference")}


def code_bytes(code: CodeType) -> bytes:
    """A code object as bytes, each time the same ones."""
    key = id(code)
    known = _marshalled.get(key)
    if known is not None and known[0]() is code:
        return known[1]
    marshalled = marshal.dumps(code)
    _marshalled[key] = weakref.ref(code, lambda _: _marshalled.pop(key, None)), marshalled
    return marshalled


def _is_importable(code: Any) -> bool:
    """Whether an import gives this very function or class."""
    name = getattr(code, "__module__", None)
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or name == "__main__" or not _has_origin(module):
        return False
    found: Any = module
    for attribute in code.__qualname__.split("."):
        found = getattr(found, attribute, None)
    return found is code


def _has_origin(module: ModuleType) -> bool:
    """False for a module that was made by hand."""
    return getattr(module, "__spec__", None) is not None or "." in module.__name__


def _contents(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # a name of an enclosing function that is not bound yet
        return ()


def _annotations(function: FunctionType) -> dict[str, Any]:
    try:
        return function.__annotations__
    except NameError:  # evaluated late, from Python 3.14 on
        return {}


def _default_of(variable: ContextVar[Any]) -> tuple[Any, ...]:
    try:
        return (Context().run(variable.get),)
    except LookupError:
        return ()


# ---------------------------------------------------------------- what pickles call


def _marshalled_code(python: str, marshalled: bytes) -> Any:
    check_python(python)
    return marshal.loads(marshalled)


def _make_function(code: CodeType, namespace: str, cells: tuple[CellType, ...]) -> FunctionType:
    return FunctionType(code, surroundings().globals_of(namespace), None, None, cells)


def _fill_function(function: FunctionType, state: Any) -> None:
    contents, attributes, members, annotations = state
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]
    vars(function).update(attributes)
    for name, value in members.items():
        setattr(function, name, value)
    function.__annotations__ = annotations


def _make_task(kind: type[TaskTemplate[Any, Any]]) -> TaskTemplate[Any, Any]:
    return kind.__new__(kind)


def _fill_task(task: TaskTemplate[Any, Any], settings: dict[str, Any]) -> None:
    vars(task).update(settings, parent_env=None)


def _fill_trace(trace: TraceFunction[..., Any], state: Any) -> None:
    function, code = state
    trace.__init__(function)  # type: ignore[misc]  # it was made without
    vars(trace)["_code"] = code


def _cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(function)


def _context_variable(name: str, *default: Any) -> ContextVar[Any]:
    return ContextVar(name, default=default[0]) if default else ContextVar(name)


def _module_of(name: str, *submodules: str) -> ModuleType:
    for submodule in submodules:
        import_module(submodule)
    return surroundings().module_of(name)


def class_of(tracker_id: str) -> type:
    """A class that crosses apart from the code that uses it."""
    return surroundings().class_of(tracker_id)


def template_of(key: str, changes: bytes) -> TaskTemplate[Any, Any]:
    """A task that this side knows."""
    return surroundings().template_of(key, changes)
