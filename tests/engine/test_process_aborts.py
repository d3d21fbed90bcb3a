"""Stop, abort and cancellation end what runs in processes, with all that it has started."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.remote import Run
from tests.engine import endless_tasks
from tests.engine import process_tasks as tasks
from tests.processes import flyte_nb_home, is_alive, processes_of, until

__all__ = ["flyte_nb_home"]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def start(task: Any, *args: Any) -> Run:
    run: Run = flyte.with_runcontext().start(task, *args)
    return run


def begun(folder: str, name: str = "began") -> int:
    """Waits until the task runs; the id of its process."""
    path = Path(folder, name)
    until(path.exists)
    return int(path.read_text())


def processes(folder: str) -> list[int]:
    """The process of the task, and those that it has started."""
    pids = [begun(folder)]
    if (children := Path(folder, "children")).exists():
        pids += [int(pid) for pid in children.read_text().split()]
    return pids


def action(run: Run, task: str) -> Any:
    """The action of a task, once there is one."""
    until(lambda: run.actions().where(task=task))
    return run.actions().where(task=task)[0]


def assert_aborted(run: Run, folder: str) -> None:
    assert run.phase == "aborted"
    assert {action.phase.value for action in run.actions()} == {"aborted"}
    assert {action.note for action in run.actions()} == {""}
    pids = processes(folder)
    until(lambda: not any(map(is_alive, pids)))


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("name", endless_tasks.ENDLESS)
def test_an_aborted_run_leaves_no_process(name: str, folder: str) -> None:
    run = start(endless_tasks.ENDLESS[name], folder)
    begun(folder)
    run.abort("enough")
    assert "enough" in run.error_info.message  # type: ignore[union-attr]
    assert_aborted(run, folder)


@pytest.mark.parametrize("name", ["async", "sync in C", "sync parent"])
def test_stop_ends_the_processes_of_the_run(name: str, folder: str) -> None:
    def interrupt() -> None:
        begun(folder)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as raised:
        flyte.run(endless_tasks.ENDLESS[name], folder)
    assert_aborted(raised.value.run, folder)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["async", "async in C", "warm, in C"])
def test_cancelling_an_awaited_run_ends_its_processes(name: str, folder: str) -> None:
    async def go() -> None:
        awaited = asyncio.create_task(flyte.run.aio(endless_tasks.ENDLESS[name], folder))
        await asyncio.to_thread(begun, folder)
        awaited.cancel()
        with pytest.raises(asyncio.CancelledError):
            await awaited

    asyncio.run(go())
    assert_aborted(next(iter(Run.listall())), folder)


def test_a_run_that_waits_for_a_worker_is_aborted(folder: str) -> None:
    busy = start(endless_tasks.sleeps_warm, folder)
    begun(folder)
    waiting = start(tasks.adds, 1)
    until(lambda: waiting.root.sync().phase == "waiting_for_resources")
    waiting.abort()
    assert waiting.phase == "aborted"
    busy.abort()
    assert flyte.run(tasks.adds, 1).outputs()[0] == 2


def test_the_pool_works_on_after_an_abort(folder: str) -> None:
    run = start(endless_tasks.sleeps_warm, folder)
    stuck = begun(folder)
    run.abort()
    assert flyte.run(tasks.pid_only).outputs()[0] not in (stuck, os.getpid())


def test_a_thread_in_c_code_does_not_cost_others_in_its_worker_their_work(folder: str) -> None:
    """It cannot be ended: its worker takes no more calls, and goes when its last one is over."""
    run = start(endless_tasks.goes_on_without_a_stuck_child, folder)
    shared = begun(folder)
    run.wait()
    assert run.outputs()[0] == shared
    assert [attempt.phase for attempt in run.root.attempts] == ["succeeded"]
    until(lambda: not is_alive(shared))


def test_programs_that_a_task_leaves_running_end_with_its_process(folder: str) -> None:
    flyte.run(endless_tasks.leaves_programs_running, folder)
    pids = [int(Path(folder, name).read_text()) for name in ("one", "two")]
    until(lambda: not any(map(is_alive, pids)))


@pytest.mark.parametrize("task", [endless_tasks.waits, endless_tasks.sleeps_warm], ids=lambda task: task.name)
def test_a_run_can_be_aborted_at_every_moment_of_its_start(task: Any, folder: str, flyte_nb_home: Path) -> None:
    chance = random.Random(7)
    flyte.run(tasks.pid_only)
    until(lambda: len(processes_of(flyte_nb_home)) <= 3)  # the zygote, and workers of two pools at most
    before = {process.pid for process in processes_of(flyte_nb_home)}
    for _ in range(10):
        run = start(task, folder)
        time.sleep(chance.uniform(0, 0.03))
        run.abort()
        assert run.phase == "aborted"
    until(lambda: len({process.pid for process in processes_of(flyte_nb_home)} - before) <= 1)
    assert flyte.run(tasks.adds, 1).outputs()[0] == 2


# ---------------------------------------------------------------- single actions


@pytest.mark.parametrize("isolation", ["kernel", None], ids=["kernel", "process"])
def test_an_aborted_action_is_an_error_for_its_parent_which_goes_on(folder: str, isolation: Any) -> None:
    run = flyte.with_runcontext(isolation=isolation).start(endless_tasks.survives_its_childs_abort, folder)
    begun(folder)
    child = action(run, "waits")
    child.abort("not needed")
    run.wait()
    assert "not needed" in run.outputs()[0]
    assert run.outputs()[0].startswith("aborted: ")
    child.sync()
    assert child.phase == "aborted"
    assert isinstance(child.error, flyte.errors.ActionAbortedError)
    assert "not needed" in str(child.error)


@pytest.mark.parametrize("isolation", ["kernel", None], ids=["kernel", "process"])
def test_an_abort_ends_the_actions_below_too(folder: str, isolation: Any) -> None:
    run = flyte.with_runcontext(isolation=isolation).start(endless_tasks.survives_the_abort_of_a_tree, folder)
    for name in ("left", "right"):
        begun(folder, name)
    action(run, "waits_for_two").abort()
    run.wait()
    assert run.outputs()[0] == "aborted"
    assert [child.phase.value for child in run.actions()] == ["succeeded", "aborted", "aborted", "aborted"]
    assert Path(folder, "left-ended").exists() and Path(folder, "right-ended").exists()


def test_the_abort_of_a_sync_task_in_c_code_leaves_its_siblings_alone(folder: str) -> None:
    run = start(endless_tasks.keeps_one_of_two, folder)
    begun(folder)
    action(run, "sleeps_in_c").abort()
    run.wait()
    assert run.outputs()[0] == ["ActionAbortedError", 3]


def test_an_abort_that_the_parent_does_not_catch_fails_it(folder: str) -> None:
    run = start(endless_tasks.waits_for_child, folder)
    begun(folder)
    action(run, "waits").abort("no reason")
    with pytest.raises(flyte.errors.RuntimeUserError, match="no reason"):
        run.wait()
        run.outputs()
    assert run.phase == "failed"


def test_an_action_that_waits_for_a_worker_is_aborted(folder: str) -> None:
    busy = start(endless_tasks.sleeps_warm, folder)
    begun(folder)
    run = start(endless_tasks.survives_the_abort_of_one_that_waits)
    waiting = action(run, "adds")
    until(lambda: waiting.sync().phase == "waiting_for_resources")
    waiting.abort()
    run.wait()
    assert run.outputs()[0] == "aborted"
    busy.abort()


def test_the_abort_of_the_root_is_that_of_the_run(folder: str) -> None:
    run = start(endless_tasks.waits, folder)
    begun(folder)
    run.root.abort("enough")
    assert_aborted(run, folder)


def test_what_is_over_is_not_aborted() -> None:
    run = flyte.run(tasks.groups)
    done = run.actions().where(task="adds")[0]
    done.abort()
    run.abort()
    assert done.sync().phase == run.phase == "succeeded"


def test_a_trace_is_not_aborted_alone() -> None:
    run = flyte.run(tasks.groups)
    with pytest.raises(ValueError, match="abort that action"):
        run.actions().where(kind="trace")[0].abort()
