"""`Cache(serialize=True)`: of simultaneous calls with one key one executes, in this process and across several."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine.action import Action
from flyte_nb.engine.cache.caching import WAITING
from flyte_nb.engine.cache.turns import KeyFile
from flyte_nb.engine.session import session
from flyte_nb.errors import MaxQueuedTimeExceededError
from flyte_nb.remote import Run
from tests.engine import cached_tasks
from tests.processes import until, until_aio

env = flyte.TaskEnvironment("turns")
PROJECT = Path(__file__).resolve().parents[2]

serialized = flyte.Cache("auto", serialize=True, version_override="1")
executed: list[int] = []
gate = asyncio.Event()


@pytest.fixture(autouse=True)
def fresh_start() -> Iterator[None]:
    global gate
    executed.clear()
    gate = asyncio.Event()
    yield
    assert list(session().home.cache.rglob("*.lock")) == []


def siblings() -> list[Action]:
    """The actions of the running run but its root, in the order in which they were called."""
    return session().runs[str(flyte.ctx().action.run_name)].order[1:]


def waiting() -> int:
    return sum(action.note == WAITING for action in siblings())


@env.task(cache=serialized)
async def slow(x: int) -> int:
    executed.append(x)
    await gate.wait()
    return 2 * x


@env.task(cache=serialized)
async def unlucky_once(x: int) -> int:
    executed.append(x)
    await gate.wait()
    if len(executed) == 1:
        raise ValueError("unlucky")
    return x


@env.task
async def five_at_once(task_name: str) -> list[Any]:
    task = {"slow": slow, "unlucky_once": unlucky_once}[task_name]
    calls = asyncio.gather(*[task(1) for _ in range(5)], return_exceptions=True)
    await until_aio(lambda: waiting() == 4)
    gate.set()
    return [result if isinstance(result, int) else str(result) for result in await calls]


@env.task
async def one_of_each() -> list[int]:
    calls = asyncio.gather(slow(1), slow(2), slow(3))
    await until_aio(lambda: len(executed) == 3)
    gate.set()
    return list(await calls)


@env.task
async def a_waiter_is_cancelled() -> list[int]:
    first, second, third = (asyncio.ensure_future(slow(1)) for _ in range(3))
    await until_aio(lambda: waiting() == 2)
    second.cancel()
    await asyncio.wait([second])
    gate.set()
    return [await first, await third]


@env.task
async def a_waiter_has_little_time() -> str:
    first = asyncio.ensure_future(slow(1))
    await until_aio(lambda: executed)
    impatient = slow.override(timeout=flyte.Timeout(max_queued_time=timedelta(milliseconds=20)))
    try:
        await impatient(1)
    except MaxQueuedTimeExceededError as error:
        return str(error)
    finally:
        gate.set()
        await first
    return "it did not wait"


@env.task
async def leaf(x: int) -> int:
    return x


@env.task(cache=serialized)
async def with_children(x: int) -> int:
    executed.append(x)
    await gate.wait()
    return sum([await leaf(at) for at in range(3)])


@env.task
async def four_parents() -> list[int]:
    calls = asyncio.gather(*[with_children(1) for _ in range(4)])
    await until_aio(lambda: waiting() == 3)
    gate.set()
    return list(await calls)


@env.task(cache=flyte.Cache("auto", serialize=True, ignored_inputs="depth"))
async def within_itself(x: int, depth: int) -> int:
    executed.append(depth)
    return x if depth == 0 else await within_itself(x, depth - 1)


@env.task
async def two_overwriting() -> list[int]:
    calls = asyncio.gather(slow(1), slow(1))
    await until_aio(lambda: len(executed) == 2)
    gate.set()
    return list(await calls)


def phases(run: Run) -> dict[str, int]:
    """How the calls of a run ended."""
    found: dict[str, int] = {}
    for action in run.actions()[1:]:
        word = "cached" if action.source else str(action.phase.value)
        found[word] = found.get(word, 0) + 1
    return found


def test_one_of_five_simultaneous_calls_executes_and_the_others_take_its_result() -> None:
    run = flyte.run(five_at_once, "slow")
    assert run.outputs()[0] == [2] * 5
    assert executed == [1]
    assert phases(run) == {"succeeded": 1, "cached": 4}
    assert {action.note for action in run.actions()} == {""}


def test_calls_with_other_inputs_do_not_wait() -> None:
    assert flyte.run(one_of_each).outputs()[0] == [2, 4, 6]


def test_when_the_one_that_executes_fails_the_next_executes() -> None:
    run = flyte.run(five_at_once, "unlucky_once")
    assert run.outputs()[0] == ["unlucky", 1, 1, 1, 1]
    assert executed == [1, 1]
    assert phases(run) == {"failed": 1, "succeeded": 1, "cached": 3}


def test_a_waiter_that_is_cancelled_leaves_the_line() -> None:
    run = flyte.run(a_waiter_is_cancelled)
    assert run.outputs()[0] == [2, 2]
    assert phases(run) == {"succeeded": 1, "aborted": 1, "cached": 1}


def test_waiting_counts_as_time_in_the_queue() -> None:
    message = flyte.run(a_waiter_has_little_time).outputs()[0]
    assert "waited longer than its max_queued_time" in message


def test_a_waiter_gives_its_place_to_the_children_of_the_one_it_waits_for() -> None:
    run = flyte.with_runcontext(max_action_concurrency=2).run(four_parents)
    assert run.outputs()[0] == [3] * 4
    assert executed == [1]


def test_a_task_does_not_wait_for_itself() -> None:
    assert flyte.run(within_itself, 7, 3).outputs()[0] == 7
    assert executed == [3, 2, 1, 0]


def test_calls_that_overwrite_do_not_wait() -> None:
    assert flyte.with_runcontext(overwrite_cache=True).run(two_overwriting).outputs()[0] == [2, 2]


Call = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def call() -> Iterator[Call]:
    """Starts the program `tests.engine.cached_tasks` in a process of its own, which ends with the test."""
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.engine.cached_tasks", *arguments],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def answer(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate()
    return output.split()


def waits(process: subprocess.Popen[str]) -> bool:
    """Whether the process has the lock file of a key open, as one does that waits for its turn."""
    files = []
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            files.append(Path(os.readlink(link)))
    return any(file.suffix == ".lock" and file.parent.parent.name == "cache" for file in files)


def test_one_of_several_processes_executes_and_the_others_take_its_result(call: Call, tmp_path: Path) -> None:
    witness, gate = tmp_path / "witness", tmp_path / "gate"
    processes = [call("call", str(witness), str(gate)) for _ in range(3)]
    until(lambda: all(map(waits, processes)))
    gate.touch()
    answers = [answer(process) for process in processes]
    assert len(witness.read_text().splitlines()) == 1
    assert sorted(where == "executed" for where, _ in answers) == [False, False, True]
    assert {pid for _, pid in answers} == {witness.read_text().strip()}


def test_a_holder_that_is_killed_gives_way(call: Call, tmp_path: Path) -> None:
    witness, gate = tmp_path / "witness", tmp_path / "gate"
    first = call("call", str(witness), str(gate))
    until(lambda: witness.exists() and witness.read_text())
    second = call("call", str(witness), str(gate))
    until(lambda: waits(second))
    first.send_signal(signal.SIGKILL)
    until(lambda: len(witness.read_text().splitlines()) == 2)
    gate.touch()
    assert answer(second) == ["executed", str(second.pid)]
    answer(first)


def test_the_result_of_another_process_is_taken_by_this_one(call: Call, tmp_path: Path) -> None:
    witness, gate = tmp_path / "witness", tmp_path / "gate"
    gate.touch()
    where, pid = answer(call("call", str(witness), str(gate)))
    run = flyte.run(cached_tasks.gated, str(witness), str(gate))
    assert (where, run.outputs()[0]) == ("executed", int(pid))
    assert run.root.source.startswith("cache:")


def test_a_fork_of_the_holder_does_not_keep_the_lock(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "key.lock"
    holder = call("hold", str(path))
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    mine = KeyFile(str(path))
    assert not mine.try_take()
    holder.kill()
    until(mine.try_take)
    mine.release()
    answer(holder)


def test_a_lock_whose_file_was_removed_meanwhile_is_not_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "key.lock")
    first, second, third = KeyFile(path), KeyFile(path), KeyFile(path)
    assert first.try_take() and not second.try_take()
    first.release()
    assert third.try_take() and not second.try_take()
    third.release()
    assert second.try_take()
    second.release()
    assert not Path(path).exists()
