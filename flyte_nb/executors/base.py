"""The seam of execution: a `Call` goes in, an `Outcome` comes out.

An executor runs one attempt of one action somewhere: in the kernel, in a worker process, on a cluster. It knows
nothing of runs, retries, caches or the store. Errors of the user's code are outcomes; what an executor raises is
its own failure, or the cancellation of its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flyte_nb.authoring.context import Scope

__all__ = ["Call", "Executor", "Outcome"]


@dataclass(slots=True)
class Call:
    """One attempt: which function, with which inputs, in which scope.

    Attributes:
        function: the user's function (or the template's `execute`).
        inputs: keyword arguments, copies that belong to the callee.
        is_async: whether calling `function` gives an awaitable.
        scope: becomes the current scope while the function runs.
        name: the task's full name, for messages and thread names.
        cancel_children: cancels the calls that the function has made and waits for; used when it cannot be
        cancelled itself.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, Any]
    is_async: bool
    scope: Scope
    name: str
    cancel_children: Callable[[], None]


@dataclass(slots=True)
class Outcome:
    """What an attempt came to: a value, or the exception that the user's code raised.

    Attributes:
        value: what the function returned; meaningless with an error.
        error: the original exception, its traceback attached.
        note: a word to the user, e.g. that a thread could not be ended.
    """

    value: Any = None
    error: BaseException | None = None
    note: str = ""


class Executor(Protocol):
    """Runs calls. Cancelling the coroutine ends the attempt, as far as the place where it runs allows."""

    name: str
    """Shown as where an action ran: `kernel`, `process` ..."""

    async def execute(self, call: Call) -> Outcome:
        """Runs one call to its end."""
