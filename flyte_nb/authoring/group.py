"""What surrounds a call inside a task: its group, its custom context, and what `flyte.ctx()` shows.

These hold for the `with` block in whose code they stand and for what is called from it. Outside a task `group` does
nothing, and `custom_context` reaches the runs that are started in the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyte_nb.authoring.checkpoint import Checkpoint
from flyte_nb.authoring.context import current_scope, outer_context
from flyte_nb.models import NULL_TASK_CONTEXT, TaskContext

__all__ = ["ctx", "custom_context", "get_custom_context", "group"]

TaskContext.open_checkpoint = Checkpoint


def ctx() -> TaskContext:
    """The context of the running task; outside a task a falsy one whose fields are None."""
    scope = current_scope.get()
    return NULL_TASK_CONTEXT if scope is None else scope.controller.task_context(scope)


@contextmanager
def group(name: str) -> Iterator[None]:
    """Puts the actions called in the block into a group; an inner group takes the outer one's place.

    Args:
        name: of the group, as the explorer shows it.
    """
    scope = current_scope.get()
    if scope is None:
        yield
        return
    token = current_scope.set(scope.derive(group=name))
    try:
        yield
    finally:
        current_scope.reset(token)


@contextmanager
def custom_context(**context: str) -> Iterator[None]:
    """Hands words down to the actions called, or the runs started, in the block, and to all they call.

    They are never part of a cache key.

    Args:
        context: what is handed down, on top of what the running task was handed.
    """
    scope = current_scope.get()
    if scope is None:
        outer = outer_context.set({**outer_context.get(), **context})
        try:
            yield
        finally:
            outer_context.reset(outer)
        return
    token = current_scope.set(scope.derive(custom_context={**scope.custom_context, **context}))
    try:
        yield
    finally:
        current_scope.reset(token)


def get_custom_context() -> dict[str, str]:
    """What was handed down to the running code; empty outside a task."""
    scope = current_scope.get()
    return {} if scope is None else dict(scope.custom_context)
