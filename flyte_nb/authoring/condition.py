"""A question that a task waits to have answered.

    approval = await flyte.new_condition.aio("approve", prompt="Publish the model?", timeout=3600)
    if await approval.wait.aio(): ...

The question is asked on the console of the process. The answer is recorded as a trace.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar

from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.trace import trace
from flyte_nb.errors import ConditionFailedError, ConditionTimedoutError
from flyte_nb.syncify import syncify

__all__ = ["ConditionWebhook", "new_condition"]

PromptType = Literal["text", "markdown"]
T = TypeVar("T", bool, int, float, str)


@dataclass
class ConditionWebhook:
    """Who is told that a condition waits; sent by a Flyte backend, recorded here.

    Args:
        url: where a POST goes.
        payload: its JSON body; `{callback_uri}` in it stands for the address that signals the condition.
    """

    url: str
    payload: dict[str, Any] | None = None


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
        if self.data_type not in _PARSERS:
            raise TypeError(f"Invalid data_type {self.data_type}. Must be one of {tuple(_PARSERS)}.")
        if self.timeout_seconds is not None and self.timeout_seconds <= 0:
            raise ValueError("timeout must be positive")

    @property
    def timeout_seconds(self) -> float | None:
        """How long `wait` waits, None for ever."""
        return self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout

    @syncify
    async def wait(self) -> T:
        """Waits for the answer.

        Returns:
            The answer, of the condition's `data_type`.

        Raises:
            RuntimeError: outside a task.
            ConditionTimedoutError: when there is no answer in time.
            ConditionFailedError: when there is nobody to ask.
        """
        if current_scope.get() is None:
            raise RuntimeError("Conditions can only be awaited within a task context.")
        answer: T = await condition(
            self.name, self.prompt, self.description, self.data_type.__name__, self.timeout_seconds
        )
        return answer


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
        name: of the condition.
        prompt: the question.
        prompt_type: how the question is written.
        data_type: what the answer is: bool, int, float or str.
        description: more about the question.
        timeout: how long to wait, in seconds or as a timedelta; None for ever.
        webhook: who is told that it waits.

    Raises:
        TypeError: for another `data_type`.
        ValueError: when the timeout is not positive.
    """
    return _Condition(name, prompt, prompt_type, data_type, description, timeout, webhook)


@trace
async def condition(name: str, prompt: str, description: str, data_type: str, timeout_seconds: float | None) -> Any:
    """The step that is recorded of a wait."""
    parse = next(parser for kind, parser in _PARSERS.items() if kind.__name__ == data_type)
    question = f"{name}: {description}\n{prompt} " if description else f"{name}: {prompt} "
    try:
        return await asyncio.wait_for(_ask(question, parse), timeout_seconds)
    except TimeoutError:
        raise ConditionTimedoutError(f"Condition '{name}' was not signaled within {timeout_seconds} seconds.") from None
    except (EOFError, OSError) as error:
        raise ConditionFailedError(f"Condition '{name}' has nobody to ask: there is no console ({error}).") from error


def _ask(question: str, parse: Callable[[str], Any]) -> asyncio.Future[Any]:
    """Asks on the console, in a thread that does not keep the process alive when nobody answers."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def deliver(value: Any, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def ask() -> None:
        try:
            value, error = _answer(question, parse), None
        except Exception as raised:  # handed to whoever waits
            value, error = None, raised
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            loop.call_soon_threadsafe(deliver, value, error)

    threading.Thread(target=ask, name="flyte_condition", daemon=True).start()
    return answer


def _answer(question: str, parse: Callable[[str], Any]) -> Any:
    while True:
        text = input(question).strip()
        try:
            return parse(text)
        except ValueError as error:
            print(f"{text!r} is no answer: {error}")


def _parse_bool(text: str) -> bool:
    word = text.lower()
    if word in ("y", "yes", "true", "1"):
        return True
    if word in ("n", "no", "false", "0"):
        return False
    raise ValueError("answer yes or no")


_PARSERS: dict[type, Callable[[str], Any]] = {bool: _parse_bool, int: int, float: float, str: str}
