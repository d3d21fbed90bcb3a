"""The controller: what happens to a call, read from the top.

    submit             which loop are we on; name the action and enter it into the tree
    _submit_replaying  finished before, in an earlier attempt of the parent: reuse
    _submit_placed     wait for a place, where the run limits them
    _submit_cached     known from an earlier run: reuse
    _submit_retrying   attempts, with backoff between them
    _execute_attempt   one attempt: scope, timeout, outcome
    executor.execute   the user's code, in the kernel or in a process

Calls of code in a process arrive encoded, at `submit_encoded`, and go the same way.

Everything here runs on the engine loop. A layer that a task does not ask for costs one `if`: it gives what the next
layer gives, so that ten thousand calls that wait are not ten thousand times every layer.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import CancelledError
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from flyte_nb.authoring.condition import Answer, Question, refuse_blocking_wait
from flyte_nb.authoring.context import Scope, TraceStep
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.action import Action, Attempt
from flyte_nb.engine.attempts import (
    backoff_seconds,
    close_attempt,
    follow,
    is_recoverable,
    is_system_failure,
    make_call,
    raise_error,
    waiting,
)
from flyte_nb.engine.cache.caching import ResultCache
from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.engine.collecting import CallsWaiting
from flyte_nb.engine.conditions import wait_for_answer
from flyte_nb.engine.contexts import facts_of, task_context_of
from flyte_nb.engine.deadlines import PAUSING, Bounds
from flyte_nb.engine.hosting import AttemptHost
from flyte_nb.engine.identity import action_name, call_position
from flyte_nb.engine.isolation import placement_of
from flyte_nb.engine.loop import EngineLoop
from flyte_nb.engine.places import Place
from flyte_nb.engine.plans import Plan, plan_for
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.engine.tracing import RecordedStep, begin_trace
from flyte_nb.errors import ActionAbortedError, SyncTaskCallInAsyncContextError
from flyte_nb.executors.base import Call, Executor
from flyte_nb.executors.losses import WorkerLostError
from flyte_nb.executors.threads import TaskThreads
from flyte_nb.models import TaskContext
from flyte_nb.store.values import ValueStore
from flyte_nb.types.contents import is_whole
from flyte_nb.types.steps import decode_values

__all__ = ["LocalController"]

LEVELS_PER_TASK = 16
"""Nested calls that share one asyncio task. Each level is some frames of C stack when the innermost resumes; a
fresh task starts a fresh stack, so that calls nest to any depth."""
UNREAD: Any = object()
"""Stands for a result that only its payload tells yet: of an attempt in a process."""
ELSEWHERE: dict[str, Any] = {}
"""Stands for the inputs of an attempt in a process, which decodes them itself."""
SHARED_LOSSES = 5
"""How often an attempt may be lost with a process that it shared before that counts as a failure."""


class LocalController:
    """Takes the calls of code that runs inside an action of this process.

    Args:
        engine: the loop on which actions live.
        kernel: runs attempts in this process.
        processes: runs those of tasks that ask for a process.
        values: where large values go.
        cache: results of earlier runs.
        shipper: makes the code that processes are sent.
        threads: the sync tasks' threads, to free a place while one of them waits.
    """

    def __init__(
        self,
        engine: EngineLoop,
        kernel: Executor,
        processes: Executor,
        values: ValueStore,
        cache: ResultCache,
        shipper: Shipper,
        threads: TaskThreads,
    ) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._kernel = kernel
        self._processes = processes
        self._blobs = values
        self._cache = cache
        self._threads = threads
        self._shipper = shipper
        self._waiting = CallsWaiting()

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
        if plan.is_local:
            payload, inputs = plan.signature.encode_inputs(args, kwargs, self._blobs)
        else:
            payload, inputs = plan.signature.pack_inputs(args, kwargs, self._blobs), ELSEWHERE
        action, outcome = self._enter(attempt, plan, payload, inputs, scope.group, scope.custom_context)
        result = UNREAD if outcome is None else await outcome
        return self._result(plan, action.outputs or b"") if result is UNREAD else result

    async def submit_encoded(
        self,
        attempt: Attempt,
        task: TaskTemplate[Any, Any],
        payload: bytes,
        group: str | None,
        custom_context: Mapping[str, str],
    ) -> bytes:
        """A child action of code in a process: its inputs come encoded, its outputs are returned so."""
        if attempt.closed:
            raise CancelledError(f"{task.name} was called after the task that called it had ended")
        run = attempt.action.run_state
        plan = run.plans.get(task) or plan_for(run, task)
        inputs = plan.signature.decode_inputs(payload, self._blobs) if plan.is_local else ELSEWHERE
        action, outcome = self._enter(attempt, plan, payload, inputs, group, custom_context)
        if outcome is not None:
            await outcome
        return action.outputs or b""

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

    async def wait_for_condition(self, scope: Scope, question: Question) -> Answer:
        """The answer to a question; awaitable on any loop. See `flyte_nb.authoring.context.Controller`."""
        waiting = wait_for_answer(scope.attempt, question, scope.group, scope.custom_context, self._blobs)
        if asyncio.get_running_loop() is self._loop:
            payload = await waiting
        else:
            future = self._engine.start(waiting)
            with self._threads.blocked():
                payload = await asyncio.wrap_future(future)
        return self._answer(payload)

    def wait_for_condition_sync(self, scope: Scope, question: Question) -> Answer:
        """The answer to a question, blocking the thread. See `flyte_nb.authoring.context.Controller`."""
        refuse_blocking_wait(question.name)
        waiting = wait_for_answer(scope.attempt, question, scope.group, scope.custom_context, self._blobs)
        future = self._engine.start(waiting)
        with self._threads.blocked():
            return self._answer(future.result())

    def task_context(self, scope: Scope) -> TaskContext:
        """What `flyte.ctx()` shows."""
        return task_context_of(scope)

    async def run_root(self, run: RunState, action: Action, plan: Plan, inputs: dict[str, Any]) -> None:
        """The root action of a run, from its start to its end."""
        action.asyncio_task = asyncio.current_task()
        if run.cancelled_by:  # when there was no task yet to cancel
            raise CancelledError
        history = run.history
        recovered = history.find_root(plan.deep_digest, action.inputs) if history is not None else None
        if recovered is not None and is_whole(recovered.outputs, self._blobs.renew, self._blobs):
            run.end(action, "recovered", recovered.outputs, source=recovered.source)
            return
        reusable = len(history) if history is not None else 0
        self._waiting.more(reusable)  # the run may find all of them at once
        try:
            await self._submit_placed(action, plan, inputs, run.options.custom_context)
        finally:
            self._waiting.less(reusable)

    # ---------------------------------------------------------------- the stack

    async def _submit_from_another_loop(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """From `asyncio.run` inside a sync task: the child runs on the engine loop, its thread's place is free."""
        future = self._engine.start(self.submit(scope, task, args, kwargs))
        with self._threads.blocked():
            return await asyncio.wrap_future(future)

    def _enter(
        self,
        attempt: Attempt,
        plan: Plan,
        payload: bytes,
        inputs: dict[str, Any],
        group: str | None,
        custom_context: Mapping[str, str],
    ) -> tuple[Action, Coroutine[Any, Any, Any] | None]:
        """Names the call and enters it into the tree; returns its action, and what is left to do if anything is."""
        parent = attempt.action
        run = parent.run_state
        counted = plan.signature.identity(payload)
        call = (plan.name, counted, group)
        sequence = attempt.calls.get(call, 0)
        attempt.calls[call] = sequence + 1
        position = call_position(parent.position, plan.name, group, sequence, counted)
        name = action_name(position, plan.identity)
        known = run.actions.get(name)
        if known is not None:
            return known, self._submit_replaying(attempt, known, plan, inputs, custom_context)
        action = Action(run, parent, "task", plan.name, plan.spec, group, name, position, payload, time.time_ns())
        recovered = run.history.find(name, plan.deep_digest) if run.history is not None else None
        if recovered is not None and is_whole(recovered.outputs, self._blobs.renew, self._blobs):
            run.add_recovered(action, sequence, custom_context, recovered.outputs, recovered.source)
            return action, None
        run.add(action, sequence, custom_context)
        return action, self._submit_nested(attempt, action, plan, inputs, custom_context)

    def _submit_replaying(
        self,
        attempt: Attempt,
        known: Action,
        plan: Plan,
        inputs: dict[str, Any],
        custom_context: Mapping[str, str],
    ) -> Coroutine[Any, Any, Any] | None:
        """The same call in a later attempt of its parent: a finished child is reused, any other is tried again."""
        if known.phase == "succeeded" or known.phase == "recovered":
            return None
        known.run_state.restart(known)
        return self._submit_nested(attempt, known, plan, inputs, custom_context)

    async def _submit_nested(
        self,
        attempt: Attempt,
        action: Action,
        plan: Plan,
        inputs: dict[str, Any],
        custom_context: Mapping[str, str],
    ) -> Any:
        """Keeps the tree: the parent knows its live children, and gives up for them what it holds."""
        parent = attempt.action
        if attempt.has_output:
            attempt.flush()  # what it printed so far stands before what its children print
        if parent.children is None:
            parent.children = set()
        parent.children.add(action)
        self._waiting.more()
        action.asyncio_task = asyncio.current_task()
        standing = attempt.standing
        if standing is not None:
            standing.leave()
        try:
            outcome = self._submit_placed(action, plan, inputs, custom_context)
            if action.depth % LEVELS_PER_TASK == 0:
                return await asyncio.ensure_future(outcome)
            return await outcome
        except CancelledError:
            if action.was_aborted_alone():
                raise ActionAbortedError(f"{action.task} ({action.name}) was aborted: {action.abort_reason}") from None
            raise
        finally:
            self._waiting.less()
            parent.children.discard(action)
            action.asyncio_task = None
            if standing is not None:
                await standing.back()

    def _submit_placed(
        self, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str]
    ) -> Coroutine[Any, Any, Any]:
        if plan.timeout is not None:
            action.bounds = Bounds(plan.timeout, plan.name)
        places = action.run_state.places
        if places is None:
            return self._submit_cached(action, plan, inputs, custom_context, waited=False)
        return self._submit_in_place(Place(places), action, plan, inputs, custom_context)

    async def _submit_in_place(
        self, place: Place, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str]
    ) -> Any:
        try:
            async with waiting(action, plan.place):
                waited = await place.enter()
            action.place = place
            return await self._submit_cached(action, plan, inputs, custom_context, waited)
        finally:
            place.release()

    def _submit_cached(
        self, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str], waited: bool
    ) -> Coroutine[Any, Any, Any]:
        if plan.cache is None or action.run_state.options.disable_run_cache:
            return self._submit_retrying(action, plan, inputs, custom_context, waited)
        execute = partial(self._submit_retrying, action, plan, inputs, custom_context)
        return self._cache.submit(action, plan, execute, waited)

    async def _submit_retrying(
        self, action: Action, plan: Plan, inputs: dict[str, Any], custom_context: Mapping[str, str], waited: bool
    ) -> Any:
        run = action.run_state
        bounds = action.bounds
        last = action.attempt + plan.retries
        losses = 0
        alone = False
        replays = True
        while True:
            if bounds is not None:
                bounds.moved("running" if plan.is_local else "queued")
            if plan.is_local:
                run.start(action, time.time_ns(), self._kernel.name, announce=waited or action.attempt > 1)
            error = None
            try:
                payload, result = await self._execute_attempt(action, plan, inputs, custom_context, alone, replays)
            except CancelledError as cancelled:
                action.note = str(cancelled.args[0]) if cancelled.args else action.note
                run.abort(action)
                raise
            except Exception as raised:  # what Flyte's caller sees of whatever the user's code raised
                error = raised
            if error is None:
                run.end(action, "succeeded", payload)
                return result
            record = describe_error(error, plan.place)
            replays = is_system_failure(error)
            phase = "timed_out" if bounds is not None and error is bounds.error else "failed"
            if isinstance(error, WorkerLostError) and error.shared and losses < SHARED_LOSSES:
                losses += 1
                last += 1
                alone = alone or not error.cleared or losses > 1
                run.fail_attempt(action, phase, record)
            elif action.attempt >= last or not is_recoverable(error, bounds):
                run.end(action, phase, error=record)
                raise error
            else:
                run.fail_attempt(action, phase, record)
                await self._pause(action, plan)
            if plan.is_local:
                inputs = plan.signature.decode_inputs(action.inputs, self._blobs)

    async def _pause(self, action: Action, plan: Plan) -> None:
        """Waits before the next attempt, which is already numbered."""
        action.run_state.set_phase(action, "queued")
        async with waiting(action, plan.place):
            if action.bounds is not None:
                action.bounds.moved(PAUSING)
            await asyncio.sleep(backoff_seconds(plan.backoff, action.attempt - 2))

    async def _execute_attempt(
        self,
        action: Action,
        plan: Plan,
        inputs: dict[str, Any],
        custom_context: Mapping[str, str],
        alone: bool,
        replays: bool,
    ) -> tuple[bytes, Any]:
        """One attempt; returns the outputs' payload and the caller's copy of the result."""
        attempt = Attempt(action, plan, replays)
        call = make_call(plan, inputs, Scope(self, attempt, None, custom_context))
        if action.place is not None or not plan.is_local:
            attempt.call = call
        executor: Executor = self._kernel
        try:
            if not plan.is_local:
                executor = self._processes
                if plan.placement is None or plan.code is None:
                    await self._place(plan, action.run_state)
                self._prepare(call, plan, alone)
            if action.bounds is None:
                outcome = await executor.execute(call)
            else:
                async with action.bounds.enforced():
                    outcome = await executor.execute(call)
            raise_error(outcome, plan, call)
        finally:
            attempt.leave()
            if attempt.has_output or action.children:
                await close_attempt(attempt)
        if outcome.payload is not None:
            return outcome.payload, UNREAD
        return plan.signature.encode_outputs(outcome.value, self._blobs)

    async def _place(self, plan: Plan, run: RunState) -> None:
        """Finds out what a task's process must be given, secrets included."""
        placement, secrets = await placement_of(plan.template, plan.isolation, plan.reason, run.name, run.options)
        run.masker.add(secrets)
        if plan.code is None:
            plan.code = self._shipper.ship(plan.template)
        plan.placement = placement

    def _prepare(self, call: Call, plan: Plan, alone: bool) -> None:
        """Makes ready what a process needs of a call."""
        assert plan.placement is not None and plan.code is not None
        attempt: Attempt = call.scope.attempt
        action = attempt.action
        custom_context = call.scope.custom_context
        call.placement = plan.placement
        call.payload = action.inputs
        call.code = plan.code
        call.facts = facts_of(attempt, custom_context)
        call.host = AttemptHost(self, attempt, custom_context, self._shipper, self._blobs)
        call.moved = partial(follow, action)
        call.alone = alone

    def _answer(self, payload: bytes) -> Answer:
        """What code that waits for a condition receives of the recorded answer."""
        answer: Answer = decode_values(payload, self._blobs)[0]
        return answer

    def _result(self, plan: Plan, payload: bytes) -> Any:
        """What the caller receives of recorded outputs."""
        return plan.signature.outputs_as_result(plan.signature.decode_outputs(payload, self._blobs))
