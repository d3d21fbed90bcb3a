"""What a translated pickle is made of: calls of these functions, which stand for the official SDK's objects by name.

    kernel       Translator writes "object(flyte.io, File)", "task(...)", "environment(...)"   never imports `flyte`
    SDK process  `rebuilt` loads the pickle: the names become the SDK's classes, the descriptions its tasks

A function refers to tasks, which refer to functions: so a task is first an empty shell, and filled when all is loaded.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping
from importlib import import_module
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import cloudpickle

__all__ = [
    "TaskState",
    "environment",
    "fill_module",
    "fill_task",
    "imported_later",
    "instance",
    "local_path",
    "module",
    "named",
    "rebuilt",
    "task",
    "trace",
]

TASKS = "flyte._task"
_shells: list[tuple[Any, TaskState]] = []


class TaskState(NamedTuple):
    """What fills the shell of a task.

    Attributes:
        environment: the SDK's environment; None for a task without one.
        fields: of the SDK's class, the function included.
        is_declared: whether its environment calls it by its name; false for what `override` made.
        modules: modules of the user's own that its functions import when they run.
    """

    environment: Any
    fields: Mapping[str, Any]
    is_declared: bool
    modules: Any


def named(module_name: str, name: str) -> Any:
    """The SDK's object of a name.

    Raises:
        AttributeError: it has none.
    """
    try:
        return attrgetter(name)(import_module(module_name))
    except AttributeError:
        raise AttributeError(
            f"{module_name}.{name} exists in flyte_nb only: no task for a backend can use it"
        ) from None


def instance(kind: type[Any], fields: Mapping[str, Any]) -> Any:
    """An instance of one of the SDK's dataclasses."""
    if kind.__name__ != "Image":
        return kind(**fields)
    made = object.__new__(kind)  # its methods make images, its constructor refuses to
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    vars(made).update(defaults | dict(fields))
    return made


def local_path(kind: type[Any], path: str) -> Any:
    """A file or folder of this machine, which the SDK uploads."""
    return kind.from_local_sync(path)


def environment(kind: type[Any], fields: Mapping[str, Any], declaring_file: str | None) -> Any:
    """An environment without tasks."""
    made = kind(**fields)
    made._declaring_file = declaring_file
    return made


def task(kind: type[Any]) -> Any:
    """The shell of a task."""
    return object.__new__(kind)


def fill_task(shell: Any, state: tuple[Any, ...]) -> None:
    """Has the shell filled when everything is loaded."""
    _shells.append((shell, TaskState(*state)))


def trace(function: Any) -> Any:
    """A traced function."""
    return import_module("flyte").trace(function)


def module(name: str, doc: str | None) -> ModuleType:
    """A module of the user's own; no import gives it, so it is pickled by value again."""
    return ModuleType(name, doc)


def fill_module(made: ModuleType, names: Mapping[str, Any]) -> None:
    """Gives it its names."""
    vars(made).update(names)


def rebuilt(pickled: bytes) -> Any:
    """Loads a translated pickle; its tasks are whole. For one thread at a time."""
    _shells.clear()
    content = cloudpickle.loads(pickled)
    for shell, state in _shells:
        _fill(shell, state)
    return content


def _fill(shell: Any, state: TaskState) -> None:
    made = type(shell)(**state.fields)
    vars(shell).update(vars(made))
    if state.modules:
        shell.func.__dict__["imported_later"] = imported_later(state.modules)
    if state.environment is None:
        return
    shell.parent_env, shell.parent_env_name = weakref.ref(state.environment), state.environment.name
    if state.is_declared:
        state.environment._tasks[shell.name] = shell


def imported_later(modules: Mapping[str, ModuleType]) -> Any:
    """What brings modules along to where it is unpickled: there an import finds them. It needs nothing of ours there.

    Args:
        modules: by name.
    """
    install = FunctionType(_install.__code__, {"__builtins__": __builtins__, "__name__": "__main__"}, "_install")
    install.__module__ = "__main__"
    carrier = type("ImportedLater", (), {"__module__": "__main__", "__reduce__": lambda _: (install, (dict(modules),))})
    return carrier()


def _install(modules: dict[str, Any]) -> None:
    loaded = __import__("sys").modules  # it runs where this module, and what it imports, is not
    for name, found in modules.items():
        loaded.setdefault(name, found)
