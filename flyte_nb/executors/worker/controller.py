"""The engine as code in a worker meets it: every call becomes a message to the kernel, where all is recorded.

See `flyte_nb.authoring.context.Controller`; the kernel's side is `flyte_nb.executors.base.Host`.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from flyte_nb.authoring.condition import Answer as ConditionAnswer
from flyte_nb.authoring.condition import Question, refuse_blocking_wait
from flyte_nb.authoring.context import Scope
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.errors import SyncTaskCallInAsyncContextError
from flyte_nb.executors.crossing import pack_error, unpack_error
from flyte_nb.executors.frames import (
    Answer,
    Asked,
    Displayed,
    Facts,
    Printed,
    Reported,
    Submit,
    TraceBegan,
    TraceEnded,
    Withdraw,
)
from flyte_nb.executors.task_context import make_task_context
from flyte_nb.executors.threads import TaskThreads
from flyte_nb.executors.worker import namespace
from flyte_nb.executors.worker.blobs import FreshBlobs
from flyte_nb.executors.worker.link import AnyAnswer, Link
from flyte_nb.executors.worker.output import Flusher, WorkerOutput
from flyte_nb.models import GroupData, TaskContext
from flyte_nb.report import Report
from flyte_nb.types.signature import signature_of
from flyte_nb.types.steps import decode_values, encode_values, named_arguments

__all__ = ["WorkerAttempt", "WorkerController"]

NOT_BLOCKED = nullcontext()


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """What a run that a task starts is told of the action it was started in."""

    run: str
    name: str
    notebook: str
    cell: str

    @property
    def run_state(self) -> ActionFacts:
        return self


class WorkerAttempt:
    """A running attempt, as its code's scope leads to it."""

    def __init__(self, call: int, facts: Facts, link: Link, flusher: Flusher) -> None:
        self.call = call
        self.facts = facts
        self.link = link
        self.steps = count(1)
        self.closed = False
        self.blocked: dict[int, Future[Answer]] = {}
        """Requests for which threads wait, by number."""
        self._flusher = flusher
        self._output: WorkerOutput | None = None
        self._context: TaskContext | None = None

    @property
    def action(self) -> ActionFacts:
        """The action, as a run that its code starts is told of it."""
        facts = self.facts
        return ActionFacts(facts.run, facts.action, facts.notebook, facts.cell)

    @property
    def output(self) -> WorkerOutput:
        """Where what it prints goes."""
        if self._output is None:
            self._output = WorkerOutput(self._send_text, self._send_display, self._flusher)
            self._output.closed = self.closed
        return self._output

    @property
    def context(self) -> TaskContext:
        """What `flyte.ctx()` shows, built when it is asked for."""
        if self._context is None:
            report = Report(name=self.facts.action)
            report.on_flush = self.send_report
            self._context = make_task_context(self.facts, report)
        return self._context

    def send_report(self, html: str) -> None:
        """Shows the report as it stands."""
        self.link.send(Reported(self.call, html))

    def flush(self) -> None:
        """Sends what was printed so far."""
        if self._output is not None:
            self._output.flush()

    def cancel_children(self) -> None:
        """Ends the calls for which threads of this attempt wait."""
        for number, answer in list(self.blocked.items()):
            self.link.give_up(number)
            self.link.send(Withdraw(number))
            if not answer.done():
                answer.set_result(Answer(number, cancelled=True))

    def close(self) -> None:
        """Ends the attempt: its output and report are sent."""
        self.closed = True
        if self._context is not None and self._context.report.has_content():
            self.send_report(self._context.report.get_final_report())
        if self._output is not None:
            self._output.close()

    def _send_text(self, stream: str, text: str) -> None:
        self.link.send(Printed(self.call, stream, text))

    def _send_display(self, bundle: str) -> None:
        self.link.send(Displayed(self.call, bundle))


class WorkerStep:
    """One call of a traced function: see `flyte_nb.authoring.context.TraceStep`."""

    def __init__(self, scope: Scope, number: int, blobs: FreshBlobs, replayed: bytes | None) -> None:
        self.scope = scope
        self.replayed = replayed is not None
        self.value: Any = decode_values(replayed, blobs)[0] if replayed is not None else None
        self._number = number
        self._blobs = blobs
        self._recorded: Future[Answer] | None = None

    def succeed(self, value: Any) -> None:
        self._end(encode_values([value], self._blobs), None)

    def fail(self, error: BaseException) -> None:
        self._end(None, pack_error(error))

    async def durable(self) -> None:
        if self._recorded is not None:
            _raise_failure(await asyncio.wrap_future(self._recorded))

    def wait_durable(self) -> None:
        if self._recorded is not None:
            _raise_failure(self.scope.attempt.link.wait(self._recorded))

    def _end(self, payload: bytes | None, error: bytes | None) -> None:
        attempt: WorkerAttempt = self.scope.attempt
        self._recorded = Future()
        attempt.link.ask(
            lambda number: TraceEnded(number, attempt.call, self._number, payload, error, self._blobs.take_fresh()),
            self._recorded,
        )


class WorkerController:
    """Takes the calls of code that runs in this worker.

    Args:
        link: to the kernel.
        loop: the main thread's event loop.
        blobs: where large values go.
        threads: the sync tasks' threads, to free a place while one of them waits.
    """

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop, blobs: FreshBlobs, threads: TaskThreads) -> None:
        self._link = link
        self._loop = loop
        self._blobs = blobs
        self._threads = threads

    async def submit(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """A child action; awaitable on any loop."""
        return self._result(task, await self._awaited(partial(self._submit, scope, task, args, kwargs)))

    def submit_sync(
        self, scope: Scope, task: TaskTemplate[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """A child action of a sync task, blocking its thread."""
        if asyncio._get_running_loop() is not None:
            raise SyncTaskCallInAsyncContextError(
                f"Sync task '{task.name}' was called in a blocking way from async code. This blocks the event loop and "
                f"can hang the run. Use `await {task.name.rpartition('.')[2]}.aio(...)` instead."
            )
        return self._result(task, self._blocked(scope.attempt, partial(self._submit, scope, task, args, kwargs)))

    async def wait_for_condition(self, scope: Scope, question: Question) -> ConditionAnswer:
        """The answer to a question, awaitable on any loop."""
        return self._condition_answer(await self._awaited(partial(self._ask, scope, question)))

    def wait_for_condition_sync(self, scope: Scope, question: Question) -> ConditionAnswer:
        """The answer to a question, blocking the thread."""
        refuse_blocking_wait(question.name)
        return self._condition_answer(self._blocked(scope.attempt, partial(self._ask, scope, question)))

    def begin_trace(
        self, scope: Scope, function: TraceFunction[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> WorkerStep:
        """Starts a step of a traced function."""
        attempt: WorkerAttempt = scope.attempt
        named = named_arguments(function, args, kwargs)
        step = next(attempt.steps)
        began = partial(
            TraceBegan,
            attempt.call,
            step,
            function.name,
            namespace.code_of_trace(function),
            [(name, type(value).__name__) for name, value in named.items()],
            encode_values(named.values(), self._blobs),
            scope.group,
            self._blobs.take_fresh(),
        )
        recorded = None
        if attempt.facts.replays:
            recorded = self._ask_for_step(began)
        else:
            self._link.send(began())
        return WorkerStep(scope.derive(trace=function.name), step, self._blobs, recorded)

    def _ask_for_step(self, began: Callable[[int], TraceBegan]) -> bytes | None:
        """Tells that a step begins, and waits for its recorded result, if there is one."""
        answer: Future[Answer] = Future()
        self._link.ask(began, answer)
        told = self._link.wait(answer)
        _raise_failure(told)
        return told.payload

    def task_context(self, scope: Scope) -> TaskContext:
        """What `flyte.ctx()` shows."""
        attempt: WorkerAttempt = scope.attempt
        changes: dict[str, Any] = {"custom_context": dict(scope.custom_context)}
        if scope.group is not None:
            changes["group_data"] = GroupData(scope.group)
        return attempt.context.replace(**changes)

    async def _awaited(self, request: Callable[[AnyAnswer], int]) -> Answer:
        """Makes a request and awaits what is told; withdraws it when the wait is cancelled.

        Args:
            request: makes it, given who is to be told; returns its number.
        """
        answer: AnyAnswer
        if asyncio.get_running_loop() is self._loop:
            awaited = answer = self._loop.create_future()
            blocked: AbstractContextManager[None] = NOT_BLOCKED  # no thread waits
        else:  # from `asyncio.run` inside a sync task
            answer = Future()
            awaited = asyncio.wrap_future(answer)
            blocked = self._threads.blocked()
        number = request(answer)
        try:
            with blocked:
                told: Answer = await awaited
        except CancelledError:
            self._link.give_up(number)
            self._link.send(Withdraw(number))
            raise
        return told

    def _blocked(self, attempt: WorkerAttempt, request: Callable[[AnyAnswer], int]) -> Answer:
        """The same, blocking the thread."""
        answer: Future[Answer] = Future()
        number = request(answer)
        attempt.blocked[number] = answer
        try:
            with self._threads.blocked():
                return answer.result()
        finally:
            del attempt.blocked[number]

    def _ask(self, scope: Scope, question: Question, answer: AnyAnswer) -> int:
        attempt: WorkerAttempt = scope.attempt
        if attempt.closed:
            raise CancelledError(f"condition '{question.name}' was waited for after the task that made it had ended")
        attempt.flush()  # what it printed so far stands before the question
        context = dict(scope.custom_context)
        message = partial(Asked, call=attempt.call, question=question, group=scope.group, custom_context=context)
        return self._link.ask(message, answer)

    def _condition_answer(self, told: Answer) -> ConditionAnswer:
        _raise_failure(told)
        answer: ConditionAnswer = decode_values(told.payload or b"", self._blobs)[0]
        return answer

    def _submit(
        self,
        scope: Scope,
        task: TaskTemplate[Any, Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        answer: AnyAnswer,
    ) -> int:
        attempt: WorkerAttempt = scope.attempt
        if attempt.closed:
            raise CancelledError(f"{task.name} was called after the task that called it had ended")
        payload = signature_of(task).pack_inputs(args, kwargs, self._blobs)
        attempt.flush()  # what it printed so far stands before what its children print
        message = partial(
            Submit,
            call=attempt.call,
            task=namespace.reference(task),
            payload=payload,
            group=scope.group,
            custom_context=dict(scope.custom_context),
            stored=self._blobs.take_fresh(),
        )
        return self._link.ask(message, answer)

    def _result(self, task: TaskTemplate[Any, Any], told: Answer) -> Any:
        _raise_failure(told)
        signature = signature_of(task)
        return signature.outputs_as_result(signature.decode_outputs(told.payload or b"", self._blobs))


def _raise_failure(told: Answer) -> None:
    if told.cancelled:
        raise CancelledError
    if told.error is not None:
        raise unpack_error(told.error)
