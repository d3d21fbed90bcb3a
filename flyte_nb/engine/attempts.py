"""One attempt of an action: executing it within its time, and ending what it leaves running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from flyte_nb.authoring.context import Scope
from flyte_nb.authoring.retry import Backoff
from flyte_nb.engine.action import TERMINAL, Action, Attempt
from flyte_nb.engine.code.missing_modules import explain_missing_module
from flyte_nb.engine.deadlines import Bounds
from flyte_nb.engine.foreign_loops import explain_foreign_loop
from flyte_nb.engine.plans import Plan
from flyte_nb.engine.tracebacks import describe_error, trim
from flyte_nb.errors import (
    DeadlineExceededError,
    NonRecoverableError,
    OOMError,
    ResourceExhaustedError,
    RuntimeSystemError,
    RuntimeUserError,
    TaskTimeoutError,
    user_error,
)
from flyte_nb.executors.base import Call, Outcome
from flyte_nb.executors.losses import allocation_refused
from flyte_nb.store.errors import StoreError

__all__ = [
    "backoff_seconds",
    "close_attempt",
    "follow",
    "is_recoverable",
    "is_system_failure",
    "make_call",
    "raise_error",
    "waiting",
]

FIRST_PAUSE_SECONDS = 0.5
"""Flyte's local pause before the first retry of a task that declares no backoff; it doubles each time."""
CHILDREN_GRACE_SECONDS = 1.0
"""How long children that their parent left running may take to end once cancelled."""
UNBOUNDED = nullcontext()
"""Around the waits of an action without bounds."""


def make_call(plan: Plan, inputs: dict[str, Any], scope: Scope) -> Call:
    """The call that an attempt is."""
    action: Action = scope.attempt.action
    return Call(plan.function, inputs, plan.is_async, scope, plan.name, action.cancel_children)


@asynccontextmanager
async def waiting(action: Action, place: str) -> AsyncIterator[None]:
    """Around what an action waits for while its code does not run; it ends with the wait, if that is cut short.

    Args:
        action: the action.
        place: where its task is declared.

    Raises:
        flyte_nb.errors.TaskTimeoutError: a bound on its time is over.
    """
    try:
        async with action.bounds.enforced() if action.bounds is not None else UNBOUNDED:
            yield
    except asyncio.CancelledError:
        action.run_state.abort(action)
        raise
    except TaskTimeoutError as error:
        action.run_state.end(action, "timed_out", error=describe_error(error, place))
        raise


def follow(action: Action, phase: str, text: str) -> None:
    """Keeps an action's phase while a process is found for it, and notes when its code runs.

    Args:
        text: where it runs; before that what is being done for it, empty when there is nothing to say.
    """
    run = action.run_state
    now = time.time_ns()
    if action.bounds is not None:
        action.bounds.moved(phase)
    if phase == "running":
        waited = action.phase != "queued" or action.attempt > 1
        action.note = ""
        run.start(action, now, text, announce=waited)
    else:
        action.note, action.where = text, ""
        if phase == "initializing":
            action.initializing_ns = action.initializing_ns or now
        run.set_phase(action, phase)


def raise_error(outcome: Outcome, plan: Plan, call: Call) -> None:
    """Notes what is to be said of an attempt, and raises what the task's caller sees of its failure, if it failed.

    Raises:
        flyte_nb.errors.BaseRuntimeError: what Flyte's caller sees of the user's exception, which is its cause; or what
            the place where it ran says about its end.
    """
    attempt: Attempt = call.scope.attempt
    if outcome.note:
        attempt.action.note = outcome.note
    error = outcome.error
    if error is None:
        return
    if isinstance(error, StoreError):  # a child could not be recorded: the run ends with exactly this
        raise error
    limit_bytes = call.placement.needs.memory_bytes
    if isinstance(error, MemoryError) and limit_bytes is not None and not plan.is_local:
        is_reused = call.placement.reuse is not None
        raise allocation_refused(plan.name, limit_bytes, attempt.action.where, is_reused) from trim(error)
    raise user_error(trim(explain_missing_module(explain_foreign_loop(error), plan)), attempt.action.where)


def is_recoverable(error: BaseException, bounds: Bounds | None = None) -> bool:
    """Whether another attempt may help: not after `NonRecoverableError`, the deadline, or too large a request."""
    if isinstance(error, ResourceExhaustedError):
        return False
    if isinstance(error, DeadlineExceededError) and bounds is not None and error is bounds.error:
        return False
    if isinstance(error, NonRecoverableError) or isinstance(error.__cause__, NonRecoverableError):
        return False
    return not (isinstance(error, RuntimeUserError) and error.code == NonRecoverableError.__name__)


def is_system_failure(error: BaseException) -> bool:
    """Whether the attempt ended through no fault of its code, so that its finished steps stand: they replay."""
    return isinstance(error, RuntimeSystemError | OOMError | TaskTimeoutError)


def backoff_seconds(backoff: Backoff | None, retry: int) -> float:
    """The pause before a retry, counted from 0."""
    if backoff is not None:
        return backoff.compute_delay(retry).total_seconds()
    return float(FIRST_PAUSE_SECONDS * 2.0**retry)


async def close_attempt(attempt: Attempt) -> None:
    """Flushes an attempt's output and report, and ends the children that its code did not wait for."""
    attempt.close()
    if attempt.action.children:
        await _end_children(attempt.action)


async def _end_children(parent: Action) -> None:
    """Cancels children whose parent is over, as Flyte aborts them; one that does not end is recorded as aborted."""
    children = list(parent.children or ())
    tasks = {child.asyncio_task for child in children if child.asyncio_task is not None} - {asyncio.current_task()}
    parent.cancel_children()
    if tasks:
        await asyncio.wait(tasks, timeout=CHILDREN_GRACE_SECONDS)
    for child in children:
        if child.phase not in TERMINAL:
            child.run_state.end(child, "aborted")
