"""The seam of execution: a `Call` goes in, an `Outcome` comes out.

An executor runs one attempt of one action somewhere: in the kernel, in a worker process, on a cluster. It knows
nothing of runs, retries, caches or the store. Errors of the user's code are outcomes; what an executor raises is
its own failure, or the cancellation of its caller.

    kernel       calls `function(**inputs)` and gives the value
    processes    send `code` and `payload`, serve the code's own calls through `host`, and give a payload
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flyte_nb.authoring.condition import Question
from flyte_nb.authoring.context import Scope
from flyte_nb.executors.frames import Code, Facts, TaskReference
from flyte_nb.executors.placement import IN_KERNEL, Placement

__all__ = ["Call", "Executor", "Host", "Outcome", "Seat"]


class Seat(Protocol):
    """What a running attempt holds. While it waits for children others may use it, so that nothing deadlocks."""

    def pause(self) -> None:
        """The attempt waits for a child: it gives back what it does not need meanwhile."""

    async def resume(self) -> None:
        """The child is done: waits until the attempt has it again, ahead of attempts that have not started."""


class Host(Protocol):
    """What the engine does for code that runs in a process: the near side of a worker's `Controller`. On the loop."""

    async def submit(
        self, task: TaskReference, payload: bytes, group: str | None, custom_context: Mapping[str, str]
    ) -> bytes:
        """A child action, its inputs encoded; returns the encoded outputs."""

    async def wait_for_condition(
        self, question: Question, group: str | None, custom_context: Mapping[str, str]
    ) -> bytes:
        """The answer to a question, encoded."""

    def begin_trace(
        self,
        step: int,
        name: str,
        code: str,
        names: Sequence[tuple[str, str]],
        payload: bytes,
        group: str | None,
        replays: bool,
    ) -> bytes | None:
        """A step of a traced function begins.

        Args:
            step: its number within the attempt.
            name: of the function.
            code: digest of its code, or `module:name` of one that the worker imported.
            names: (name, type as text) of its arguments.
            payload: its arguments, encoded.
            group: the innermost group.
            replays: a recorded result stands, and is returned: the step is not taken then.
        """

    async def end_trace(self, step: int, payload: bytes | None, error: BaseException | None) -> None:
        """The step is over; returns once that would survive a power cut."""

    async def deployed(self, key: str) -> Code:
        """A deployed task, `deployed:NAME@VERSION`, as code that calls it needs it: without its function."""

    def fetch(self, key: str) -> Code:
        """The code of a task that another task refers to, for a call of its plain function."""

    def wrote(self, stream: str, text: str) -> None:
        """Output of the attempt, as it was written."""

    def displayed(self, bundle: str) -> None:
        """A rich display, see `flyte_nb.executors.displays`, as JSON."""

    def reported(self, html: str) -> None:
        """The attempt's report as it stands."""

    def stored(self, digests: Sequence[str]) -> None:
        """The worker has put values into the value store."""


def _nowhere(phase: str, where: str) -> None:
    return None


@dataclass(slots=True)
class Call:
    """One attempt: which function, with which inputs, in which scope.

    Attributes:
        function: the user's function (or the template's `execute`).
        inputs: keyword arguments, copies that belong to the callee; empty where the place decodes `payload` itself.
        is_async: whether calling `function` gives an awaitable.
        scope: becomes the current scope while the function runs.
        name: the task's full name, for messages and thread names.
        cancel_children: cancels the calls that the function has made and waits for; used when it cannot be
        cancelled itself.
        placement: where it runs, and what it holds there.
        payload: the inputs, encoded.
        code: the function for another process.
        facts: what `flyte.ctx()` shows in another process.
        host: serves the calls of code in another process.
        moved: told (phase, where) when the call waits for room, when its process starts, and when its code runs.
        alone: the call must not share its worker: it was on one that died, and nobody knows whose fault that was.
        seat: what the call holds, set by the executor while the code runs.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, Any]
    is_async: bool
    scope: Scope
    name: str
    cancel_children: Callable[[], None]
    placement: Placement = IN_KERNEL
    payload: bytes = b""
    code: Code | None = None
    facts: Facts | None = None
    host: Host | None = None
    moved: Callable[[str, str], None] = _nowhere
    alone: bool = False
    seat: Seat | None = None


@dataclass(slots=True)
class Outcome:
    """What an attempt came to: a value, or the exception that the user's code raised.

    Attributes:
        value: what the function returned; meaningless with an error or a payload.
        error: the original exception, its traceback attached.
        note: a word to the user, e.g. that a thread could not be ended.
        payload: the encoded outputs, where the place has encoded them; `value` is not set then.
    """

    value: Any = None
    error: BaseException | None = None
    note: str = ""
    payload: bytes | None = None


class Executor(Protocol):
    """Runs calls. Cancelling the coroutine ends the attempt, as far as the place where it runs allows."""

    name: str
    """Shown as where an action ran: `kernel`, `process` ..."""

    async def execute(self, call: Call) -> Outcome:
        """Runs one call to its end.

        Raises:
            flyte_nb.errors.OOMError: the code used more memory than it may.
            flyte_nb.errors.RuntimeSystemError: the process that ran it was lost; `code` says how.
        """
