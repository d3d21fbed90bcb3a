"""Tasks that other code refers to cross without their function: a stand-in, which fetches it when it is called plainly.

Stored code refers to the functions of this module, and of `code_pickle`, by their names: those are a part of the
store's format.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import msgspec

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.executors.code_pickle import surroundings

__all__ = ["PlainFunction", "fill_stand_in", "make_stand_in"]


class PlainFunction(msgspec.Struct, array_like=True, frozen=True):
    """What is said of the function of a task that crosses without it."""

    is_coroutine: bool
    module: str
    qualname: str
    doc: str | None


class Completing(Protocol):
    """Surroundings in which tasks are stood in for."""

    def stand_in(self, task: TaskTemplate[Any, Any], key: str, plain: PlainFunction | None) -> None:
        """Completes a task that crossed without its function."""


def make_stand_in(kind: type[TaskTemplate[Any, Any]]) -> TaskTemplate[Any, Any]:
    """A task that crosses as a reference, still empty."""
    return kind.__new__(kind)


def fill_stand_in(task: TaskTemplate[Any, Any], state: tuple[str, dict[str, Any], bytes | None]) -> None:
    """Gives it its settings, and a function that fetches the code when it is called."""
    key, settings, plain = state
    vars(task).update(settings, parent_env=None)
    function = None if plain is None else msgspec.msgpack.decode(plain, type=PlainFunction)
    cast(Completing, surroundings()).stand_in(task, key, function)
