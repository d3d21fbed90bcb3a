"""The sync tasks' threads: as many at work as allowed, and more while some of them wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

import pytest

from flyte_nb.executors import threads as threads_module
from flyte_nb.executors.threads import Aborted, Job, TaskThreads
from tests.processes import until


class Crowd:
    """Functions that stay inside until they are let go, and how many there were at once."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def stay(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.inside.release()
        self.let_go.wait()
        with self._lock:
            self.now -= 1


def start(pool: TaskThreads, function: Callable[[], Any]) -> Job:
    job = Job(function, copy_context(), "test")
    pool.start(job)
    return job


async def results(*jobs: Job) -> list[Any]:
    return [value for value, _ in await asyncio.gather(*[job.future for job in jobs])]


async def test_no_more_are_at_work_than_allowed() -> None:
    pool, crowd = TaskThreads(3), Crowd()
    jobs = [start(pool, crowd.stay) for _ in range(10)]
    for _ in range(3):
        await asyncio.to_thread(crowd.inside.acquire)
    assert crowd.now == 3
    crowd.let_go.set()
    await results(*jobs)
    assert crowd.most == 3


async def test_jobs_start_in_the_order_in_which_they_came() -> None:
    pool, order = TaskThreads(1), list[int]()
    await results(*[start(pool, partial(order.append, i)) for i in range(20)])
    assert order == list(range(20))


async def test_a_thread_that_waits_gives_its_place_back() -> None:
    pool, loop = TaskThreads(1), asyncio.get_running_loop()
    order: list[str] = []

    def parent() -> None:
        order.append("parent")
        child = asyncio.run_coroutine_threadsafe(_run_in(pool, lambda: order.append("child")), loop)
        with pool.blocked():
            child.result()
        order.append("parent again")

    await results(start(pool, parent))
    assert order == ["parent", "child", "parent again"]


async def test_waiting_nests_deeper_than_there_are_places() -> None:
    pool, loop = TaskThreads(2), asyncio.get_running_loop()

    def down(depth: int) -> int:
        if depth == 0:
            return 0
        child = asyncio.run_coroutine_threadsafe(_run_in(pool, lambda: down(depth - 1)), loop)
        with pool.blocked():
            return 1 + int(child.result())

    assert await results(start(pool, lambda: down(50))) == [50]


async def test_a_thread_that_waited_goes_on_ahead_of_jobs_that_have_not_started() -> None:
    pool, crowd = TaskThreads(1), Crowd()
    waits, order = threading.Event(), list[str]()

    def parent() -> None:
        with pool.blocked():
            waits.wait()
        order.append("parent")

    jobs = [start(pool, parent), start(pool, crowd.stay), start(pool, lambda: order.append("new"))]
    await asyncio.to_thread(crowd.inside.acquire)
    waits.set()
    await results(jobs[0])
    assert order == ["parent"]
    crowd.let_go.set()
    await results(*jobs)
    assert order == ["parent", "new"]


async def test_idle_threads_serve_again_and_end_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = TaskThreads(4)
    first = (await results(start(pool, threading.get_ident)))[0]
    await asyncio.to_thread(until, lambda: list(pool.jobs().values()) == [None])
    second = (await results(start(pool, threading.get_ident)))[0]
    assert first == second
    monkeypatch.setattr(threads_module, "IDLE_SECONDS", 0.01)
    used = (await results(start(pool, threading.current_thread)))[0]
    await asyncio.to_thread(used.join)
    assert await results(start(pool, lambda: "next")) == ["next"]


async def test_an_aborted_job_that_waits_for_its_place_never_starts() -> None:
    pool, crowd = TaskThreads(1), Crowd()
    ran: list[int] = []
    busy = start(pool, crowd.stay)
    await asyncio.to_thread(crowd.inside.acquire)
    waiting = start(pool, lambda: ran.append(1))
    waiting.abort()
    crowd.let_go.set()
    await results(busy, start(pool, lambda: None))
    assert not ran
    assert not waiting.future.done()


async def test_an_aborted_job_ends_and_its_thread_serves_the_next() -> None:
    pool, started = TaskThreads(1), threading.Event()

    def spins() -> None:
        started.set()
        while True:
            time.sleep(0.001)

    job = start(pool, spins)
    await asyncio.to_thread(started.wait)
    while not job.future.done():
        job.abort()
        await asyncio.sleep(0.001)
    value, error = await job.future
    assert value is None
    assert isinstance(error, Aborted)
    assert await results(start(pool, lambda: "next")) == ["next"]


async def test_a_job_whose_loop_is_gone_ends_quietly() -> None:
    pool, crowd = TaskThreads(1), Crowd()

    async def leaves_it_running() -> None:
        start(pool, crowd.stay)
        await asyncio.to_thread(crowd.inside.acquire)

    await asyncio.to_thread(asyncio.run, leaves_it_running())
    crowd.let_go.set()
    assert await results(start(pool, lambda: "next")) == ["next"]


async def _run_in(pool: TaskThreads, function: Callable[[], Any]) -> Any:
    return (await results(start(pool, function)))[0]
