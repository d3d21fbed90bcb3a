"""Conditions: questions that tasks wait to have answered (`flyte.new_condition`).

    wait_for_answer   enter the condition into the tree, ask, wait, record the answer
    OpenCondition     one that waits; `signal` answers it, from any thread
    Console           asks on the terminal, where no explorer does

A condition is an action of its own, `paused` while it waits. An answer on record, of an earlier attempt or of the run
that this one recovers, is not asked for again. Whoever waits goes on when the answer survives a power cut.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
import threading
import time
from asyncio import CancelledError
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from flyte_nb.authoring.condition import Answer, Question, parse_answer
from flyte_nb.engine.action import Action, Attempt
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.history import FINISHED
from flyte_nb.engine.identity import action_name, call_position
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.engine.webhooks import tell_webhook
from flyte_nb.errors import ActionAbortedError, ConditionFailedError, ConditionNotFoundError, ConditionTimedoutError
from flyte_nb.store.home import Home
from flyte_nb.store.values import ValueStore
from flyte_nb.types.contents import is_whole
from flyte_nb.types.steps import encode_values
from flyte_nb.types.trees import identity_of

__all__ = ["INPUTS", "Console", "OpenCondition", "console", "wait_for_answer"]

RECORDED_SECONDS = 5.0
"""How long whoever answers waits for the record: a task may block the loop."""
LOOK_SECONDS = 0.1
"""How often the console looks whether its question was answered elsewhere."""
IDENTITY = hash_struct("condition")
INPUTS = [
    ("prompt", "str"),
    ("description", "str"),
    ("data_type", "str"),
    ("prompt_type", "str"),
    ("timeout_seconds", "float | None"),
]
"""(name, type as text) of what is recorded of a question, beside its name, which is the action's task."""


class OpenCondition:
    """A condition that waits for its answer.

    Args:
        action: it, as the run has it.
        question: what is asked.
    """

    def __init__(self, action: Action, question: Question) -> None:
        self.action = action
        self.question = question
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Answer] = self._loop.create_future()
        self._is_over = threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether it still waits. From any thread."""
        return self.action.phase == "paused" and not self._answer.done()

    def signal(self, given: Answer) -> None:
        """Answers it; returns at once. From any thread.

        Args:
            given: the answer, or its text as a person writes it.

        Raises:
            ValueError: it is not of the condition's type; the condition stays open.
            flyte_nb.errors.ConditionNotFoundError: it does not wait any more.
        """
        answer = parse_answer(self.question.data_type, given)
        if not self.is_open:
            raise ConditionNotFoundError(f"Condition '{self.question.name}' does not wait any more.")
        self._loop.call_soon_threadsafe(self._settle, answer, None)

    def fail(self, reason: str) -> None:
        """Nobody can be asked. From any thread."""
        error = ConditionFailedError(f"Condition '{self.question.name}' has nobody to ask: {reason}.")
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            self._loop.call_soon_threadsafe(self._settle, None, error)

    def wait_until_over(self) -> None:
        """Blocks until its end is recorded, not for long. From any thread but the engine's."""
        self._is_over.wait(RECORDED_SECONDS)

    def end(self) -> None:
        """Its end is recorded."""
        self._is_over.set()

    async def answer(self) -> Answer:
        """The answer, within the condition's time."""
        async with asyncio.timeout(self.question.timeout_seconds):
            return await self._answer

    def _settle(self, answer: Answer | None, error: Exception | None) -> None:
        if self._answer.done():
            return
        if error is not None:
            self._answer.set_exception(error)
        elif answer is not None:
            self._answer.set_result(answer)


class Console:
    """Asks on the terminal of a script: one question after another, in a thread that keeps no process alive."""

    def __init__(self) -> None:
        self._waiting: deque[OpenCondition] = deque()
        self._lock = threading.Lock()
        self._is_asking = False

    def ask(self, condition: OpenCondition) -> None:
        """Puts the question when those before it are answered; returns at once."""
        with self._lock:
            self._waiting.append(condition)
            if not self._is_asking:
                self._is_asking = True
                threading.Thread(target=self._work, name="flyte-console", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_asking = False
                    return
                condition = self._waiting.popleft()
            _put(condition)


def _put(condition: OpenCondition) -> None:
    question = condition.question
    about = f"{question.description}\n" if question.description else ""
    while condition.is_open:
        print(f"{question.name}: {about}{question.prompt} ", end="", flush=True)
        try:
            text = _typed(condition)
        except (EOFError, OSError, ValueError) as error:  # ValueError: the stream is closed
            if question.webhook is None:  # else whoever was told answers
                condition.fail(f"there is no console ({error})")
            return
        try:
            if text is not None:
                condition.signal(text)
        except ValueError as error:
            print(error)
        except ConditionNotFoundError as error:
            print(f"{error} {text!r} was not used.")
        else:
            return


def _typed(condition: OpenCondition) -> str | None:
    """The next line of the console; None when the condition is over before that.

    Never blocks for long, nor reads beyond the line: a thread inside Python's own `input` keeps a process from ending.
    """
    if sys.stdin is None:
        raise EOFError("the program has no input")
    console, line = sys.stdin.fileno(), b""
    while condition.is_open:
        if not select.select([console], [], [], LOOK_SECONDS)[0]:
            continue
        byte = os.read(console, 1)
        if not byte:
            raise EOFError("end of input")
        if byte == b"\n":
            return line.decode(errors="replace").strip()
        line += byte
    print()
    return None


console: Console | None = Console()
"""Where questions are put beside the explorer; None where that is the place, as in a notebook."""


async def wait_for_answer(
    attempt: Attempt, question: Question, group: str | None, custom_context: Mapping[str, str], values: ValueStore
) -> bytes:
    """Asks a question for an attempt, unless its answer is on record; returns the answer, encoded. On the engine loop.

    Args:
        attempt: whose code waits.
        question: what is asked.
        group: the innermost group.
        custom_context: what is handed down.
        values: where large values are.

    Raises:
        flyte_nb.errors.ConditionTimedoutError: there was no answer in time.
        flyte_nb.errors.ConditionFailedError: there is nobody to ask.
        flyte_nb.errors.ActionAbortedError: the condition was aborted, and nothing else.
    """
    if attempt.closed:
        raise CancelledError(f"condition '{question.name}' was waited for after the task that made it had ended")
    action = _enter(attempt, question, group, custom_context, values)
    if action.phase in FINISHED:
        return action.outputs or b""
    parent = attempt.action
    if attempt.has_output:
        attempt.flush()  # what it printed so far stands before the question
    if parent.children is None:
        parent.children = set()
    parent.children.add(action)
    action.asyncio_task = asyncio.current_task()
    standing = attempt.standing
    if standing is not None:
        standing.leave()
    try:
        return await _ask(action, question, values)
    except CancelledError:
        if action.was_aborted_alone():
            reason = f"Condition '{question.name}' ({action.name}) was aborted: {action.abort_reason}"
            raise ActionAbortedError(reason) from None
        raise
    finally:
        parent.children.discard(action)
        action.asyncio_task = None
        if standing is not None:
            await standing.back()


def _enter(
    attempt: Attempt, question: Question, group: str | None, custom_context: Mapping[str, str], values: ValueStore
) -> Action:
    """The condition's action in the tree; over where the answer is on record, else queued.

    The answer to another prompt is another's; how long one waits for it does not matter.
    """
    parent = attempt.action
    run = parent.run_state
    asked = [question.prompt, question.description, question.data_type, question.prompt_type]
    inputs = identity_of(encode_values(asked, values))
    call = (f"condition {question.name}", inputs, group)
    sequence = attempt.calls.get(call, 0)
    attempt.calls[call] = sequence + 1
    position = call_position(parent.position, question.name, group, sequence, inputs)
    name = action_name(position, IDENTITY)
    known = run.actions.get(name)
    if known is not None:
        if known.phase not in FINISHED:
            run.restart(known)
        return known
    payload = encode_values([*asked, question.timeout_seconds], values)
    action = Action(run, parent, "condition", question.name, -1, group, name, position, payload, time.time_ns())
    action.trace_inputs = list(INPUTS)
    recorded = run.history.find_trace(name) if run.history is not None else None
    if recorded is not None and is_whole(recorded.outputs, values.renew, values):
        run.add_recovered(action, sequence, custom_context, recorded.outputs, recorded.source)
    else:
        run.add(action, sequence, custom_context)
    return action


async def _ask(action: Action, question: Question, values: ValueStore) -> bytes:
    """Asks, waits, and records how it ended."""
    run = action.run_state
    condition = run.conditions[action.name] = OpenCondition(action, question)
    try:
        run.pause(action)
        _announce(condition, values.home)
        answer = await condition.answer()
        position = run.end(action, "succeeded", encode_values([answer], values))
        await run.sink.durable(position)
    except TimeoutError:
        waited = f"Condition '{question.name}' was not signaled within {question.timeout_seconds:g} seconds."
        error = ConditionTimedoutError(waited)
        run.end(action, "timed_out", error=describe_error(error))
        raise error from None
    except ConditionFailedError as error:
        run.end(action, "failed", error=describe_error(error))
        raise
    except CancelledError:
        run.abort(action)
        raise
    finally:
        del run.conditions[action.name]
        condition.end()
    return action.outputs or b""


def _announce(condition: OpenCondition, home: Home) -> None:
    question, action = condition.question, condition.action
    if question.webhook is not None:
        tell_webhook(question.webhook, question.name, action.run, action.name, question.timeout_seconds, home)
    if console is not None:
        console.ask(condition)
