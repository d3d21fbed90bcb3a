"""An action once more, in the thread that asks for it: its function with its inputs, as a debugger wants it.

    reenter(action, task, inputs) -> the function, called here and now -> what it returns or raises

Its code finds what it found: a call that had ended gives what it gave, or raises what it raised, without executing
again; so do traced functions and conditions. What is not on record is executed as a plain call in the same thread, so
that a debugger steps into it. Nothing is recorded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flyte_nb.authoring.condition import Answer, Question, refuse_blocking_wait
from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.action import Action, Attempt
from flyte_nb.engine.code.run_code import recorded_task
from flyte_nb.engine.contexts import task_context_of
from flyte_nb.engine.history import FAULTY, FINISHED
from flyte_nb.engine.secrets.values import resolve
from flyte_nb.engine.state import RunState
from flyte_nb.errors import ConditionFailedError, SyncTaskCallInAsyncContextError, from_code, user_error
from flyte_nb.executors.callee import callee_of
from flyte_nb.executors.worker.namespace import whole
from flyte_nb.models import TaskContext
from flyte_nb.store.rows import ActionRow
from flyte_nb.store.values import ValueStore
from flyte_nb.types.signature import signature_of
from flyte_nb.types.steps import decode_values, encode_values, named_arguments
from flyte_nb.types.trees import identity_of

__all__ = ["Caller", "Reentry"]

Caller = Callable[..., Any]
"""Calls a function with keyword arguments and returns what it returns: plainly, or under a debugger."""


class Reentry:
    """The controller of an action that is entered again; see `flyte_nb.authoring.context.Controller`.

    Args:
        run: the run as its code sees it; its sink drops what it is given.
        rows: the recorded actions of the run, in the order in which they were called.
        values: where large values are.
    """

    def __init__(self, run: RunState, rows: Sequence[ActionRow], values: ValueStore) -> None:
        self._run = run
        self._values = values
        self._rows = {row.name: row for row in rows}
        self._calls: dict[str, list[ActionRow]] = {}
        for row in rows:
            self._calls.setdefault(row.parent, []).append(row)

    def enter(self, name: str, task: TaskTemplate[Any, Any], inputs: Mapping[str, Any], call: Caller) -> Any:
        """Calls the function of an action.

        Args:
            name: of the action.
            task: whose function.
            inputs: what it is given.
            call: calls it.

        Raises:
            BaseException: whatever the function raises.
        """
        function, is_async = function_of(task)
        with variables_of(task, self._run.options.env_vars), self._within(name, task, self._run.options.custom_context):
            value = asyncio.run(call(function, **inputs)) if is_async else call(function, **inputs)
        return self._checked(task, value)

    async def submit(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """What a child gave or raised; of one that is not on record, what its function does now."""
        row, inputs = self._called(scope, task, args, kwargs)
        if row is not None and is_over(row):
            return self._outcome(task, row)
        function, is_async = function_of(task)
        with self._inside(row, scope, task):
            value = function(**inputs)
            return self._checked(task, await value if is_async else value)

    def submit_sync(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """The same for a sync caller."""
        if scope.attempt.is_async and asyncio._get_running_loop() is not None:
            raise SyncTaskCallInAsyncContextError(
                f"Sync task '{task.name}' was called in a blocking way from async code. "
                f"Use `await {task.name.rpartition('.')[2]}.aio(...)` instead."
            )
        row, inputs = self._called(scope, task, args, kwargs)
        if row is not None and is_over(row):
            return self._outcome(task, row)
        function, is_async = function_of(task)
        with self._inside(row, scope, task):
            value = function(**inputs)
            return self._checked(task, asyncio.run(value) if is_async else value)

    def begin_trace(
        self, scope: Scope, function: TraceFunction[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Step:
        """A step that is on record gives its result; any other is taken, one that failed too."""
        payload = encode_values(named_arguments(function, args, kwargs).values(), self._values)
        row = self._next_of(scope, "trace", function.name, lambda row: identity_of(row.inputs) == identity_of(payload))
        return Step(scope.derive(trace=function.name), row.outputs if row is not None else None, self._values)

    async def wait_for_condition(self, scope: Scope, question: Question) -> Answer:
        """The answer that was given."""
        return self._answer(scope, question)

    def wait_for_condition_sync(self, scope: Scope, question: Question) -> Answer:
        """The same for a sync caller."""
        if scope.attempt.is_async:
            refuse_blocking_wait(question.name)
        return self._answer(scope, question)

    def task_context(self, scope: Scope) -> TaskContext:
        """What `flyte.ctx()` showed."""
        return task_context_of(scope)

    def _answer(self, scope: Scope, question: Question) -> Answer:
        row = self._next_of(scope, "condition", question.name, lambda row: True)
        if row is None or row.outputs is None:
            raise ConditionFailedError(f"Condition '{question.name}' was not answered, and is not asked again here.")
        answer: Answer = decode_values(row.outputs, self._values)[0]
        return answer

    def _called(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[ActionRow | None, dict[str, Any]]:
        """The record of a call of a task, if there is one, and the callee's inputs."""
        payload, inputs = signature_of(task).encode_inputs(args, kwargs, self._values)
        identity = signature_of(task).identity
        called = self._next_of(scope, "task", task.name, lambda row: identity(row.inputs) == identity(payload))
        return called, inputs

    def _next_of(self, scope: Scope, kind: str, name: str, has_inputs: Callable[[ActionRow], bool]) -> ActionRow | None:
        """The first record of such a call that was not given yet."""
        calls = self._calls.get(scope.attempt.action.name, [])
        for row in calls:
            if (row.kind, row.task) == (kind, name) and row.group == (scope.group or "") and has_inputs(row):
                calls.remove(row)
                return row
        return None

    @contextmanager
    def _inside(self, row: ActionRow | None, scope: Scope, task: TaskTemplate[Any, Any]) -> Iterator[None]:
        """Around a child that executes; its caller sees its error as Flyte's."""
        with self._within(row.name if row is not None else "", task, scope.custom_context):
            try:
                yield
            except Exception as error:  # whatever a task raises
                raise user_error(error)  # noqa: B904  # it has its cause

    @contextmanager
    def _within(self, name: str, task: TaskTemplate[Any, Any], custom_context: Mapping[str, str]) -> Iterator[None]:
        """Code of the task that runs here is that of the action."""
        row = self._rows.get(name)
        action = Action(self._run, None, "task", task.name, -1, None, name, b"", b"", self._run.started_ns)
        action.attempt = row.attempt if row is not None else 1
        attempt = ShownAttempt(action, is_async=function_of(task)[1])
        token = current_scope.set(Scope(self, attempt, None, custom_context))
        loop = asyncio._get_running_loop()
        if not attempt.is_async:  # its code runs in a thread without a loop elsewhere; here it may be the kernel's
            asyncio._set_running_loop(None)
        try:
            yield
        finally:
            asyncio._set_running_loop(loop)
            current_scope.reset(token)

    def _checked(self, task: TaskTemplate[Any, Any], value: Any) -> Any:
        """The result as a caller receives it.

        Raises:
            flyte_nb.errors.RuntimeDataValidationError: it is not of the declared type.
        """
        return signature_of(task).encode_outputs(value, self._values)[1]

    def _outcome(self, task: TaskTemplate[Any, Any], row: ActionRow) -> Any:
        """What the task returned then.

        Raises:
            flyte_nb.errors.BaseRuntimeError: what it raised then.
        """
        if row.outputs is None:
            assert row.error is not None
            raise from_code(row.error.code, row.error.kind, row.error.message)
        signature = signature_of(task)
        return signature.outputs_as_result(signature.decode_outputs(row.outputs, self._values))


class Step:
    """One call of a traced function; see `flyte_nb.authoring.context.TraceStep`."""

    def __init__(self, scope: Scope, outputs: bytes | None, values: ValueStore) -> None:
        self.scope = scope
        self.replayed = outputs is not None
        self.value: Any = decode_values(outputs, values)[0] if outputs is not None else None

    def succeed(self, value: Any) -> None:
        """Nothing is recorded."""

    def fail(self, error: BaseException) -> None:
        """Nothing is recorded."""

    async def durable(self) -> None:
        """Nothing is recorded."""

    def wait_durable(self) -> None:
        """Nothing is recorded."""


class ShownAttempt(Attempt):
    """An attempt whose output is shown, and not kept."""

    __slots__ = ("is_async",)

    def __init__(self, action: Action, is_async: bool) -> None:
        super().__init__(action, None)
        self.is_async = is_async

    @property
    def output(self) -> Any:
        """Where what it prints goes."""
        return self

    def write(self, stream: str, text: str, original: Callable[[str], int]) -> None:
        """Shows what was printed."""
        original(text)

    def display(self, bundle: str) -> None:
        """The cell shows what is displayed."""


def is_over(row: ActionRow) -> bool:
    """Whether it is known what a call came to."""
    return row.outputs is not None if row.phase in FINISHED else row.phase in FAULTY and row.error is not None


def function_of(task: TaskTemplate[Any, Any]) -> tuple[Callable[..., Any], bool]:
    """The function of a task, recorded or the notebook's, and whether calling it gives an awaitable."""
    recorded = recorded_task(task)
    return callee_of(whole(task) if recorded is None else recorded.template)


@contextmanager
def variables_of(task: TaskTemplate[Any, Any], of_run: Mapping[str, str]) -> Iterator[None]:
    """The environment variables and secrets of a task, in this process for as long as it takes.

    Raises:
        flyte_nb.errors.RuntimeUserError: a secret is found nowhere.
    """
    values = {**(task.env_vars or {}), **of_run, **resolve(task.secrets)}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
