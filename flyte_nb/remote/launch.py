"""`flyte.run` and `flyte.with_runcontext`: checks what is asked, starts the run, waits, and hands the run out."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from flyte_nb.authoring.context import current_scope, outer_context
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.history import History
from flyte_nb.engine.isolation import check_isolation
from flyte_nb.engine.options import RunOptions, notifications_of
from flyte_nb.engine.run import PreparedRun, prepare_run, run_to_end, start_run, wait_for_run_aio
from flyte_nb.engine.session import Session, session
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracebacks import without_machinery
from flyte_nb.errors import InitializationError, SyncTaskCallInAsyncContextError
from flyte_nb.executors.placement import Isolation
from flyte_nb.remote.backend.source import BackendSource
from flyte_nb.remote.backend.task import BackendTask
from flyte_nb.remote.calls import Blocking
from flyte_nb.remote.origins import origin_of_call
from flyte_nb.remote.run import Run
from flyte_nb.remote.source import source
from flyte_nb.remote.task_details import task_of
from flyte_nb.remote.tracking import Tracking, settle
from flyte_nb.remote.trigger import TriggerDetails
from flyte_nb.remote.triggers.trigger_runs import refuse_positions, run_by_hand

__all__ = ["Mode", "Runner", "run", "started_elsewhere", "with_runcontext"]

Mode = Literal["local", "remote", "hybrid"]
Runnable = TaskTemplate[Any, Any] | TriggerDetails
COPY_STYLES = ("loaded_modules", "all", "none", "custom")
HERE_ONLY = frozenset(
    {"mode", "isolation", "interactive_mode", "copy_style", "copy_bundle_to", "tracked", "tracked_strict", "_tracker"}
)
"""Parameters of `with_runcontext` that a run at a backend is not told: its code always goes by value."""
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A run's folder is called as the run is, and `RUN/ACTION` names an action."""

started_elsewhere: list[Callable[[str], None]] = []
"""Who is told the names of runs that start at a backend; the notebook room puts itself here."""


class Runner:
    """Starts runs with the options of `flyte.with_runcontext`."""

    rerun: ClassVar[Any] = None
    """`flyte.rerun` with these options; set by the module that runs again, because it lies above this one."""

    def __init__(
        self,
        options: RunOptions,
        mode: Mode | None,
        asked: Mapping[str, Any] | None = None,
        tracking: Tracking | None = None,
    ) -> None:
        self.options = options
        self._mode = mode
        self._asked = asked or {}
        self._tracking = tracking or Tracking()
        self.run: Blocking[..., Run] = Blocking(self._run, self._run_aio)

    def start(self, task: Runnable, /, *args: Any, **kwargs: Any) -> Run:
        """Starts a run, see `flyte.run`, and returns at once; `run.wait()` waits for it."""
        backend = self._backend()
        if backend is not None:
            return self._start_there(backend, task, args, kwargs)
        active = session()
        return Run(start_run(active, self._prepare(active, task, args, kwargs)).name)

    def _backend(self) -> BackendSource | None:
        """Where the run goes: to a backend that is connected unless a task starts it, or `mode` says otherwise.

        Raises:
            InitializationError: `mode="remote"`, and no backend is connected.
            ValueError: it goes there, and is to be published from here.
        """
        if self._mode == "remote" and source.backend is None:
            raise InitializationError(
                "ClientNotInitializedError",
                "user",
                "No Flyte backend is connected: flyte.init(endpoint=...) or flyte.init_from_config() connects one. To "
                "run here, leave mode out or say mode='local'.",
            )
        is_remote = self._mode == "remote" or (self._mode is None and current_scope.get() is None)
        backend = source.backend if is_remote else None
        if backend is not None:
            self._tracking.check_place()
        return backend

    def _start_there(
        self, backend: BackendSource, given: Runnable, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Run:
        given = task_of(given)
        if self.options.isolation is not None:
            where = (
                f"isolation={self.options.isolation!r} is where tasks run here, and this run goes to {backend.endpoint}"
            )
            raise ValueError(f"{where}: leave it out, or run here with mode='local'")
        asked = {name: value for name, value in self._asked.items() if name not in HERE_ONLY}
        if isinstance(given, TriggerDetails):
            refuse_positions(given.name, args)
            name = backend.start_trigger(given.task_name, given.name, kwargs, asked)
        elif not isinstance(given, TaskTemplate):
            raise _not_a_task(given)
        elif not isinstance(given, BackendTask):
            name = backend.start(given, args, kwargs, asked)
        elif args:
            raise TypeError(f"Inputs of the deployed task {given.name} are given by name, got {args!r} by position")
        else:
            name = backend.start_deployed(given.name, given.version, kwargs, asked)
        backend.last_started = name, time.time_ns()
        for tell in started_elsewhere:
            tell(name)
        return Run(name)

    def repeat(self, task: TaskTemplate[Any, Any], inputs: Mapping[str, Any], history: History | None) -> Run:
        """Runs a task for an earlier run, whose finished actions may be reused."""
        __tracebackhide__ = True
        active = self._free_session()
        return self._to_end(active, self._prepare(active, task, (), inputs, history))

    def begin_repeat(self, task: TaskTemplate[Any, Any], inputs: Mapping[str, Any], history: History | None) -> Run:
        """The same, without waiting for the run's end."""
        active = session()
        return Run(start_run(active, self._prepare(active, task, (), inputs, history)).name)

    async def repeat_aio(self, task: TaskTemplate[Any, Any], inputs: Mapping[str, Any], history: History | None) -> Run:
        """The same, awaited."""
        __tracebackhide__ = True
        active = session()
        return await self._to_end_aio(active, self._prepare(active, task, (), inputs, history))

    def _run(self, task: Runnable, /, *args: Any, **kwargs: Any) -> Run:
        __tracebackhide__ = True
        backend = self._backend()
        if backend is not None:
            return self._start_there(backend, task, args, kwargs)
        active = self._free_session()
        return self._to_end(active, self._prepare(active, task, args, kwargs))

    async def _run_aio(self, task: Runnable, /, *args: Any, **kwargs: Any) -> Run:
        __tracebackhide__ = True
        backend = self._backend()
        if backend is not None:
            return await asyncio.to_thread(self._start_there, backend, task, args, kwargs)
        active = session()
        return await self._to_end_aio(active, self._prepare(active, task, args, kwargs))

    def _free_session(self) -> Session:
        active = session()
        if active.engine.is_current():
            raise SyncTaskCallInAsyncContextError(
                "flyte.run blocks the loop that its own tasks need: use `await flyte.run.aio(...)` in an async task"
            )
        return active

    def _to_end(self, active: Session, prepared: PreparedRun) -> Run:
        __tracebackhide__ = True
        try:
            run_to_end(active, prepared)
            settle(prepared.run)
        except BaseException as error:
            raise _with_run(error, prepared.run) from error.__cause__
        return Run(prepared.run.name)

    async def _to_end_aio(self, active: Session, prepared: PreparedRun) -> Run:
        __tracebackhide__ = True
        state = start_run(active, prepared)
        try:
            await wait_for_run_aio(active, state)
            await asyncio.to_thread(settle, state)
        except BaseException as error:
            raise _with_run(error, state) from error.__cause__
        return Run(state.name)

    def _prepare(
        self,
        active: Session,
        given: Runnable,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        history: History | None = None,
    ) -> PreparedRun:
        __tracebackhide__ = True
        if isinstance(given, TriggerDetails):
            fired = run_by_hand(given.row, args, kwargs, self._asked)
            return with_runcontext(**fired.options)._prepare(active, fired.task, (), fired.inputs)
        task = task_of(given)
        if not isinstance(task, TaskTemplate):
            raise _not_a_task(task)
        notebook, cell = origin_of_call()
        context = {**outer_context.get(), **self.options.custom_context}
        recorded = {**self.options.recorded, "custom_context": context} if context else self.options.recorded
        options = self._tracking.applied(replace(self.options, custom_context=context, recorded=recorded))
        return prepare_run(active, task, args, kwargs, options, notebook=notebook, cell=cell, history=history)


def with_runcontext(
    mode: Mode | None = None,
    *,
    name: str | None = None,
    service_account: str | None = None,
    version: str | None = None,
    copy_style: str = "loaded_modules",
    dry_run: bool = False,
    copy_bundle_to: Path | None = None,
    interactive_mode: bool | None = None,
    raw_data_path: str | None = None,
    run_base_dir: str | None = None,
    run_start_time: datetime | None = None,
    overwrite_cache: bool = False,
    project: str | None = None,
    domain: str | None = None,
    env_vars: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    interruptible: bool | None = None,
    log_level: int | None = None,
    log_format: str = "console",
    user_log_level: int | None = None,
    reset_root_logger: bool = False,
    disable_run_cache: bool = False,
    queue: str | None = None,
    max_action_concurrency: int | None = None,
    notifications: Any = None,
    custom_context: dict[str, str] | None = None,
    cache_lookup_scope: str = "global",
    preserve_original_types: bool = False,
    debug: bool = False,
    isolation: Isolation | None = None,
    tracked: bool = False,
    tracked_strict: bool = False,
    _tracker: Any = None,
) -> Runner:
    """Options for a run: `flyte.with_runcontext(name="nightly", labels={"team": "x"}).run(task, x=1)`.

    Parameters that mean something on a cluster only are recorded with the run and shown; docs/compatibility.md
    lists them.

    Args:
        mode: `remote` runs at the backend that `flyte.init` connected, `local` here; None there if one is connected,
            and here otherwise or where a task starts the run.
        name: the run's name, numbered when another run has it; a fresh one by default.
        raw_data_path: folder for files and checkpoints of the run; in the store by default.
        run_base_dir: folder named as the base of outputs in `flyte.ctx()`.
        run_start_time: what tasks see as the start of the run; now by default.
        overwrite_cache: execute cached tasks and store their results anew.
        disable_run_cache: neither look cached results up nor store them.
        labels: kept with the run; runs are found by them.
        annotations: kept with the run.
        max_action_concurrency: how many actions may be at work at once; 0 or None for no limit.
        notifications: sent when the run ends: one of `flyte.notify`, or several.
        env_vars: environment variables of the run's processes; its tasks run in processes then.
        isolation: where tasks run: `kernel`, `process` or `virtualenv`; None lets the session or each task decide.
        custom_context: what `flyte.get_custom_context()` gives in every task.
        log_level: level of the logger `flyte`.
        user_log_level: level of the logger `flyte.user`.
        tracked: publish the run at the backend that is connected, while it runs here.
        tracked_strict: the run fails where it cannot be published.

    Raises:
        ValueError: a value that Flyte refuses.
        TypeError: a notification that is none.
    """
    asked = {name: value for name, value in locals().items() if value not in (None, False)}
    if mode not in (None, "local", "remote", "hybrid"):
        raise ValueError(f"mode must be local, remote or hybrid, got {mode!r}")
    if mode == "hybrid" and (name is None or run_base_dir is None):
        raise ValueError("mode='hybrid' needs name= and run_base_dir=")
    if name is not None and not RUN_NAME.fullmatch(name):
        raise ValueError(
            f"name must be up to 63 letters, digits, '.', '_' or '-', from a letter or digit on: got {name!r}"
        )
    if copy_style not in COPY_STYLES:
        raise ValueError(f"copy_style must be one of {', '.join(COPY_STYLES)}, got {copy_style!r}")
    if copy_style == "none" and version is None:
        raise ValueError("copy_style='none' needs version=: without code to copy, the version says what runs")
    if copy_style == "custom":
        raise ValueError(
            "copy_style='custom' is Flyte's own, for generated bundles; use 'loaded_modules', 'all' or 'none'"
        )
    check_isolation(isolation)
    if max_action_concurrency is not None and (max_action_concurrency < 0 or max_action_concurrency == 1):
        raise ValueError(
            f"max_action_concurrency must be 0 (no limit) or at least 2 (the parent is an action too), "
            f"got {max_action_concurrency}"
        )
    if dry_run:
        raise NotImplementedError("dry_run=True asks a backend what it would do; leave it out to run here")
    is_here = mode != "remote" and source.backend is None
    if is_here and raw_data_path is not None and "://" in raw_data_path and not raw_data_path.startswith("file://"):
        raise ValueError(f"raw_data_path must be a local folder here, got {raw_data_path!r}")
    if log_level is not None:
        logging.getLogger("flyte").setLevel(log_level)
    if user_log_level is not None:
        logging.getLogger("flyte.user").setLevel(user_log_level)
    rules = notifications_of(notifications)
    recorded = {
        "service_account": service_account,
        "version": version,
        "copy_style": copy_style if copy_style != "loaded_modules" else None,
        "copy_bundle_to": str(copy_bundle_to) if copy_bundle_to is not None else None,
        "interactive_mode": interactive_mode,
        "raw_data_path": raw_data_path.removeprefix("file://") if raw_data_path else None,
        "run_base_dir": run_base_dir or None,
        "project": project,
        "domain": domain,
        "env_vars": sorted(env_vars) if env_vars else None,
        "isolation": isolation,
        "interruptible": interruptible,
        "log_format": log_format if log_format != "console" else None,
        "reset_root_logger": reset_root_logger or None,
        "queue": queue,
        "notifications": [type(one).__name__ for one in rules] or None,  # addresses may be secret
        "cache_lookup_scope": cache_lookup_scope if cache_lookup_scope != "global" else None,
        "preserve_original_types": preserve_original_types or None,
        "debug": debug or None,
        "overwrite_cache": overwrite_cache or None,
        "disable_run_cache": disable_run_cache or None,
        "max_action_concurrency": max_action_concurrency,
    }
    options = RunOptions(
        name=name,
        labels=labels or {},
        annotations=annotations or {},
        custom_context=custom_context or {},
        disable_run_cache=disable_run_cache,
        overwrite_cache=overwrite_cache,
        max_action_concurrency=max_action_concurrency or None,
        raw_data_path=raw_data_path.removeprefix("file://") if raw_data_path else None,
        run_base_dir=run_base_dir,
        run_start_time=run_start_time,
        env_vars=env_vars or {},
        notifications=rules,
        isolation=isolation,
        recorded={key: value for key, value in recorded.items() if value is not None},
    )
    return Runner(options, mode, asked, Tracking(tracked, tracked_strict))


def _plain_run(task: Runnable, /, *args: Any, **kwargs: Any) -> Run:
    """Runs a task and waits for it: `flyte.run(task, x=1).outputs()`.

    Args:
        task: a task, the result of `@env.task` or `task.override(...)`; a deployed one; or a trigger, which is fired.
        args: its inputs, by position.
        kwargs: its inputs, by name; of a trigger, those that are not to be its own.

    Returns:
        The run, over and whole.

    Raises:
        TypeError, ValueError: the inputs do not fit the signature; nothing was recorded.
        flyte_nb.errors.BaseRuntimeError: the task failed; `.run` is the run, `__cause__` the original exception.
        KeyboardInterrupt: Stop was pressed; the run is recorded as aborted.
    """
    __tracebackhide__ = True
    return Runner(RunOptions(), None)._run(task, *args, **kwargs)


@functools.wraps(_plain_run)
async def _plain_run_aio(task: Runnable, /, *args: Any, **kwargs: Any) -> Run:
    __tracebackhide__ = True
    return await Runner(RunOptions(), None)._run_aio(task, *args, **kwargs)


_plain_run.__qualname__ = "run"  # the name in Python's own message, when the task is missing
run: Blocking[..., Run] = Blocking(_plain_run, _plain_run_aio)


def _not_a_task(given: Any) -> TypeError:
    cure = "Declare it with @env.task." if callable(given) else "Give the task, then its inputs: flyte.run(task, x=1)."
    if inspect.iscoroutine(given):
        given.close()  # else Python warns of it as well
    return TypeError(f"On Flyte tasks can be run, not generic functions or methods: got {given!r}. {cure}")


def _with_run(error: BaseException, state: RunState) -> BaseException:
    """The error with the run in `.run`, and a traceback of the tasks that it passed through, without the engine's."""
    with suppress(KeyError):  # it could not even begin to be recorded
        error.run = Run(state.name)  # type: ignore[attr-defined]
    return error.with_traceback(without_machinery(error.__traceback__))
