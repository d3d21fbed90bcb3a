"""What is called when an attempt of a task runs: the plain function, unless a kind of task runs something around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate

__all__ = ["callee_of"]


def callee_of(template: TaskTemplate[Any, Any]) -> tuple[Callable[..., Any], bool]:
    """The function, and whether calling it gives an awaitable."""
    kind = type(template)
    if isinstance(template, AsyncFunctionTaskTemplate) and kind.execute is AsyncFunctionTaskTemplate.execute:
        plain = kind.pre is TaskTemplate.pre and kind.post is TaskTemplate.post
        if plain:
            return template.func, not template._call_as_synchronous
    return template.execute, True
