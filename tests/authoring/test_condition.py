"""Questions that a task waits to have answered, and time that replays."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest

from flyte_nb import durable
from flyte_nb.authoring.condition import ConditionWebhook, Question, new_condition, parse_answer


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"data_type": list}, TypeError, "Invalid data_type <class 'list'>"),
        ({"timeout": -1}, ValueError, "timeout must be positive"),
        ({"prompt_type": "html"}, ValueError, "prompt_type must be text or markdown, got 'html'"),
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
    ("data_type", "given", "expected"),
    [
        ("bool", " Yes ", True),
        ("bool", "f", False),
        ("bool", 1, True),
        ("int", "3", 3),
        ("float", 1, 1.0),
        ("float", "1e-3", 0.001),
        ("str", 7, "7"),
    ],
)
def test_an_answer_is_read_as_the_condition_wants_it(data_type: str, given: Any, expected: Any) -> None:
    answer = parse_answer(data_type, given)
    assert (answer, type(answer)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("data_type", "given", "wanted"),
    [
        ("bool", "perhaps", "answer yes or no"),
        ("int", "1.5", "answer with a whole number"),
        ("int", True, "answer with a whole number"),
        ("float", "high", "answer with a number"),
        ("float", False, "answer with a number"),
        ("float", "nan", "answer with a number"),
        ("float", "1e400", "answer with a number"),
    ],
)
def test_what_is_no_answer_is_refused_with_what_would_be_one(data_type: str, given: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"{given!r} is no answer: {wanted}"):
        parse_answer(data_type, given)


def test_a_condition_is_waited_for_in_both_call_styles(inside_task: Any) -> None:
    inside_task.answers["c"] = True

    async def task() -> bool:
        condition = await new_condition.aio("c", timeout=2)
        return await condition.wait.aio()

    assert asyncio.run(task()) is True
    assert new_condition("c", "Go?", "markdown", description="Now.").wait() is True
    assert inside_task.questions == [
        Question("c", "Approve?", "text", "bool", "", 2, None),
        Question("c", "Go?", "markdown", "bool", "Now.", None, None),
    ]


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
