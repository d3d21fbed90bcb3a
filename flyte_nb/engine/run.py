"""Starting a run, waiting for it, and ending it from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.action import TERMINAL, Action
from flyte_nb.engine.identity import ROOT, new_run_name, root_position
from flyte_nb.engine.options import RunOptions
from flyte_nb.engine.places import Places
from flyte_nb.engine.plans import Plan, plan_for, signature_of
from flyte_nb.engine.session import Session
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.errors import ActionAbortedError
from flyte_nb.executors import capture
from flyte_nb.store.errors import JournalWriteError
from flyte_nb.store.events import ErrorRecord, RunLabelled, RunStarted

__all__ = [
    "PreparedRun",
    "abort_run",
    "label_run",
    "prepare_run",
    "run_to_end",
    "start_run",
    "wait_for_run",
    "wait_for_run_aio",
]

TICKER_SECONDS = 0.05
"""Whoever waits for a run wakes up this often, so that Stop is delivered: a signal reaches a sleeping event loop late,
and a thread that waits for a lock not at all once a library (polars) has installed a handler of its own."""
CANCEL_SECONDS = 0.1
"""How long an abort waits for the run to end by itself before it uses force, each time."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run whose inputs were checked and copied; `start_run` starts it.

    Attributes:
        payload: the inputs as recorded.
        inputs: the root task's own copies of them.
    """

    run: RunState
    task: TaskTemplate[Any, Any]
    payload: bytes
    inputs: dict[str, Any]


def prepare_run(
    session: Session,
    task: TaskTemplate[Any, Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    options: RunOptions,
    *,
    notebook: str = "",
    cell: str = "",
) -> PreparedRun:
    """Checks a call and makes its run; nothing is recorded or started yet.

    Args:
        session: the engine.
        task: the root task.
        args: its positional inputs.
        kwargs: its inputs by name.
        options: see `RunOptions`.
        notebook: path of the notebook or script that starts it.
        cell: id of the cell that starts it.

    Raises:
        TypeError, ValueError: the inputs do not fit the task's signature.
    """
    payload, inputs = signature_of(task).encode_inputs(args, kwargs, session.values)
    name = _free_name(session, options.name) if options.name else new_run_name()
    run = RunState(name, task.name, session.sink, options, options.run_start_time or datetime.now(UTC))
    run.notebook, run.cell = notebook, cell
    run.environment = task.parent_env_name or ""
    run.raw_data_path = options.raw_data_path or str(session.home.path / "data" / name)
    scope = current_scope.get()
    run.parent_run = options.parent_run or (scope.attempt.action.run if scope is not None else "")
    if options.max_action_concurrency:
        run.places = Places(options.max_action_concurrency)
    return PreparedRun(run, task, payload, inputs)


def start_run(session: Session, prepared: PreparedRun) -> RunState:
    """Records that the run begins, starts it, and returns at once.

    Raises:
        flyte_nb.store.errors.JournalWriteError: nothing can be recorded, so nothing is started.
    """
    run, options = prepared.run, prepared.run.options
    run.sink.record(
        RunStarted(
            run.name,
            run.started_ns,
            run.task,
            dict(run.labels),
            dict(options.annotations),
            run.notebook,
            run.cell,
            run.parent_run,
            dict(options.recorded),
            run.environment,
        )
    )
    plan = plan_for(run, prepared.task)
    position = root_position(plan.name)
    root = Action(run, None, "task", plan.name, plan.spec, None, ROOT, position, prepared.payload, run.started_ns)
    run.add(root, 0, options.custom_context)
    try:
        run.sink.flush()
    except JournalWriteError as unwritable:  # what could not be written waits for room: it must not say "running" then
        with suppress(JournalWriteError):
            run.close("failed", describe_error(unwritable))
        raise
    capture.install()
    session.enter(run)
    session.watcher.begin(run)
    run.phase = "running"
    session.engine.start(_drive(session, run, root, plan, prepared.inputs))
    return run


def run_to_end(session: Session, prepared: PreparedRun) -> Any:
    """Starts a run and blocks until it is over; returns its result. Stop (KeyboardInterrupt) aborts it, at any moment.

    Raises:
        flyte_nb.errors.BaseRuntimeError: the run failed; `.run` is set by the caller.
        KeyboardInterrupt: the run was interrupted, and is recorded as aborted.
    """
    try:
        start_run(session, prepared)
        return wait_for_run(session, prepared.run)
    except KeyboardInterrupt:
        abort_run(session, prepared.run, "interrupted")
        raise
    finally:
        session.watcher.settle(prepared.run)


def wait_for_run(session: Session, run: RunState) -> Any:
    """Blocks until a started run is over; see `run_to_end`."""
    try:
        while not wait([run.finished], timeout=TICKER_SECONDS).done:
            continue
        return run.finished.result()
    except KeyboardInterrupt:
        abort_run(session, run, "interrupted")
        raise
    finally:
        session.watcher.settle(run)


async def wait_for_run_aio(session: Session, run: RunState) -> Any:
    """The same for code on an event loop; cancelling it aborts the run."""
    waiter = asyncio.wrap_future(run.finished)
    waiter.add_done_callback(_retrieved)
    try:
        while not waiter.done():
            await asyncio.wait([waiter], timeout=TICKER_SECONDS)
        return waiter.result()
    except (asyncio.CancelledError, KeyboardInterrupt):
        if session.engine.is_current():
            _cancel(run, "cancelled")
        else:
            abort_run(session, run, "interrupted")
        raise
    finally:
        session.watcher.settle(run)


def _retrieved(waiter: asyncio.Future[Any]) -> None:
    """Whoever cancelled the wait does not want the error: asyncio need not log it."""
    if not waiter.cancelled():
        waiter.exception()


def abort_run(session: Session, run: RunState, reason: str) -> None:
    """Ends a run from outside: politely, then by force. Callable from any thread but the engine's.

    Code at an `await` is cancelled; Python code that blocks the loop has an exception raised in it; a loop stuck in
    C code is left behind and replaced. Returns with the run recorded as aborted, within half a second.

    Args:
        reason: recorded and shown.
    """
    if run.closed:
        return
    engine = session.engine
    run.cancelled_by = reason
    engine.loop.call_soon_threadsafe(_cancel, run, reason)
    for _ in range(3):
        try:
            run.finished.exception(timeout=CANCEL_SECONDS)
        except FutureTimeoutError:
            engine.interrupt()
        else:
            return
    for action in run.order:
        if action.phase == "running":
            action.note = action.note or "could not be ended and may still run; its result and output are dropped"
    error = _aborted(run)
    if run.close("aborted", error):
        run.finished.set_exception(ActionAbortedError(error.message))
    if engine.blocked_seconds() > 0 or engine.blocked_seconds() > 0:
        session.replace_loop()


def label_run(run: RunState, labels: Mapping[str, str | None]) -> None:
    """Sets labels of a run of this process; None takes one away."""
    for key, value in labels.items():
        if value is None:
            run.labels.pop(key, None)
        else:
            run.labels[key] = value
    run.sink.record(RunLabelled(run.name, time.time_ns(), dict(labels)))
    run.sink.flush()


def _free_name(session: Session, wanted: str) -> str:
    """The wanted name, numbered when a run of the store has it: it is whose folder this call makes."""
    name, number = wanted, 1
    while not _is_made(session.home.path / "data" / name):
        number += 1
        name = f"{wanted}-{number}"
    return name


def _is_made(folder: Path) -> bool:
    """Makes a folder; False when another, in whichever process, has made it before."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


async def _drive(session: Session, run: RunState, root: Action, plan: Plan, inputs: dict[str, Any]) -> None:
    """A run from its first action to its record; never raises."""
    try:
        result = await session.controller.run_root(run, root, plan, inputs)
    except asyncio.CancelledError:
        record = _aborted(run)
        _finish(run, "aborted", ActionAbortedError(record.message), record)
    except Exception as error:  # whatever the root task raised is the run's outcome
        _finish(run, root.phase if root.phase in TERMINAL else "failed", error)
    else:
        _finish(run, "succeeded", None, None, result)


def _finish(
    run: RunState, phase: str, error: BaseException | None, record: ErrorRecord | None = None, result: Any = None
) -> None:
    if error is not None and record is None:
        record = run.root.error or describe_error(error)
    try:
        if not run.close(phase, record):
            return
    except JournalWriteError as unwritable:
        error = error or unwritable
    if error is None:
        run.finished.set_result(result)
    else:
        run.finished.set_exception(error)


def _cancel(run: RunState, reason: str) -> None:
    """Cancels everything that runs, children first. On the engine loop."""
    run.cancelled_by = run.cancelled_by or reason
    for task in {action.asyncio_task for action in run.order if action.phase not in TERMINAL}:
        if task is not None:
            task.cancel()


def _aborted(run: RunState) -> ErrorRecord:
    return ErrorRecord("Aborted", "user", f"the run was aborted: {run.cancelled_by or 'cancelled'}")
