"""A pool of workers that hold calls until a test ends them, on a clock that moves when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.executors.base import Call, Outcome
from flyte_nb.executors.frames import Code
from flyte_nb.executors.limits.admission import Admission
from flyte_nb.executors.limits.machine import Machine
from flyte_nb.executors.losses import WorkerLostError
from flyte_nb.executors.placement import Needs
from flyte_nb.executors.pool import Pool
from flyte_nb.executors.workers import Worker
from tests.executors.contract import scope

NOTHING = Needs()


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Timer:
        timer = Timer(self.now + delay, callback)
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self._timers if timer.at <= end and not timer.is_cancelled]:
            first = min(due, key=lambda timer: timer.at)
            self._timers.remove(first)
            self.now = max(self.now, first.at)
            first.callback()
        self.now = end


class Timer:
    def __init__(self, at: float, callback: Callable[[], Any]) -> None:
        self.at = at
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ToyWorker:
    """Holds calls until the test ends them."""

    def __init__(self, name: str, gone: Callable[[Worker], None]) -> None:
        self.name = name
        self.modules: dict[str, str] = {}
        self.devices = None
        self.ended = ""
        self.running: dict[str, asyncio.Future[Outcome]] = {}
        self._gone = gone

    def fits(self, call: Call) -> bool:
        assert call.code is not None
        return all(self.modules.get(name, digest) == digest for name, digest in call.code.modules.items())

    async def run(self, call: Call) -> Outcome:
        assert call.code is not None
        self.modules.update(call.code.modules)
        future = self.running[call.name] = asyncio.get_running_loop().create_future()
        try:
            outcome: Outcome = await future
            return outcome
        finally:
            del self.running[call.name]

    def retire(self) -> None:
        self.ended = "retired"
        self._gone(cast(Worker, self))

    def kill(self) -> None:
        self.ended = "killed"
        self.lose()

    def dismiss(self) -> None:
        """It takes no more calls."""
        self._gone(cast(Worker, self))

    def lose(self) -> None:
        self._gone(cast(Worker, self))
        for future in self.running.values():
            future.set_exception(WorkerLostError("lost", self.name, shared=len(self.running) > 1))


class Toys:
    """A pool of toy workers, its clock, and the calls made in it."""

    def __init__(
        self,
        replicas: int | tuple[int, int] = 2,
        concurrency: int = 1,
        needs: Needs = NOTHING,
        cpus: float = 2,
        **policy: Any,
    ) -> None:
        self.clock = Clock()
        self.workers: list[ToyWorker] = []
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.cannot_start: Exception | None = None
        self.phases: list[tuple[str, str]] = []
        """(call, phase) as they were told."""
        self.calls: dict[str, Call] = {}
        self.tasks: dict[str, asyncio.Task[Outcome]] = {}
        self.admission = Admission(Machine(cpus=cpus, memory_bytes=1 << 30, gpus=()))
        reuse = ReusePolicy(replicas=replicas, concurrency=concurrency, **policy)
        self.pool = Pool(reuse, self._start, self.admission, needs, self.clock)

    async def _start(self, gone: Callable[[Worker], None]) -> Worker:
        await self.may_start.wait()
        if self.cannot_start is not None:
            raise self.cannot_start
        worker = ToyWorker(f"worker {len(self.workers) + 1}", gone)
        self.workers.append(worker)
        return cast(Worker, worker)

    async def call(self, *names: str, alone: bool = False, **modules: str) -> None:
        """Makes calls and lets everything settle."""
        for name in names:
            code = Code(digest=name, template=b"", entries=[], sources={}, modules=modules)
            call = self.calls[name] = Call(_nothing, {}, True, scope, name, _nothing, code=code, alone=alone)
            call.moved = partial(self._moved, name)
            self.tasks[name] = asyncio.create_task(self.pool.run(call))
        await settle()

    async def end(self, *names: str) -> None:
        """The calls' code is done."""
        for name in names:
            self._place(name).running[name].set_result(Outcome(name))
        await settle()

    def pause(self, name: str) -> None:
        seat = self.calls[name].seat
        assert seat is not None
        seat.pause()

    async def resume(self, name: str) -> asyncio.Task[None]:
        seat = self.calls[name].seat
        assert seat is not None
        task = asyncio.create_task(seat.resume())
        await settle()
        return task

    def _moved(self, name: str, phase: str, where: str) -> None:
        self.phases.append((name, phase))

    def _place(self, name: str) -> ToyWorker:
        return next(worker for worker in self.workers if name in worker.running)

    @property
    def at_work(self) -> dict[str, list[str]]:
        """The calls whose code runs, by worker."""
        return {worker.name: list(worker.running) for worker in self.workers if worker.running}

    @property
    def names_at_work(self) -> list[str]:
        return sorted(name for worker in self.workers for name in worker.running)

    @property
    def alive(self) -> list[str]:
        return [worker.name for worker in cast(list[ToyWorker], self.pool.workers)]


def _nothing() -> None:
    return None


async def settle(turns: int = 20) -> None:
    """Lets everything run that can, or what does so many turns of the loop later."""
    for _ in range(turns):
        await asyncio.sleep(0)
