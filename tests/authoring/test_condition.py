"""Questions that a task waits to have answered, and time that replays."""

from __future__ import annotations

import asyncio
import builtins
import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest

from flyte_nb import durable
from flyte_nb.authoring.condition import ConditionWebhook, new_condition
from flyte_nb.errors import ConditionFailedError, ConditionTimedoutError


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Somebody at the console, who gives these answers; returns what is asked."""

    def answer(*answers: str) -> list[str]:
        asked: list[str] = []
        remaining = iter(answers)

        def read(question: str) -> str:
            asked.append(question)
            return next(remaining)

        monkeypatch.setattr(builtins, "input", read)
        return asked

    return answer


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"data_type": list}, TypeError, "Invalid data_type <class 'list'>"),
        ({"timeout": -1}, ValueError, "timeout must be positive"),
        ({"timeout": dt.timedelta(0)}, ValueError, "timeout must be positive"),
    ],
)
def test_a_condition_is_checked_when_it_is_made(settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        new_condition("c", **settings)


def test_a_condition_keeps_what_it_was_made_with() -> None:
    webhook = ConditionWebhook("https://example.com", {"callback": "{callback_uri}"})
    condition = new_condition("c", prompt="Go?", data_type=int, timeout=dt.timedelta(minutes=1), webhook=webhook)
    assert (condition.name, condition.prompt, condition.data_type, condition.webhook) == ("c", "Go?", int, webhook)
    assert condition.timeout_seconds == 60


def test_outside_a_task_nobody_waits() -> None:
    with pytest.raises(RuntimeError, match="Conditions can only be awaited within a task context"):
        new_condition("c").wait()


@pytest.mark.parametrize(
    ("data_type", "answers", "value"),
    [
        (bool, ["yes"], True),
        (bool, ["perhaps", "n"], False),
        (int, ["x", "3"], 3),
        (float, ["1.5"], 1.5),
        (str, ["a"], "a"),
    ],
)
def test_the_console_is_asked_until_it_answers(
    inside_task: Any, console: Callable[..., list[str]], data_type: type, answers: list[str], value: Any
) -> None:
    asked = console(*answers)
    condition = new_condition("c", prompt="Well?", description="About it.", data_type=data_type)
    assert condition.wait() == value
    assert asked == ["c: About it.\nWell? "] * len(answers)
    [(name, _, args, step)] = inside_task.steps
    assert (name, args[0], step.value) == ("condition", "c", value)


def test_a_recorded_answer_is_not_asked_for_again(inside_task: Any) -> None:
    inside_task.recorded["condition", ("c", "Approve?", "", "bool", None)] = True

    async def task() -> bool:
        condition = await new_condition.aio("c")
        return await condition.wait.aio()

    assert asyncio.run(task()) is True


def test_no_answer_in_time_is_an_error(inside_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    enough = threading.Event()
    monkeypatch.setattr(builtins, "input", lambda _: str(enough.wait()))
    with pytest.raises(ConditionTimedoutError, match=r"Condition 'c' was not signaled within 0.01 seconds."):
        new_condition("c", timeout=0.01).wait()
    enough.set()


def test_nobody_to_ask_is_an_error(inside_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: str) -> str:
        raise EOFError("end of input")

    monkeypatch.setattr(builtins, "input", read)
    with pytest.raises(ConditionFailedError, match="has nobody to ask"):
        new_condition("c").wait()


def test_durable_time_is_recorded_and_replays(inside_task: Any) -> None:
    assert isinstance(durable.time(), float)
    assert isinstance(durable.now(), dt.datetime)
    inside_task.recorded["durable_time", ()] = 17.0
    assert durable.time() == 17.0
    assert asyncio.run(durable.time.aio()) == 17.0
    assert [name for name, *_ in inside_task.steps] == ["durable_time", "durable_now", "durable_time", "durable_time"]


def test_a_sleep_that_began_long_ago_is_over(inside_task: Any) -> None:
    inside_task.recorded["sleep_start", ()] = 0.0
    durable.sleep(3600)
    asyncio.run(durable.sleep.aio(3600))
