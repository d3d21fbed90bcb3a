"""Starting a run, and waiting for it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.aborting import abort_run, cancel_run, record_of_abort
from flyte_nb.engine.action import TERMINAL, Action
from flyte_nb.engine.controller import ELSEWHERE
from flyte_nb.engine.history import History
from flyte_nb.engine.identity import ROOT, new_run_name, root_position
from flyte_nb.engine.options import MASKED_INPUTS, RunOptions
from flyte_nb.engine.places import Places
from flyte_nb.engine.plans import Plan, plan_for
from flyte_nb.engine.recorder import ListSink
from flyte_nb.engine.session import Session
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.errors import ActionAbortedError, ModuleLoadError
from flyte_nb.executors import capture
from flyte_nb.executors.worker import namespace
from flyte_nb.store.errors import JournalWriteError
from flyte_nb.store.events import ErrorRecord, RunLabelled, RunStarted
from flyte_nb.types.signature import signature_of
from flyte_nb.types.trees import pack, unpack

__all__ = [
    "PreparedRun",
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
    history: History | None = None,
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
        history: what it may reuse of an earlier run.

    Raises:
        TypeError, ValueError: the inputs do not fit the task's signature.
        flyte_nb.errors.ModuleLoadError: a module that a worker imports starts the run.
    """
    _refuse_in_import()
    payload, inputs = signature_of(task).encode_inputs(args, kwargs, session.values)
    name = _free_name(session, options.name) if options.name else new_run_name()
    run = RunState(name, task.name, session.sink, options, options.run_start_time or datetime.now(UTC))
    run.notebook, run.cell = notebook, cell
    run.environment = task.parent_env_name or ""
    run.masker = session.masker
    run.history = history
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
    run = prepared.run
    run.code = session.code.keep(prepared.task)
    try:
        plan, root = _record_beginning(session, prepared)
    except Exception as error:  # a user's cache policy raises anything; raised again, once the run has ended
        run.close("failed", describe_error(error))
        raise
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


def _record_beginning(session: Session, prepared: PreparedRun) -> tuple[Plan, Action]:
    """Records the run together with its root and what that is given: whoever finds the run can recover it."""
    run, options = prepared.run, prepared.run.options
    recorded = dict(options.recorded)
    if run.masker.active and (masked := _masked_inputs(prepared)):
        recorded[MASKED_INPUTS] = masked
    beginning = run.sink = ListSink()
    beginning.record(
        RunStarted(
            run.name,
            run.started_ns,
            run.task,
            dict(run.labels),
            dict(options.annotations),
            run.notebook,
            run.cell,
            run.parent_run,
            recorded,
            run.environment,
            run.code,
        )
    )
    try:
        plan = plan_for(run, prepared.task)
        position = root_position(plan.name)
        root = Action(run, None, "task", plan.name, plan.spec, None, ROOT, position, prepared.payload, run.started_ns)
        run.add(root, 0, options.custom_context)
    finally:
        run.sink = session.sink
        run.sink.record_together(beginning.events)
    return plan, root


def _masked_inputs(prepared: PreparedRun) -> list[str]:
    """Names of the inputs of which the record holds less than the run is given."""
    names = signature_of(prepared.task).input_names
    trees = unpack(prepared.payload)
    return [name for name, tree in zip(names, trees, strict=True) if prepared.run.masker.is_masked(pack([tree]))]


def run_to_end(session: Session, prepared: PreparedRun) -> None:
    """Starts a run and blocks until it is over. Stop (KeyboardInterrupt) aborts it, at any moment.

    Raises:
        flyte_nb.errors.BaseRuntimeError: the run failed; `.run` is set by the caller.
        KeyboardInterrupt: the run was interrupted, and is recorded as aborted.
    """
    try:
        start_run(session, prepared)
        wait_for_run(session, prepared.run)
    except KeyboardInterrupt:
        abort_run(session, prepared.run, "interrupted")
        raise
    finally:
        session.watcher.settle(prepared.run)


def wait_for_run(session: Session, run: RunState) -> None:
    """Blocks until a started run is over; see `run_to_end`."""
    try:
        while not wait([run.finished], timeout=TICKER_SECONDS).done:
            continue
        run.finished.result()
    except KeyboardInterrupt:
        abort_run(session, run, "interrupted")
        raise
    finally:
        session.watcher.settle(run)


async def wait_for_run_aio(session: Session, run: RunState) -> None:
    """The same for code on an event loop; cancelling it aborts the run."""
    waiter = asyncio.wrap_future(run.finished)
    waiter.add_done_callback(_retrieved)
    try:
        while not waiter.done():
            await asyncio.wait([waiter], timeout=TICKER_SECONDS)
        waiter.result()
    except (asyncio.CancelledError, KeyboardInterrupt):
        if session.engine.is_current():
            cancel_run(run, "cancelled")
        else:
            abort_run(session, run, "interrupted")
        raise
    finally:
        session.watcher.settle(run)


def _retrieved(waiter: asyncio.Future[Any]) -> None:
    """Whoever cancelled the wait does not want the error: asyncio need not log it."""
    if not waiter.cancelled():
        waiter.exception()


def label_run(run: RunState, labels: Mapping[str, str | None]) -> None:
    """Sets labels of a run of this process; None takes one away."""
    for key, value in labels.items():
        if value is None:
            run.labels.pop(key, None)
        else:
            run.labels[key] = value
    run.sink.record(RunLabelled(run.name, time.time_ns(), dict(labels)))
    run.sink.flush()


def _refuse_in_import() -> None:
    """A module that starts a run when it is imported would do so in every worker, and in every worker of that run."""
    frame: FrameType | None = sys._getframe() if namespace.is_worker() else None
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if frame.f_code.co_name == "<module>" and module != "__main__":
            raise ModuleLoadError(
                f"module {module} starts a run whenever it is imported, now in a worker (line {frame.f_lineno}): "
                'put that under `if __name__ == "__main__":`'
            )
        frame = frame.f_back


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
        await session.controller.run_root(run, root, plan, inputs if plan.is_local else ELSEWHERE)
    except asyncio.CancelledError:
        record = record_of_abort(run)
        _finish(run, "aborted", ActionAbortedError(record.message), record)
    except Exception as error:  # whatever the root task raised is the run's outcome
        _finish(run, root.phase if root.phase in TERMINAL else "failed", error)
    else:
        _finish(run, "succeeded", None)
    run.forget_code()
    session.processes.end_scope(run.name)


def _finish(run: RunState, phase: str, error: BaseException | None, record: ErrorRecord | None = None) -> None:
    if error is not None and record is None:
        record = run.root.error or describe_error(error)
    try:
        if not run.close(phase, record):
            return
    except JournalWriteError as unwritable:
        error = error or unwritable
    if error is None:
        run.finished.set_result(None)
        return
    if run.masker.active:
        run.masker.mask_exception(error)
    run.finished.set_exception(error)
