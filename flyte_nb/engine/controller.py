"""The controller: what happens to a call, read from the top.

    submit             which loop are we on; name the action and enter it into the tree
    _submit_replaying  finished before, in an earlier attempt of the parent: reuse
    _submit_placed     wait for a place, where the run limits them
    _submit_cached     known from an earlier run: reuse
    _submit_retrying   attempts, with backoff between them
    _execute_attempt   one attempt: scope, timeout, outcome
    executor.execute   the user's code

Everything here runs on the engine loop. A layer that a task does not ask for costs one `if`.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import CancelledError
from collections.abc import Mapping
from typing import Any

from flyte_nb.authoring.context import Scope, TraceStep
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.action import Action, Attempt
from flyte_nb.engine.attempts import backoff_seconds, close_attempt, is_recoverable, run_attempt
from flyte_nb.engine.caching import CacheEntry, ResultCache, cache_key
from flyte_nb.engine.contexts import make_task_context
from flyte_nb.engine.identity import action_name, call_position
from flyte_nb.engine.loop import EngineLoop
from flyte_nb.engine.plans import Plan, plan_for
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.engine.tracing import RecordedStep, begin_trace
from flyte_nb.errors import MaxRuntimeExceededError, SyncTaskCallInAsyncContextError
from flyte_nb.executors.base import Executor
from flyte_nb.executors.threads import TaskThreads
from flyte_nb.models import TaskContext
from flyte_nb.types.base import Blobs

__all__ = ["LocalController"]

LEVELS_PER_TASK = 16
"""Nested calls that share one asyncio task. Each level is some frames of C stack when the innermost resumes; a
fresh task starts a fresh stack, so that calls nest to any depth."""


class LocalController:
    """Takes the calls of code that runs inside an action of this process.

    Args:
        engine: the loop on which actions live.
        executor: runs attempts.
        blobs: where large values go.
        cache: results of earlier runs.
        threads: the sync tasks' threads, to free a place while one of them waits.
    """

    def __init__(
        self, engine: EngineLoop, executor: Executor, blobs: Blobs, cache: ResultCache, threads: TaskThreads
    ) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._executor = executor
        self._blobs = blobs
        self._cache = cache
        self._threads = threads

    # ---------------------------------------------------------------- the door

    async def submit(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """A child action; awaitable on any loop. See `flyte_nb.authoring.context.Controller`."""
        if asyncio.get_running_loop() is not self._loop:
            return await self._submit_from_another_loop(scope, task, args, kwargs)
        attempt: Attempt = scope.attempt
        if attempt.closed:
            raise CancelledError(f"{task.name} was called after the task that called it had ended")
        parent = attempt.action
        run = parent.run_state
        plan = run.plans.get(task) or plan_for(run, task)
        payload, inputs = plan.signature.encode_inputs(args, kwargs, self._blobs)
        group = scope.group
        counted = plan.signature.identity(payload)
        call = (plan.name, counted, group)
        sequence = attempt.calls.get(call, 0)
        attempt.calls[call] = sequence + 1
        position = call_position(parent.position, plan.name, group, sequence, counted)
        name = action_name(position, plan.identity)
        known = run.actions.get(name)
        if known is not None:
            return await self._submit_replaying(known, plan, scope.custom_context)
        action = Action(run, parent, "task", plan.name, plan.spec, group, name, position, payload, time.time_ns())
        run.add(action, sequence, scope.custom_context)
        return await self._submit_nested(attempt, action, plan, inputs, scope.custom_context)

    def submit_sync(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """A child action of a sync task, blocking its thread. See `flyte_nb.authoring.context.Controller`."""
        if asyncio._get_running_loop() is not None:
            raise SyncTaskCallInAsyncContextError(
                f"Sync task '{task.name}' was called in a blocking way from async code. This blocks the event loop and "
                f"can hang the run. Use `await {task.name.rpartition('.')[2]}.aio(...)` instead."
            )
        future = self._engine.start(self.submit(scope, task, args, kwargs))
        with self._threads.blocked():
            return future.result()

    def begin_trace(
        self, scope: Scope, function: TraceFunction[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TraceStep:
        """Starts a step of a traced function."""
        step: RecordedStep = begin_trace(scope, function, args, kwargs, self._blobs)
        return step

    def task_context(self, scope: Scope) -> TaskContext:
        """What `flyte.ctx()` shows."""
        return make_task_context(scope)

    async def run_root(self, run: RunState, action: Action, plan: Plan, inputs: dict[str, Any]) -> Any:
        """The root action of a run, from its start to its end."""
        action.asyncio_task = asyncio.current_task()
        return await self._submit_placed(action, plan, inputs, run.options.custom_context)

    # ---------------------------------------------------------------- the stack

    async def _submit_from_another_loop(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """From `asyncio.run` inside a sync task: the child runs on the engine loop, its thread's place is free."""
        future = self._engine.start(self.submit(scope, task, args, kwargs))
        with self._threads.blocked():
            return await asyncio.wrap_future(future)

    async def _submit_replaying(self, known: Action, plan: Plan, custom_context: Mapping[str, str]) -> Any:
        """The same call in a later attempt of its parent: a finished child is reused, any other is tried again."""
        if known.phase == "succeeded" or known.phase == "recovered":
            return self._result(plan, known.outputs or b"")
        known.run_state.restart(known)
        inputs = plan.signature.decode_inputs(known.inputs, self._blobs)
        return await self._submit_placed(known, plan, inputs, custom_context)

    async def _submit_nested(
        self,
        attempt: Attempt,
        action: Action,
        plan: Plan,
        inputs: dict[str, Any],
        custom_context: Mapping[str, str],
    ) -> Any:
        """Keeps the tree: the parent knows its live children, and gives its place up for them."""
        parent = attempt.action
        if attempt.has_output:
            attempt.flush()  # what it printed so far stands before what its children print
        if parent.children is None:
            parent.children = set()
        parent.children.add(action)
        action.asyncio_task = asyncio.current_task()
        places = action.run_state.places
        if places is not None:
            attempt.waiting += 1
            if attempt.waiting == 1 and parent.holds_place:
                parent.holds_place = False
                places.leave()
        try:
            outcome = self._submit_placed(action, plan, inputs, custom_context)
            if action.depth % LEVELS_PER_TASK == 0:
                return await asyncio.ensure_future(outcome)
            return await outcome
        finally:
            parent.children.discard(action)
            if places is not None:
                attempt.waiting -= 1
                if attempt.waiting == 0 and not attempt.closed:
                    await places.enter(returning=True)
                    parent.holds_place = True

    async def _submit_placed(
        self, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str]
    ) -> Any:
        places = action.run_state.places
        if places is None:
            return await self._submit_cached(action, plan, inputs, custom_context, waited=False)
        try:
            waited = await places.enter()
        except CancelledError:
            action.run_state.end(action, "aborted")
            raise
        action.holds_place = True
        try:
            return await self._submit_cached(action, plan, inputs, custom_context, waited)
        finally:
            if action.holds_place:
                action.holds_place = False
                places.leave()

    async def _submit_cached(
        self, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str], waited: bool
    ) -> Any:
        run = action.run_state
        cache = plan.cache
        if cache is None or run.options.disable_run_cache:
            return await self._submit_retrying(action, plan, inputs, custom_context, waited)
        key = cache_key(plan, action.inputs)
        if cache.behavior == "auto" and not run.options.overwrite_cache:
            entry = self._cache.get(key, cache.max_age, time.time_ns())
            if entry is not None:
                run.start(action, time.time_ns(), "cache", announce=False)
                result = self._result(plan, entry.payload)
                run.end(action, "succeeded", entry.payload, source=f"cache:{entry.run}/{entry.action}")
                return result
        result = await self._submit_retrying(action, plan, inputs, custom_context, waited)
        if action.outputs is not None:
            self._cache.put(key, CacheEntry(action.outputs, run.name, action.name, time.time_ns()))
        return result

    async def _submit_retrying(
        self, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str], waited: bool
    ) -> Any:
        run = action.run_state
        last = action.attempt + plan.retries
        while True:
            run.start(action, time.time_ns(), self._executor.name, announce=waited or action.attempt > 1)
            error = None
            try:
                payload, result = await self._execute_attempt(action, plan, inputs, custom_context)
            except CancelledError as cancelled:
                action.note = str(cancelled.args[0]) if cancelled.args else action.note
                run.end(action, "aborted")
                raise
            except Exception as raised:  # what Flyte's caller sees of whatever the user's code raised
                error = raised
            if error is None:
                run.end(action, "succeeded", payload)
                return result
            record = describe_error(error, plan.place)
            phase = "timed_out" if isinstance(error, MaxRuntimeExceededError) else "failed"
            if action.attempt >= last or not is_recoverable(error):
                run.end(action, phase, error=record)
                raise error
            run.fail_attempt(action, phase, record)
            await self._pause(action, plan)
            inputs = plan.signature.decode_inputs(action.inputs, self._blobs)

    async def _pause(self, action: Action, plan: Plan) -> None:
        """Waits before the next attempt, which is already numbered."""
        action.run_state.set_phase(action, "queued")
        try:
            await asyncio.sleep(backoff_seconds(plan.backoff, action.attempt - 2))
        except CancelledError:
            action.run_state.end(action, "aborted")
            raise

    async def _execute_attempt(
        self, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str]
    ) -> tuple[bytes, Any]:
        """One attempt; returns the outputs' payload and the caller's copy of the result."""
        attempt = Attempt(action, plan)
        scope = Scope(self, attempt, None, custom_context)
        try:
            value = await run_attempt(self._executor, plan, inputs, scope)
        finally:
            attempt.closed = True
            if attempt.has_output or action.children:
                await close_attempt(attempt)
        return plan.signature.encode_outputs(value, self._blobs)

    def _result(self, plan: Plan, payload: bytes) -> Any:
        """What the caller receives of recorded outputs."""
        return plan.signature.outputs_as_result(plan.signature.decode_outputs(payload, self._blobs))
