"""Ending what runs, from outside: politely, then by force.

    abort_run      the whole tree, its processes included; the run is recorded as aborted
    abort_action   an action and all below it; the code that called it sees ActionAbortedError and may go on

A kernel thread inside C code cannot be ended: its action says so, and its result is dropped.
"""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

from flyte_nb.engine.action import TERMINAL, Action
from flyte_nb.engine.state import RunState
from flyte_nb.errors import ActionAbortedError
from flyte_nb.executors.base import Call
from flyte_nb.store.events import ErrorRecord

if TYPE_CHECKING:
    from flyte_nb.engine.session import Session

__all__ = ["abort_action", "abort_run", "cancel_run", "record_of_abort"]

CANCEL_SECONDS = 0.1
"""How long an abort waits for the end before it uses force, each time."""
KERNEL_TRIES = 3
PROCESS_TRIES = 8
"""Processes take longer where many must be killed, and all of them can be."""
POLL_SECONDS = 0.005
LEFT_BEHIND = "could not be ended and may still run; its result and output are dropped"


def abort_run(session: Session, run: RunState, reason: str) -> None:
    """Ends a run from outside. Callable from any thread but the engine's.

    Code at an `await` is cancelled; Python code that blocks the loop has an exception raised in it; a loop stuck in
    C code is left behind and replaced. Returns with the run recorded as aborted, within a second.

    Args:
        reason: recorded and shown.
    """
    if run.closed:
        return
    engine = session.engine
    run.cancelled_by = reason or "cancelled"
    engine.loop.call_soon_threadsafe(cancel_run, run, reason)
    for tries in range(PROCESS_TRIES):
        if tries >= KERNEL_TRIES and not any(map(_is_in_process, run.order)):
            break
        try:
            run.finished.exception(timeout=CANCEL_SECONDS)
        except FutureTimeoutError:
            engine.interrupt()
        else:
            return
    for action in run.order:
        if action.phase == "running" and not _is_in_process(action):
            action.note = action.note or LEFT_BEHIND
    error = record_of_abort(run)
    if run.close("aborted", error):
        run.finished.set_exception(ActionAbortedError(error.message))
    if engine.blocked_seconds() > 0 or engine.blocked_seconds() > 0:
        session.replace_loop()


def abort_action(session: Session, action: Action, reason: str) -> None:
    """Ends one action and all below it. Callable from any thread but the engine's.

    Args:
        action: any but the root; one that is over stays as it is.
        reason: recorded and shown.
    """
    if action.phase in TERMINAL:
        return
    engine = session.engine
    action.abort_reason = reason
    engine.loop.call_soon_threadsafe(_cancel_action, action)
    for tries in range(PROCESS_TRIES):
        if tries >= KERNEL_TRIES and not _is_in_process(action):
            action.note = action.note or LEFT_BEHIND
            return
        if _ends_within(action, CANCEL_SECONDS):
            return
        if _is_below(engine.user_call(), action):
            engine.interrupt()


def cancel_run(run: RunState, reason: str) -> None:
    """Cancels everything that runs, children first. On the engine loop."""
    run.cancelled_by = run.cancelled_by or reason
    for task in {action.asyncio_task for action in run.order if action.phase not in TERMINAL}:
        if task is not None:
            task.cancel()


def record_of_abort(run: RunState) -> ErrorRecord:
    """What is recorded of an aborted run."""
    return ErrorRecord("Aborted", "user", f"the run was aborted: {run.cancelled_by or 'cancelled'}")


def _cancel_action(action: Action) -> None:
    if action.phase not in TERMINAL and action.asyncio_task is not None:
        action.asyncio_task.cancel()


def _ends_within(action: Action, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while action.phase not in TERMINAL and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return action.phase in TERMINAL


def _is_in_process(action: Action) -> bool:
    """Whether it runs where everything can be ended."""
    return action.phase == "running" and action.where not in ("kernel", "cache", "")


def _is_below(call: Call | None, action: Action) -> bool:
    """Whether the call belongs to the action or to one that it has started."""
    ancestor: Action | None = call.scope.attempt.action if call is not None else None
    while ancestor is not None and ancestor is not action:
        ancestor = ancestor.parent_action
    return ancestor is action
