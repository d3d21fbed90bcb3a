"""The hint at processes: for threads that compute in Python, for no others."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator

import pytest

import flyte_nb as flyte
from flyte_nb.engine import watcher
from flyte_nb.engine.contention import Cores, take_turns
from flyte_nb.engine.state import RunState

HINT_SECONDS = 100.0
"""Computing goes on until the hint is there, at most so long: other programs may keep this one from a core."""

env = flyte.TaskEnvironment("turns")
hints: list[str] = []


class Notes:
    """An observer that keeps what runs are noted."""

    def started(self, run: RunState) -> None:
        hints.clear()

    def changed(self, run: RunState) -> None:
        if run.note:
            hints.append(run.note)

    def ended(self, run: RunState) -> None:
        return None


@pytest.fixture(autouse=True)
def observed() -> Iterator[None]:
    notes = Notes()
    watcher.observers.append(notes)
    yield
    watcher.observers.remove(notes)


def until_hint(work: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not hints and time.monotonic() < deadline:
        work()


@env.task
def compute() -> None:
    until_hint(lambda: sum(range(2000)), HINT_SECONDS)


@env.task
def compute_without_the_lock() -> None:
    data = b"x" * 4_000_000
    until_hint(lambda: hashlib.sha256(data).digest(), 2.0)


@env.task
def wait() -> None:
    until_hint(lambda: time.sleep(0.005), 2.0)


@env.task
async def side_by_side(kind: str, times: int) -> None:
    tasks = {"compute": compute, "hash": compute_without_the_lock, "wait": wait}
    await asyncio.gather(*[tasks[kind].aio() for _ in range(times)])


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2,
    reason="one core: no process to advise",
)
def test_threads_that_compute_in_python_are_told_of_processes() -> None:
    flyte.run(side_by_side, "compute", 3)
    assert hints and hints[0].startswith("Threads of turns.compute take turns on one core")
    assert 'flyte.init(isolation="process")' in hints[0]


@pytest.mark.parametrize(("kind", "times"), [("hash", 2), ("wait", 4)])
def test_threads_that_wait_or_let_go_of_the_lock_are_not(kind: str, times: int) -> None:
    flyte.run(side_by_side, kind, times)
    assert hints == []


@pytest.mark.parametrize(
    ("cores", "do"),
    [
        pytest.param([Cores(0.5, 0.5)] * 2, True, id="two by turns"),
        pytest.param([Cores(0.06, 0.09)] * 16, True, id="sixteen by turns"),
        pytest.param([Cores(0.98, 0.99), Cores(0.01, 0.01)], False, id="one computes, one sleeps"),
        pytest.param([Cores(0.99, 0.99)] * 2, False, id="two without the lock"),
        pytest.param([Cores(0.5, 0.99)] * 2, False, id="two without the lock, on a busy machine"),
        pytest.param([Cores(0.1, 0.1)] * 3, False, id="three that mostly wait"),
        pytest.param([Cores(0.02, 0.25)] * 4, False, id="four that mostly wait, on a busy machine"),
        pytest.param([], False, id="none"),
    ],
)
def test_threads_take_turns_when_together_they_have_one_core(cores: list[Cores], do: bool) -> None:
    assert take_turns(cores) is do
