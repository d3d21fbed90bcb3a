"""Processes die in every way and at every moment: who waits is answered, the pool heals, nothing is left behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import current_session
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from tests.engine import crash_tasks as tasks
from tests.engine import endless_tasks
from tests.processes import flyte_nb_home, is_alive, processes_of, until

__all__ = ["flyte_nb_home"]

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def result(task: Any, *args: Any) -> Any:
    return flyte.run(task, *args).outputs()[0]


def loss(task: Any, *args: Any) -> flyte.errors.RuntimeSystemError:
    """The error of a task whose process is lost."""
    with pytest.raises(flyte.errors.RuntimeSystemError) as raised:
        flyte.run(task, *args)
    assert raised.value.code == "WorkerLost"
    assert raised.value.run.phase == "failed"
    return raised.value


# ---------------------------------------------------------------- ways


@pytest.mark.parametrize("way", tasks.WAYS)
@pytest.mark.parametrize("task", [tasks.dies, tasks.dies_in_a_thread], ids=["async", "sync"])
def test_the_error_says_how_the_process_ended_and_its_last_words(task: Any, way: str) -> None:
    error = loss(task, way)
    assert way in str(error)
    assert task.name in str(error)
    assert "last words" in str(error)
    assert "last words" in list(error.run.get_logs())


def test_a_segfault_leaves_the_line_where_it_happened() -> None:
    assert "crash_tasks.py" in str(loss(tasks.dies, "SIGSEGV"))


def test_a_parent_in_another_process_can_catch_the_loss() -> None:
    assert result(tasks.parent_of_one_that_dies, "SIGKILL") == "WorkerLost"


def test_a_pool_heals() -> None:
    before = result(tasks.lives)
    loss(tasks.dies_warm, "SIGKILL")
    assert result(tasks.lives) not in (before, os.getpid())


def test_retries_take_other_workers(folder: str) -> None:
    run = flyte.run(tasks.dies_twice, folder)
    assert len(run.outputs()[0]) == 3
    assert [attempt.phase for attempt in run.root.attempts] == ["failed", "failed", "succeeded"]


# ---------------------------------------------------------------- moments


def test_at_the_reading_of_an_input() -> None:
    assert "exit code 11" in str(loss(tasks.reads, tasks.DiesWhenRead()))


@pytest.mark.parametrize("task", [tasks.returns, tasks.raises, tasks.calls_with_a_deadly_input])
def test_at_the_writing_of_a_result_an_error_or_an_input(task: Any) -> None:
    assert "exit code 12" in str(loss(task))


def test_while_a_huge_result_is_on_its_way() -> None:
    loss(tasks.dies_with_a_huge_result)


def test_while_it_prints() -> None:
    error = loss(tasks.dies_while_it_prints, 20)
    assert "line 19" in str(error)
    assert list(error.run.get_logs()) == [*(f"line {number}" for number in range(20)), "and natively"]


def test_after_a_flood_of_output_what_was_flushed_is_there() -> None:
    error = loss(tasks.dies_after_a_flood, 5000)
    assert "the last" in str(error)
    lines = list(error.run.get_logs())
    assert lines == [*(f"line {number}" for number in range(5000)), "the last"]


def test_a_parent_that_dies_is_tried_again_and_its_child_ends(folder: str) -> None:
    with pytest.raises(flyte.errors.RuntimeSystemError) as raised:
        flyte.run(tasks.parent_that_dies_while_it_waits, folder)
    assert [action.phase.value for action in raised.value.run.actions()] == ["failed", "aborted"]
    retried = tasks.parent_that_dies_while_it_waits.override(retries=1)
    for file in Path(folder).iterdir():
        file.unlink()
    run = flyte.run(retried, folder)
    assert run.outputs()[0] == 5
    assert [action.attempt for action in run.actions()] == [2, 2]


def test_an_idle_worker_that_dies_is_replaced() -> None:
    pid = result(tasks.lives)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid))  # a zombie's threads may hold its connection open
    assert result(tasks.lives) != pid


def test_while_it_retires() -> None:
    pid = result(tasks.lives)
    session = current_session()
    assert session is not None
    retiring = session.engine.start(session.processes.wind_down("healing"))
    with suppress(ProcessLookupError):  # it was faster
        os.kill(pid, signal.SIGKILL)
    assert retiring.result() == 1
    assert result(tasks.lives) != pid


def test_while_it_is_aborted(folder: str) -> None:
    run = flyte.with_runcontext().start(endless_tasks.refuses, folder)
    path = Path(folder, "began")
    until(path.exists)
    pid = int(path.read_text())
    aborting = threading.Thread(target=run.abort)
    aborting.start()
    os.kill(pid, signal.SIGKILL)
    aborting.join()
    assert run.phase == "aborted"
    until(lambda: not is_alive(pid))


def test_when_the_zygote_dies_its_workers_go_and_others_come(folder: str, flyte_nb_home: Path) -> None:
    run = flyte.with_runcontext().start(endless_tasks.sleeps_in_c, folder)
    path = Path(folder, "began")
    until(path.exists)
    zygote = psutil.Process(int(path.read_text())).parent()
    assert zygote is not None
    workers = zygote.children()
    zygote.kill()
    with pytest.raises(flyte.errors.RuntimeSystemError):
        run.wait()
        run.outputs()
    until(lambda: not any(psutil.pid_exists(one.pid) for one in workers))  # as above
    assert result(tasks.lives) != os.getpid()


# ---------------------------------------------------------------- crowds


def test_those_who_shared_a_killed_worker_are_tried_again_for_nothing(folder: str) -> None:
    run = flyte.run(tasks.crowd, folder, 6)
    assert run.outputs()[0] == [0, 1, 2, 3, 4, 5, "WorkerLost"]
    assert {action.attempt for action in run.actions().where(task="is_innocent")} == {2}


def kill_at_random(home: Path, seed: int, kills: int, ended: threading.Event) -> None:
    """Kills workers, and now and then the zygote, until so many are dead or the run is over."""
    chance = random.Random(seed)
    while kills and not ended.is_set():
        time.sleep(chance.uniform(0.0, 0.02))
        victims = [process.pid for process in processes_of(home)]
        if victims:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(chance.choice(victims), signal.SIGKILL)
                kills -= 1


@pytest.mark.parametrize(
    ("kills", "calls"), [(5, 60), pytest.param(100, 3000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_everybody_is_answered_while_processes_are_killed_at_random(
    flyte_nb_home: Path, kills: int, calls: int
) -> None:
    result(tasks.trivial, 1)
    ended = threading.Event()
    killer = threading.Thread(target=kill_at_random, args=(flyte_nb_home, 7, kills, ended))
    killer.start()
    answers = result(tasks.many, calls)
    ended.set()
    killer.join()
    assert len(answers) == calls
    for i, answer in enumerate(answers):
        assert answer in (i, "WorkerLost", "WorkerNotStarted")
    assert sum(answer == i for i, answer in enumerate(answers)) > calls / 2
    assert result(tasks.many, 30) == list(range(30))


def test_a_thousand_tasks_leave_nothing_behind(flyte_nb_home: Path) -> None:
    assert result(tasks.a_thousand) == 1000
    before = held(flyte_nb_home)
    assert result(tasks.a_thousand) == 1000
    until(lambda: is_no_more(held(flyte_nb_home), before))


def is_no_more(now: tuple[int, ...], before: tuple[int, ...]) -> bool:
    """Whether nothing was added; a file that was open for a moment may have gone."""
    return all(one <= other for one, other in zip(now, before, strict=True))


def held(home: Path) -> tuple[int, ...]:
    """The processes of the session, this process's file descriptors, and its mapped values."""
    gc.collect()
    maps = Path("/proc/self/maps").read_text()
    return len(processes_of(home)), len(os.listdir("/proc/self/fd")), maps.count(str(home / "values"))


# ---------------------------------------------------------------- memory


def test_a_task_that_ran_out_of_memory_is_given_more() -> None:
    assert result(tasks.asks_for_more, 250) == 1025


# ---------------------------------------------------------------- the kernel dies

KERNEL = """
import sys
sys.path.insert(0, {project!r})
import flyte_nb as flyte
from tests.engine import endless_tasks as tasks
flyte.run(tasks.adds, 1)
flyte.run(tasks.{task}, {folder!r})
"""


@pytest.mark.parametrize("task", ["traces_and_waits", "sleeps_in_c", "starts_programs"])
def test_no_worker_survives_its_kernel(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("FLYTE_NB_HOME", str(home))
    script = KERNEL.format(project=str(PROJECT), task=task, folder=str(tmp_path))
    kernel = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    try:
        until((tmp_path / "began").exists)
        workers = processes_of(home)
        assert len(workers) > 2
    finally:
        kernel.kill()
        kernel.wait()
    _, left = psutil.wait_procs(workers, timeout=60)
    assert not [one for one in left if is_alive(one.pid)]  # who is dead may wait for the system to take notice
    if task == "traces_and_waits":
        (run,) = [run for run in Store.open(Home(home)).runs() if run.task.endswith(task)]
        phases = {action.task: action.phase for action in Store.open(Home(home)).actions(run.name)}
        assert phases["computes"] == "succeeded"
        assert run.phase == "aborted"
