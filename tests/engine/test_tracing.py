"""Traces: steps inside a task, recorded as actions of their own kind, on the disk before their caller goes on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine import tracing
from flyte_nb.errors import RuntimeUserError
from flyte_nb.remote import Run
from flyte_nb.remote.action import Actions
from flyte_nb.store.queries import Store

env = flyte.TaskEnvironment("traces")
synced = bytearray()
"""What the operating system was told to write to the disk."""


@flyte.trace
async def ask(question: str, times: int = 1) -> str:
    await asyncio.sleep(0)
    return question * times


@flyte.trace
def compute(x: int) -> int:
    return x * x


@flyte.trace
def count_to(n: int) -> Iterator[int]:
    yield from range(n)


@flyte.trace
async def stream(words: list[str]) -> AsyncIterator[str]:
    for word in words:
        yield word


@flyte.trace
async def outer(question: str) -> str:
    return await ask(question) + str(compute(3))


@flyte.trace
async def fails(message: str) -> str:
    raise KeyError(message)


@flyte.trace
async def hangs() -> None:
    await asyncio.sleep(3600)


@flyte.trace
async def is_given(what: Any) -> Any:
    return what


@env.task
async def asks(question: str) -> str:
    return await ask(question, times=2)


@env.task
def computes_in_a_thread(n: int) -> int:
    return sum(compute(x) for x in range(n))


@env.task
async def computes(n: int) -> int:
    return sum(compute(x) for x in range(n))


@env.task
async def iterates() -> list[Any]:
    return [list(count_to(3)), [word async for word in stream(["a", "b"])]]


@env.task
async def leaves_early() -> int:
    for item in count_to(10):
        if item == 2:
            return item
    return -1


@env.task
async def nests() -> str:
    return await outer("why")


@env.task
async def asks_all(n: int) -> list[str]:
    return list(await asyncio.gather(*[ask(str(i % 3)) for i in range(n)]))


@env.task
async def catches() -> str:
    try:
        await fails("lost")
    except KeyError as error:
        return f"{type(error).__name__} {error}"
    return "nothing"


@env.task
async def does_not_catch() -> str:
    return await fails("lost")


@env.task(retries=flyte.RetryStrategy(1, flyte.Backoff(base=timedelta(0))))
async def fails_once_after_its_trace() -> str:
    answer = await ask("again")
    if flyte.ctx().attempt_number == 0:
        raise ValueError("once")
    return answer


@env.task
async def gives_up_on_a_trace() -> str:
    try:
        await asyncio.wait_for(hangs(), timeout=0.01)
    except TimeoutError:
        return "gave up"
    return "never"


@env.task
async def looks_at_the_disk() -> list[bool]:
    found = []
    for question in ("first question", "second question"):
        await ask(question, times=2)
        found.append((question * 2).encode() in synced)
    return found


@env.task
def looks_at_the_disk_in_a_thread() -> list[bool]:
    found = []
    for text in ("one text", "another text"):
        shout(text)
        found.append(text.upper().encode() in synced)
    return found


@flyte.trace
def shout(text: str) -> str:
    return text.upper()


@flyte.trace
async def ask_once(x: int) -> int:
    return x


@env.task
async def computes_at_once(count: int) -> list[int]:
    return await asyncio.gather(*[ask_once(1) for _ in range(count)])


@env.task
async def passes_a_lock() -> bool:
    lock = asyncio.Lock()
    return await is_given(lock) is lock


@env.task
async def says_inside() -> str:
    @flyte.trace
    async def inside() -> str:
        print("from inside")
        return flyte.ctx().action.run_name or ""

    return await inside()


def traces(run: Run) -> Actions:
    return run.actions(kind="trace")


def test_a_step_is_an_action_under_the_task_that_called_it() -> None:
    run = flyte.run(asks, "why")
    (step,) = traces(run)
    assert run.outputs()[0] == "whywhy"
    assert (step.task_name, step.kind, step.phase, step.parent_name) == ("ask", "trace", "succeeded", "a0")
    assert step.inputs() == {"question": "why", "times": 2}
    assert step.outputs()[0] == "whywhy"
    assert step.where == "kernel"


@pytest.mark.parametrize("task", [computes, computes_in_a_thread], ids=lambda task: task.name)
def test_sync_functions_are_traced_in_async_tasks_and_in_threads(task: Any) -> None:
    run = flyte.run(task, 4)
    assert run.outputs()[0] == 14
    assert [(step.inputs()["x"], step.outputs()[0]) for step in traces(run)] == [(0, 0), (1, 1), (2, 4), (3, 9)]


def test_of_a_generator_the_list_of_its_items_is_recorded() -> None:
    run = flyte.run(iterates)
    assert run.outputs()[0] == [[0, 1, 2], ["a", "b"]]
    assert [step.outputs()[0] for step in traces(run)] == [[0, 1, 2], ["a", "b"]]


def test_a_generator_whose_consumer_left_early_is_aborted() -> None:
    run = flyte.run(leaves_early)
    assert run.outputs()[0] == 2
    assert [step.phase.value for step in traces(run)] == ["aborted"]


def test_steps_inside_a_step_are_recorded() -> None:
    run = flyte.run(nests)
    assert run.outputs()[0] == "why9"
    assert [step.task_name for step in traces(run)] == ["outer", "ask", "compute"]
    assert {step.phase.value for step in traces(run)} == {"succeeded"}


def test_parallel_steps_are_all_recorded_and_equal_ones_are_steps_of_their_own() -> None:
    run = flyte.run(asks_all, 30)
    assert run.outputs()[0] == [str(i % 3) for i in range(30)]
    assert len({step.name for step in traces(run)}) == 30


def test_names_are_the_same_from_run_to_run() -> None:
    first, second = flyte.run(asks_all, 6), flyte.run(asks_all, 6)
    assert {step.name for step in traces(first)} == {step.name for step in traces(second)}


def test_an_error_reaches_the_caller_as_it_is_and_is_recorded() -> None:
    run = flyte.run(catches)
    assert run.outputs()[0] == "KeyError 'lost'"
    (step,) = traces(run)
    assert step.phase == "failed"
    assert step.error_info is not None
    assert (step.error_info.code, step.error_info.message) == ("KeyError", "'lost'")


def test_an_error_that_nobody_catches_is_the_tasks() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(does_not_catch)
    assert raised.value.code == "KeyError"
    assert isinstance(raised.value.__cause__, KeyError)
    assert {action.phase.value for action in raised.value.run.actions()} == {"failed"}


def test_a_step_that_its_caller_gave_up_on_is_aborted() -> None:
    run = flyte.run(gives_up_on_a_trace)
    assert run.outputs()[0] == "gave up"
    assert [step.phase.value for step in traces(run)] == ["aborted"]


def test_after_the_tasks_own_failure_its_steps_execute_again_as_further_attempts() -> None:
    run = flyte.run(fails_once_after_its_trace)
    (step,) = traces(run)
    assert run.root.attempt == 2
    assert step.attempt == 2
    assert [attempt.phase for attempt in step.attempts] == ["succeeded", "succeeded"]


@pytest.mark.skipif(sys.platform != "linux", reason="watches fdatasync")
@pytest.mark.parametrize("task", [looks_at_the_disk, looks_at_the_disk_in_a_thread], ids=lambda task: task.name)
def test_a_step_is_on_the_disk_before_its_caller_goes_on(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fdatasync

    def watched(fd: int) -> None:
        sync(fd)
        synced[:] = os.pread(fd, os.fstat(fd).st_size, 0)

    monkeypatch.setattr(os, "fdatasync", watched)
    assert flyte.run(task).outputs()[0] == [True, True]


def test_steps_that_end_at_the_same_moment_share_an_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    flyte.run(computes_at_once, 1)
    sync, counted = os.fdatasync, []

    def counts(fd: int) -> None:
        counted.append(fd)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", counts)
    assert flyte.run(computes_at_once, 300).outputs()[0] == [1] * 300
    assert 1 <= len(counted) <= 30


def test_the_code_of_a_step_is_digested_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    digest, digested = tracing.own_digest, []

    def counts(code: Any) -> str:
        digested.append(code)
        return digest(code)

    monkeypatch.setattr(tracing, "own_digest", counts)
    flyte.run(computes_at_once, 5)
    flyte.run(computes_at_once, 5)
    assert digested == [ask_once, ask_once]


def test_what_cannot_be_recorded_passes_all_the_same_and_counts_by_its_type() -> None:
    run = flyte.run(passes_a_lock)
    assert run.outputs()[0] is True
    (step,) = traces(run)
    assert step.outputs()[0] == "<asyncio.locks.Lock, not recorded>"


def test_inside_a_step_output_and_context_are_the_tasks() -> None:
    run = flyte.run(says_inside)
    assert run.outputs()[0] == run.name
    assert list(run.get_logs()) == ["from inside"]


def test_the_store_has_the_steps_as_the_run_has() -> None:
    run = flyte.run(nests)
    rows = [row for row in Store.open().actions(run.name) if row.kind == "trace"]
    assert [(row.name, row.task, row.phase, row.spec) for row in rows] == [
        (step.name, step.task_name, "succeeded", -1) for step in traces(run)
    ]


def test_outside_a_run_a_traced_function_is_a_plain_one() -> None:
    assert compute(3) == 9
    assert asyncio.run(ask("a", 2)) == "aa"
    assert list(count_to(2)) == [0, 1]
