"""The executor that answers from a script, alone and under the controller."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

import flyte_nb as flyte
from flyte_nb.engine.controller import LocalController
from flyte_nb.engine.session import session
from flyte_nb.errors import RuntimeUserError
from flyte_nb.executors.base import Outcome
from flyte_nb.executors.fake import Answer, FakeExecutor
from tests.executors.contract import ExecutorContract, call, doubles

env = flyte.TaskEnvironment("fake")


@env.task(retries=flyte.RetryStrategy(2, flyte.Backoff(base=timedelta(0))))
async def never_runs(x: int) -> int:
    raise AssertionError


def answered_by(script: dict[str, list[Answer]]) -> FakeExecutor:
    """The executor of this process's runs from now on."""
    active, executor = session(), FakeExecutor(script)
    active.controller = LocalController(
        active.engine,
        executor,
        active.processes,
        active.values,
        active.cache,
        active.shipper,
        active.executor.threads,
    )
    return executor


class TestFakeExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> FakeExecutor:
        return FakeExecutor(
            {
                "doubles": [Answer(Outcome(42))],
                "doubles_at_once": [Answer(Outcome(2 * x)) for x in range(8)],
                "raises": [Answer(Outcome(error=ValueError("unlucky")))],
                "exits": [Answer(Outcome(error=SystemExit(3)))],
            }
        )


async def test_an_answer_may_wait_for_an_event() -> None:
    go_on = asyncio.Event()
    executor = FakeExecutor({"doubles": [Answer(Outcome(2), after=go_on)]})
    task = asyncio.create_task(executor.execute(call(doubles, True, {"x": 1})))
    await asyncio.sleep(0)
    assert executor.calls
    assert not task.done()
    go_on.set()
    assert (await task).value == 2


async def test_a_waiting_answer_can_be_cancelled() -> None:
    executor = FakeExecutor({"doubles": [Answer(Outcome(2), after=asyncio.Event())]})
    task = asyncio.create_task(executor.execute(call(doubles, True, {"x": 1})))
    await asyncio.sleep(0)
    assert executor.calls
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_the_script_does_not_know_is_the_executors_own_failure() -> None:
    with pytest.raises(LookupError, match="no answer left for doubles"):
        await FakeExecutor({}).execute(call(doubles, True, {"x": 1}))


def test_a_task_is_tried_again_with_its_inputs_until_an_attempt_succeeds() -> None:
    executor = answered_by(
        {
            "fake.never_runs": [
                Answer(Outcome(error=OSError("lost"))),
                Answer(Outcome(error=OSError("lost"))),
                Answer(Outcome(7)),
            ]
        }
    )
    run = flyte.run(never_runs, 3)
    assert run.outputs()[0] == 7
    assert [attempt.phase for attempt in run.root.attempts] == ["failed", "failed", "succeeded"]
    assert [dict(made.inputs) for made in executor.calls] == [{"x": 3}] * 3
    assert run.root.where == "fake"


def test_the_note_of_an_outcome_stands_at_the_action() -> None:
    answered_by({"fake.never_runs": [Answer(Outcome(1, note="a word"))]})
    assert flyte.run(never_runs, 1).root.note == "a word"


def test_the_last_error_of_the_script_is_the_runs() -> None:
    answered_by({"fake.never_runs": [Answer(Outcome(error=OSError(f"lost {k}"))) for k in range(3)]})
    with pytest.raises(RuntimeUserError, match="lost 2"):
        flyte.run(never_runs, 1)
