"""Stop: the caller goes on and the run is recorded as aborted, whatever the task is doing."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import session
from tests.processes import until

env = flyte.TaskEnvironment("abort")
started = threading.Event()
release = threading.Event()


@env.task
async def awaits() -> int:
    started.set()
    await asyncio.sleep(3600)
    return 1


@env.task
async def spins() -> int:
    started.set()
    while True:
        pass


@env.task
def spins_in_a_thread() -> int:
    started.set()
    while True:
        pass


@env.task
def waits_in_c() -> int:
    started.set()
    release.wait()
    print("said too late")
    return 1


@env.task
async def blocks_the_loop_in_c() -> int:
    started.set()
    release.wait()
    return 1


@env.task
async def refuses() -> int:
    started.set()
    while not release.is_set():
        try:
            await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            continue
    return 1


@env.task
async def parent() -> list[int]:
    return list(await asyncio.gather(awaits(), awaits()))


@env.task
def parent_in_a_thread() -> int:
    return spins_in_a_thread()


@env.task
async def quick() -> int:
    return 1


@pytest.fixture(autouse=True)
def events() -> Any:
    started.clear()
    release.clear()
    yield
    release.set()


def interrupt_once_started() -> None:
    started.wait()
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    "task",
    [
        awaits,
        spins,
        spins_in_a_thread,
        waits_in_c,
        blocks_the_loop_in_c,
        refuses,
        parent,
        parent_in_a_thread,
    ],
    ids=lambda task: task.name,
)
def test_stop_ends_the_run_and_the_next_run_works(task: Any) -> None:
    threading.Thread(target=interrupt_once_started).start()
    with pytest.raises(KeyboardInterrupt) as raised:
        flyte.run(task)
    run = raised.value.run  # type: ignore[attr-defined]
    assert run.phase == "aborted"
    assert {action.phase.value for action in run.actions()} == {"aborted"}
    assert "interrupted" in run.error_info.message
    assert flyte.run(quick).outputs()[0] == 1


@pytest.mark.parametrize("task", [waits_in_c, blocks_the_loop_in_c], ids=lambda task: task.name)
def test_code_that_cannot_be_ended_is_shown_as_still_running(task: Any) -> None:
    threading.Thread(target=interrupt_once_started).start()
    with pytest.raises(KeyboardInterrupt) as raised:
        flyte.run(task)
    assert "still run" in raised.value.run.root.note  # type: ignore[attr-defined]


def test_late_output_of_an_aborted_task_is_dropped() -> None:
    threading.Thread(target=interrupt_once_started).start()
    with pytest.raises(KeyboardInterrupt) as raised:
        flyte.run(waits_in_c)
    release.set()
    until(lambda: not any(thread.name.endswith("waits_in_c") for thread in threading.enumerate()))
    assert raised.value.run.logs() == []  # type: ignore[attr-defined]


def test_a_run_started_in_the_background_is_aborted_by_its_handle() -> None:
    run = flyte.with_runcontext().start(awaits)
    started.wait()
    assert run.phase == "running"
    run.abort("enough")
    assert run.phase == "aborted"
    assert "enough" in run.error_info.message
    with pytest.raises(flyte.errors.ActionAbortedError):
        run.outputs()


def test_cancelling_an_awaited_run_aborts_it() -> None:
    async def go() -> None:
        awaited = asyncio.create_task(flyte.run.aio(awaits))
        await asyncio.to_thread(started.wait)
        awaited.cancel()
        with pytest.raises(asyncio.CancelledError):
            await awaited

    asyncio.run(go())
    assert [run.phase.value for run in flyte.remote.Run.listall()] == ["aborted"]


def test_a_run_that_is_aborted_before_its_code_begins_never_begins() -> None:
    flyte.run(quick)
    started.clear()
    loop_held, go_on = threading.Event(), threading.Event()
    session().engine.loop.call_soon_threadsafe(lambda: (loop_held.set(), go_on.wait()))
    loop_held.wait()
    run = flyte.with_runcontext().start(awaits)
    aborting = threading.Thread(target=run.abort, args=[""])
    aborting.start()
    until(lambda: session().runs[run.name].cancelled_by)
    go_on.set()
    aborting.join()
    assert (run.phase, run.root.phase, run.root.note, started.is_set()) == ("aborted", "aborted", "", False)
