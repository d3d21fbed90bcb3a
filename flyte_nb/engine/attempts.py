"""One attempt of an action: executing it within its time, and ending what it leaves running."""

from __future__ import annotations

import asyncio
from typing import Any

from flyte_nb.authoring.context import Scope
from flyte_nb.authoring.retry import Backoff
from flyte_nb.engine.action import TERMINAL, Action, Attempt
from flyte_nb.engine.foreign_loops import explain_foreign_loop
from flyte_nb.engine.plans import Plan
from flyte_nb.engine.tracebacks import trim
from flyte_nb.errors import MaxRuntimeExceededError, NonRecoverableError, RuntimeUserError, user_error
from flyte_nb.executors.base import Call, Executor
from flyte_nb.store.errors import StoreError

__all__ = ["backoff_seconds", "close_attempt", "is_recoverable", "run_attempt"]

FIRST_PAUSE_SECONDS = 0.5
"""Flyte's local pause before the first retry of a task that declares no backoff; it doubles each time."""
CHILDREN_GRACE_SECONDS = 1.0
"""How long children that their parent left running may take to end once cancelled."""


async def run_attempt(executor: Executor, plan: Plan, inputs: dict[str, Any], scope: Scope) -> Any:
    """Runs the user's code; returns its value.

    Raises:
        flyte_nb.errors.BaseRuntimeError: what Flyte's caller sees of the user's exception, which is its cause.
    """
    call = Call(plan.function, inputs, plan.is_async, scope, plan.name, scope.attempt.action.cancel_children)
    if plan.timeout_seconds is None:
        outcome = await executor.execute(call)
    else:
        try:
            async with asyncio.timeout(plan.timeout_seconds) as bound:
                outcome = await executor.execute(call)
        except TimeoutError:
            if not bound.expired():
                raise
            raise MaxRuntimeExceededError(
                f"{plan.name} ran longer than its timeout of {plan.timeout_seconds:g} s"
            ) from None
    if outcome.note:
        scope.attempt.action.note = outcome.note
    if isinstance(outcome.error, StoreError):  # a child could not be recorded: the run ends with exactly this
        raise outcome.error
    if outcome.error is not None:
        raise user_error(trim(explain_foreign_loop(outcome.error)), "kernel")
    return outcome.value


def is_recoverable(error: BaseException) -> bool:
    """Whether another attempt may help: not after `NonRecoverableError`."""
    if isinstance(error, NonRecoverableError) or isinstance(error.__cause__, NonRecoverableError):
        return False
    return not (isinstance(error, RuntimeUserError) and error.code == NonRecoverableError.__name__)


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
