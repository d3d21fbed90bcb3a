"""One attempt of an action: executing it within its time, and ending what it leaves running."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from flyte_nb.authoring.context import Scope
from flyte_nb.authoring.retry import Backoff
from flyte_nb.engine.action import TERMINAL, Action, Attempt
from flyte_nb.engine.deadlines import Bounds
from flyte_nb.engine.foreign_loops import explain_foreign_loop
from flyte_nb.engine.plans import Plan
from flyte_nb.engine.tracebacks import trim
from flyte_nb.errors import (
    DeadlineExceededError,
    NonRecoverableError,
    ResourceExhaustedError,
    RuntimeUserError,
    user_error,
)
from flyte_nb.executors.base import Call, Executor, Outcome, Seat
from flyte_nb.executors.losses import allocation_refused
from flyte_nb.store.errors import StoreError

__all__ = ["backoff_seconds", "close_attempt", "follow", "is_recoverable", "make_call", "run_call", "seats_of"]

FIRST_PAUSE_SECONDS = 0.5
"""Flyte's local pause before the first retry of a task that declares no backoff; it doubles each time."""
CHILDREN_GRACE_SECONDS = 1.0
"""How long children that their parent left running may take to end once cancelled."""


def make_call(plan: Plan, inputs: dict[str, Any], scope: Scope) -> Call:
    """The call that an attempt is."""
    action: Action = scope.attempt.action
    return Call(plan.function, inputs, plan.is_async, scope, plan.name, action.cancel_children)


def seats_of(action: Action, call: Call) -> list[Seat]:
    """What an attempt holds now, and gives up while it waits for children."""
    return [seat for seat in (action.place, call.seat) if seat is not None]


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


async def run_call(executor: Executor, plan: Plan, call: Call) -> Outcome:
    """Runs the user's code.

    Raises:
        flyte_nb.errors.BaseRuntimeError: what Flyte's caller sees of the user's exception, which is its cause; or what
            the place where it ran says about its end.
    """
    attempt: Attempt = call.scope.attempt
    bounds = attempt.action.bounds
    if bounds is None:
        outcome = await executor.execute(call)
    else:
        async with bounds.enforced():
            outcome = await executor.execute(call)
    if outcome.note:
        attempt.action.note = outcome.note
    if isinstance(outcome.error, StoreError):  # a child could not be recorded: the run ends with exactly this
        raise outcome.error
    limit_bytes = call.placement.needs.memory_bytes
    if isinstance(outcome.error, MemoryError) and limit_bytes is not None and not plan.is_local:
        raise allocation_refused(plan.name, limit_bytes, attempt.action.where) from trim(outcome.error)
    if outcome.error is not None:
        raise user_error(trim(explain_foreign_loop(outcome.error)), attempt.action.where)
    return outcome


def is_recoverable(error: BaseException, bounds: Bounds | None = None) -> bool:
    """Whether another attempt may help: not after `NonRecoverableError`, the deadline, or too large a request."""
    if isinstance(error, ResourceExhaustedError):
        return False
    if isinstance(error, DeadlineExceededError) and bounds is not None and error is bounds.error:
        return False
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
