"""All that a task can reach, without running it: tasks, and the functions, classes and modules between them.

    task -> its function -> names it reads -> functions, traces, classes and their methods -> ... -> other tasks

What is installed is not followed. Values are looked into for tasks as far as lists, tuples, dicts and partials go.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.checking.body import Body, body_of
from flyte_nb.checking.scope import MISSING, Place
from flyte_nb.engine.code.objects import is_own_function
from flyte_nb.engine.code.ownership import is_own_module
from flyte_nb.executors.worker.namespace import whole

__all__ = ["Program", "Reach", "function_of"]

LOOKED_INTO = 1_000
"""So many items of a container are looked at."""
GENERATED = "<string>"
"""The file of the methods that `dataclasses` and others write."""


@dataclass
class Reach:
    """What one task reaches before other tasks take over.

    Attributes:
        task: the task.
        bodies: its function first, then those that it reaches.
        calls: the tasks and traced functions that it reaches, each once.
    """

    task: TaskTemplate[Any, Any]
    bodies: list[Body] = field(default_factory=list)
    calls: list[TaskTemplate[Any, Any] | TraceFunction[Any, Any]] = field(default_factory=list)


class Program:
    """All that one task can reach.

    Attributes:
        reaches: of each task, the checked one first.
        unread: names of functions whose source cannot be had.
        changing: the globals that a function in any namespace that was met changes, and the name of that function.
    """

    def __init__(self, task: TaskTemplate[Any, Any]) -> None:
        self.reaches: list[Reach] = []
        self.unread: list[str] = []
        self.changing: dict[Place, str] = {}
        self._bodies: dict[int, Body | None] = {}
        self._namespaces: dict[int, dict[str, Any]] = {}
        known = {id(task)}
        pending = [task]
        while pending:
            reach = self._reach(pending.pop(0))
            self.reaches.append(reach)
            for called in reach.calls:
                if isinstance(called, TaskTemplate) and id(called) not in known:
                    known.add(id(called))
                    pending.append(called)
        self._find_changes()

    def body(self, function: FunctionType) -> Body | None:
        """The source of a function, read once."""
        if id(function) not in self._bodies:
            self._bodies[id(function)] = body_of(function, self.changing)
        return self._bodies[id(function)]

    def _reach(self, task: TaskTemplate[Any, Any]) -> Reach:
        reach = Reach(task)
        function = function_of(task)
        met: set[int] = set()
        pending: list[FunctionType] = [] if function is None else [function]
        while pending:
            function = pending.pop(0)
            if id(function) in met:
                continue
            met.add(id(function))
            self._namespaces.setdefault(id(function.__globals__), function.__globals__)
            body = self.body(function)
            if body is None:
                if function.__qualname__ not in self.unread:
                    self.unread.append(function.__qualname__)
                continue
            reach.bodies.append(body)
            for value in _values_in(body):
                for found in _code_in(value):
                    if isinstance(found, FunctionType):
                        pending.append(found)
                        continue
                    if not any(found is called for called in reach.calls):
                        reach.calls.append(found)
                    if isinstance(found, TraceFunction) and (traced := unwrapped(found.func)) is not None:
                        pending.append(traced)
        return reach

    def _find_changes(self) -> None:
        """What any function changes, reached or not: a cell or another thread may call it."""
        for names in list(self._namespaces.values()):
            for value in list(names.values()):
                for function in _functions_of(value):
                    body = self.body(function) if function.__globals__ is names else None
                    for write in body.writes if body is not None else ():
                        self.changing.setdefault(write.place, function.__qualname__)


def function_of(task: TaskTemplate[Any, Any]) -> FunctionType | None:
    """The user's own function of a task, under its decorators; None for tasks that are no function."""
    return unwrapped(getattr(whole(task), "func", None))


def unwrapped(function: Any) -> FunctionType | None:
    """The user's own function under wrappers of installed packages."""
    while isinstance(function, FunctionType):
        if is_own_function(function):
            return function
        function = vars(function).get("__wrapped__")
    return None


def _values_in(body: Body) -> Iterator[Any]:
    """The live objects that a function names: those from outside, and those that it imports itself."""
    for read in body.reads:
        yield read.value
    scopes = {id(spot.scope): spot.scope for spot in body.spots}
    for scope in scopes.values():
        for binding in scope.bindings.values():
            if binding.imported:
                yield scope.imported(binding.imported)


def _code_in(value: Any, depth: int = 0) -> Iterator[FunctionType | TaskTemplate[Any, Any] | TraceFunction[Any, Any]]:
    """The tasks, traces and functions of the user's own that a value is or holds."""
    if value is MISSING:
        return
    if isinstance(value, TaskTemplate | TraceFunction):
        yield value
    elif depth < 2 and isinstance(value, functools.partial):
        yield from _code_among((value.func, *value.args, *value.keywords.values()), depth)
    elif depth < 2 and isinstance(value, list | tuple | dict):
        yield from _code_among(value.values() if isinstance(value, dict) else value, depth)
    else:
        yield from _functions_of(value)


def _code_among(
    values: Iterable[Any], depth: int
) -> Iterator[FunctionType | TaskTemplate[Any, Any] | TraceFunction[Any, Any]]:
    for value, _ in zip(values, range(LOOKED_INTO), strict=False):
        yield from _code_in(value, depth + 1)


def _functions_of(value: Any) -> Iterator[FunctionType]:
    """The functions of the user's own behind a function, task, class, or instance of a class."""
    if isinstance(value, TaskTemplate):
        value = getattr(whole(value), "func", None)
    elif isinstance(value, TraceFunction):
        value = value.func
    if isinstance(value, FunctionType):
        function = unwrapped(value)
        if function is not None:
            yield function
        return
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ == "builtins" or not is_own_module(kind.__module__):
        return
    for member in list(vars(kind).values()):
        function = unwrapped(_function_in(member))
        if function is not None and function.__code__.co_filename != GENERATED:
            yield function


def _function_in(member: Any) -> Any:
    """The function behind what stands in a class."""
    match member:
        case property():
            return member.fget
        case staticmethod() | classmethod():
            return member.__func__
        case functools.cached_property() | TraceFunction():
            return member.func
        case _:
            return member
