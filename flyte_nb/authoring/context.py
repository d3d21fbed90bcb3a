"""The one door by which calls go up: which code runs now, and who takes its calls.

A task, trace, group or report is declared in `authoring`, below the engine. When code of a task runs, the engine has
set `current_scope`; what is called inside finds the engine there and nowhere else.

    user code -> task(...) -> current_scope.get().controller.submit(...)      inside a run
    user code -> task(...) -> the plain function                              outside (the scope is None)

A scope is immutable and inherited: `derive` makes the one of an inner block.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flyte_nb.authoring.condition import Answer, Question
    from flyte_nb.authoring.task import TaskTemplate
    from flyte_nb.authoring.trace import TraceFunction
    from flyte_nb.models import TaskContext

__all__ = ["Controller", "Scope", "TraceStep", "current_scope", "outer_context"]

NO_CONTEXT: Mapping[str, str] = {}


class TraceStep(Protocol):
    """One call of a traced function, between its start and its record."""

    scope: Scope
    """The scope in which the traced function's body runs."""
    replayed: bool
    """True when the step was recorded before: `value` holds its result (a list for generators); do not execute."""
    value: Any

    def succeed(self, value: Any) -> None:
        """Records the result (a list of the yielded values for generators)."""

    def fail(self, error: BaseException) -> None:
        """Records the failure; the caller re-raises the original exception."""

    async def durable(self) -> None:
        """Returns once the record of this step survives a power cut. Runs on any event loop."""

    def wait_durable(self) -> None:
        """The same, blocking."""


class Controller(Protocol):
    """What the engine does for code that runs inside an action."""

    def submit(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """A child action of an async task, or of a sync one through `.aio`; awaitable on any event loop."""

    def submit_sync(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """A child action of a sync task; blocks the calling thread.

        Raises:
            flyte_nb.errors.SyncTaskCallInAsyncContextError: when called on the engine's own loop.
        """

    def begin_trace(
        self, scope: Scope, function: TraceFunction[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TraceStep:
        """Starts (or replays) one call of a traced function. Works on any thread."""

    async def wait_for_condition(self, scope: Scope, question: Question) -> Answer:
        """The answer to a question that is asked, or was answered before; awaitable on any event loop."""

    def wait_for_condition_sync(self, scope: Scope, question: Question) -> Answer:
        """The same, blocking the calling thread.

        Raises:
            flyte_nb.errors.SyncTaskCallInAsyncContextError: when called in async code.
        """

    def task_context(self, scope: Scope) -> TaskContext:
        """What `flyte.ctx()` shows in this scope."""


class Scope:
    """Where code runs: an attempt of an action, and what the calls made from here inherit.

    Attributes:
        controller: takes the calls.
        attempt: the engine's own record of the running attempt; opaque here.
        group: the innermost `flyte.group`, or None.
        custom_context: what `flyte.custom_context` and the run handed down.
        trace: the name of the traced function whose body this is, or None.
    """

    __slots__ = ("attempt", "controller", "custom_context", "group", "trace")

    def __init__(
        self,
        controller: Controller,
        attempt: Any,
        group: str | None = None,
        custom_context: Mapping[str, str] = NO_CONTEXT,
        trace: str | None = None,
    ) -> None:
        self.controller = controller
        self.attempt = attempt
        self.group = group
        self.custom_context = custom_context
        self.trace = trace

    def derive(
        self,
        *,
        group: str | None = None,
        custom_context: Mapping[str, str] | None = None,
        trace: str | None = None,
    ) -> Scope:
        """The scope of an inner block; what is None is inherited."""
        return Scope(
            self.controller,
            self.attempt,
            self.group if group is None else group,
            self.custom_context if custom_context is None else custom_context,
            self.trace if trace is None else trace,
        )


current_scope: ContextVar[Scope | None] = ContextVar("flyte_nb_scope", default=None)
outer_context: ContextVar[Mapping[str, str]] = ContextVar("flyte_nb_outer_context", default=NO_CONTEXT)
"""What `flyte.custom_context` hands, outside a task, to the runs started in its block."""
