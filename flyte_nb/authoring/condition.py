"""A question that a task waits to have answered.

    approval = await flyte.new_condition.aio("approve", prompt="Publish the model?", timeout=3600)
    if await approval.wait.aio(): ...

While it waits the condition is an action of its own under the task, in phase `paused`. It is asked in the run explorer,
in a script on the console; `%flyte signal`, `flyte-nb signal` and `flyte.remote.Condition` answer it from anywhere.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar, cast, get_args

from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.errors import SyncTaskCallInAsyncContextError
from flyte_nb.syncify import syncify

__all__ = ["Answer", "ConditionWebhook", "Question", "new_condition", "parse_answer", "refuse_blocking_wait"]

PromptType = Literal["text", "markdown"]
Answer = bool | int | float | str
T = TypeVar("T", bool, int, float, str)


@dataclass
class ConditionWebhook:
    """Who is told that a condition waits.

    Args:
        url: where a POST goes.
        payload: its JSON body; `{callback_uri}` in it stands for the address to which the answer can be posted as JSON
            while `flyte-nb serve` serves the store; else for `local://runs/RUN/conditions/NAME/signal`, which only says
            what to answer.
    """

    url: str
    payload: dict[str, Any] | None = None


@dataclass(frozen=True)
class Question:
    """What is asked, as it crosses to the engine.

    Attributes:
        data_type: what the answer is: bool, int, float or str.
        timeout_seconds: how long to wait, None for ever.
    """

    name: str
    prompt: str
    prompt_type: str
    data_type: str
    description: str
    timeout_seconds: float | None
    webhook: ConditionWebhook | None


@dataclass
class _Condition(Generic[T]):
    """See `new_condition`."""

    name: str
    prompt: str = "Approve?"
    prompt_type: PromptType = "text"
    data_type: type[T] = bool  # type: ignore[assignment]
    description: str = ""
    timeout: timedelta | int | float | None = None
    webhook: ConditionWebhook | None = None

    def __post_init__(self) -> None:
        if self.data_type not in DATA_TYPES:
            raise TypeError(f"Invalid data_type {self.data_type}. Must be one of {DATA_TYPES}.")
        if self.prompt_type not in get_args(PromptType):
            raise ValueError(f"prompt_type must be text or markdown, got {self.prompt_type!r}")
        if self.timeout_seconds is not None and self.timeout_seconds <= 0:
            raise ValueError("timeout must be positive")

    @property
    def timeout_seconds(self) -> float | None:
        """How long `wait` waits, None for ever."""
        return self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout

    @property
    def wait(self) -> Waiting[T]:
        """`condition.wait()` and `await condition.wait.aio()` wait for the answer, and return it."""
        return Waiting(self)

    @property
    def question(self) -> Question:
        """What is asked."""
        kind = self.data_type.__name__
        asked = (self.name, self.prompt, self.prompt_type, kind, self.description, self.timeout_seconds, self.webhook)
        return Question(*asked)


class Waiting(Generic[T]):
    """Waits for the answer of a condition, in Flyte's two call styles.

    Raises:
        RuntimeError: outside a task.
        flyte_nb.errors.SyncTaskCallInAsyncContextError: `wait()` in async code; use `await wait.aio()`.
        flyte_nb.errors.ConditionTimedoutError: there was no answer in time.
        flyte_nb.errors.ConditionFailedError: there is nobody to ask.
        flyte_nb.errors.ActionAbortedError: the condition was aborted.
    """

    def __init__(self, condition: _Condition[T]) -> None:
        self._question = condition.question

    def __call__(self) -> T:
        """Blocks until the answer is there, and returns it."""
        scope = _scope()
        return cast(T, scope.controller.wait_for_condition_sync(scope, self._question))

    async def aio(self) -> T:
        """The answer, awaited."""
        scope = _scope()
        return cast(T, await scope.controller.wait_for_condition(scope, self._question))


@syncify
async def new_condition(
    name: str,
    /,
    prompt: str = "Approve?",
    prompt_type: PromptType = "text",
    data_type: type[T] = bool,  # type: ignore[assignment]
    description: str = "",
    timeout: timedelta | int | float | None = None,
    webhook: ConditionWebhook | None = None,
) -> _Condition[T]:
    """A condition, to be waited for with `.wait()` or `await .wait.aio()`.

    Args:
        name: of the condition; it is answered by this name.
        prompt: the question.
        prompt_type: how the question is written: `text`, or `markdown`, which is shown as it is written.
        data_type: what the answer is: bool, int, float or str.
        description: more about the question.
        timeout: how long to wait, in seconds or as a timedelta; None for ever.
        webhook: who is told when it waits.

    Raises:
        TypeError: for another `data_type`.
        ValueError: when the timeout is not positive, or for another `prompt_type`.
    """
    return _Condition(name, prompt, prompt_type, data_type, description, timeout, webhook)


def parse_answer(data_type: str, given: Answer) -> Answer:
    """An answer as the condition wants it.

    Args:
        data_type: what the answer is: bool, int, float or str.
        given: the value, or its text as a person writes it.

    Raises:
        ValueError: it is not of that type.
    """
    if data_type == "str":
        return str(given)
    try:
        return _PARSERS[data_type](given)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{given!r} is no answer: {_WANTED[data_type]}") from None


def refuse_blocking_wait(name: str) -> None:
    """A blocking wait in async code would keep the loop from all others, and the answer from arriving.

    Raises:
        flyte_nb.errors.SyncTaskCallInAsyncContextError: this is async code.
    """
    if asyncio._get_running_loop() is not None:
        raise SyncTaskCallInAsyncContextError(
            f"Condition '{name}' was waited for in a blocking way from async code, which would keep its answer from "
            "arriving. Use `await condition.wait.aio()` instead."
        )


def _scope() -> Scope:
    scope = current_scope.get()
    if scope is None:
        raise RuntimeError("Conditions can only be awaited within a task context.")
    return scope


def _parse_bool(given: Answer) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().lower()
    if word not in _WORDS:
        raise ValueError(word)
    return _WORDS[word]


def _parse_int(given: Answer) -> int:
    if isinstance(given, bool | float):
        raise TypeError(given)
    return int(given)


def _parse_float(given: Answer) -> float:
    if isinstance(given, bool) or not math.isfinite(number := float(given)):
        raise TypeError(given)
    return number


DATA_TYPES = (bool, int, float, str)
_WORDS = {**dict.fromkeys(("y", "yes", "t", "true", "1"), True), **dict.fromkeys(("n", "no", "f", "false", "0"), False)}
_PARSERS: dict[str, Callable[[Answer], Answer]] = {"bool": _parse_bool, "int": _parse_int, "float": _parse_float}
_WANTED = {"bool": "answer yes or no", "int": "answer with a whole number", "float": "answer with a number"}
