"""The warm workers of one environment: started when they are needed, used again, retired when they are not.

    call -> a place in a worker (`concurrency` of them each) -> what the call holds of the machine -> Worker.run

A call that waits for children gives its place back, and returns to its own worker ahead of calls that have not
started: a parent and its children can share the only place there is. Who comes later overtakes nobody. A call may need
a worker of its own, or one without an old module: where only calls that wait for children keep it from one, perhaps for
this very call, it gets a worker beyond the policy's most.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.executors.base import Call, Outcome
from flyte_nb.executors.limits.admission import Admission, Lease
from flyte_nb.executors.placement import Needs
from flyte_nb.executors.workers import Worker

__all__ = ["Clock", "Pool"]


class Clock(Protocol):
    """What time it is; an event loop is one."""

    def time(self) -> float:
        """Seconds since some moment."""

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Any:
        """Calls back after so many seconds; the result has a `cancel`."""


class Desk:
    """A worker of the pool and the places in it."""

    def __init__(self, worker: Worker, idle_since: float) -> None:
        self.worker = worker
        self.working = 0
        self.calls = 0
        """Calls that have begun and not ended, those that wait for children included."""
        self.is_reserved = False
        """For one call, which must not share it."""
        self.returning: deque[asyncio.Future[None]] = deque()
        self.idle_since = idle_since

    def sit(self) -> None:
        """One more call is at work."""
        self.working += 1
        if self.working == 1 and self.worker.devices is not None:
            self.worker.devices.resume_at_once()

    def stand(self) -> None:
        """One call less is at work; when none is, others may share the worker's devices rather than wait for them."""
        self.working -= 1
        if not self.working and self.worker.devices is not None:
            self.worker.devices.pause()


IS_AT_WORK = attrgetter("working")


class PoolSeat:
    """What a call holds: a place in a worker, and its part of the machine."""

    def __init__(self, pool: Pool, desk: Desk, lease: Lease | None) -> None:
        self._pool = pool
        self._desk = desk
        self._lease = lease
        self._is_seated = True

    def pause(self) -> None:
        self._is_seated = False
        self._pool.leave(self._desk)
        if self._lease is not None:
            self._lease.pause()

    async def resume(self) -> None:
        await self._pool.return_to(self._desk)
        self._is_seated = True
        if self._lease is not None:
            await self._lease.resume()

    def release(self) -> None:
        """The call is over."""
        if self._is_seated:
            self._desk.stand()
        if self._lease is not None:
            self._lease.release()


class Pool:
    """The workers of one environment.

    Args:
        policy: how many, how many calls at once in each, and when idle ones are retired.
        start: starts a worker; told the function to call when it is gone.
        admission: to the machine.
        needs: what each worker at work holds of the machine.
        clock: for the times to live.
    """

    def __init__(
        self,
        policy: ReusePolicy,
        start: Callable[[Callable[[Worker], None]], Awaitable[Worker]],
        admission: Admission,
        needs: Needs,
        clock: Clock,
    ) -> None:
        self.policy = policy
        self._least_workers, self._most_workers = policy.min_replicas, policy.max_replicas
        self._start = start
        self._admission = admission
        share = needs.memory_bytes // policy.concurrency if needs.memory_bytes is not None else None
        self._share = Needs(needs.cpu / policy.concurrency, share, 0)
        self._clock = clock
        self._desks: list[Desk] = []
        self._starting = 0
        self._queue: OrderedDict[asyncio.Future[Desk], Call] = OrderedDict()
        self._last_used = clock.time()
        self._timer: Any = None
        self._starts: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_winding_down = False

    @property
    def starting(self) -> int:
        """How many workers are being started."""
        return self._starting

    @property
    def workers(self) -> list[Worker]:
        """The workers that take calls."""
        return [desk.worker for desk in self._desks]

    async def run(self, call: Call) -> Outcome:
        """Runs a call in one of the workers, as soon as there is a place.

        Raises:
            WorkerLostError, OOMError: see `Worker.run`.
        """
        desk = None if self._queue else self._free_desk(call)
        if desk is not None:
            self._seat(desk, call)
        else:
            turn = self._line_up(call)
            try:
                desk = await turn
            except asyncio.CancelledError:
                self._leave_line(turn)
                raise
        try:
            lease = None
            if self._share.is_counted:
                lease = await self._admission.enter(self._share, partial(call.moved, "waiting_for_resources", ""))
        except BaseException:
            self._end(desk)
            raise
        seat = call.seat = PoolSeat(self, desk, lease)
        call.moved("running", desk.worker.name)
        try:
            return await desk.worker.run(call)
        finally:
            seat.release()
            self._finish(desk)

    def leave(self, desk: Desk) -> None:
        """A call of the desk gives its place back."""
        desk.stand()
        self._let_return(desk)
        self._assign()

    async def return_to(self, desk: Desk) -> None:
        """Waits for a place at the desk, ahead of calls that have not started, and takes it."""
        if desk.working < self.policy.concurrency and not desk.returning:
            desk.sit()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        desk.returning.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(desk)
            raise

    def close(self) -> None:
        """Ends every worker, now."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._starts:
            task.cancel()
        for desk in list(self._desks):
            desk.worker.kill()

    def wind_down(self) -> None:
        """Retires every worker: idle ones now, the others when their calls are over."""
        self._is_winding_down = True
        for desk in list(self._desks):
            if not desk.calls:
                desk.worker.retire()

    def retire_idle(self) -> None:
        """Retires the workers whose time has come: all when the pool is idle, one beyond the least number by itself."""
        now = self._clock.time()
        self._timer = None
        idle = [desk for desk in self._desks if not desk.calls]
        if len(idle) == len(self._desks) and not self._queue and now - self._last_used >= self._idle_ttl:
            for desk in idle:
                desk.worker.retire()
            return
        beyond = len(self._desks) - self._least_workers
        for desk in sorted(idle, key=lambda each: each.idle_since)[: max(beyond, 0)]:
            if now - desk.idle_since >= self._scaledown_ttl:
                desk.worker.retire()
        self._set_timer()

    # ---------------------------------------------------------------- places

    @property
    def _idle_ttl(self) -> float:
        return self.policy.idle_ttl.total_seconds()  # type: ignore[union-attr]  # the policy has made it a timedelta

    @property
    def _scaledown_ttl(self) -> float:
        return self.policy.get_scaledown_ttl().total_seconds()

    def _free_desk(self, call: Call) -> Desk | None:
        """The least loaded worker with a place for the call."""
        best = None
        for desk in self._desks:
            if desk.working >= self.policy.concurrency or desk.returning or desk.is_reserved:
                continue
            if (call.alone and desk.calls) or not desk.worker.fits(call):
                continue
            if best is None or desk.working < best.working:
                best = desk
        return best

    def _seat(self, desk: Desk, call: Call) -> None:
        desk.sit()
        desk.calls += 1
        desk.is_reserved = call.alone

    def _line_up(self, call: Call) -> asyncio.Future[Desk]:
        turn: asyncio.Future[Desk] = asyncio.get_running_loop().create_future()
        self._queue[turn] = call
        self._scale_up()
        has_worker_to_come = len(self._queue) <= self._starting * self.policy.concurrency
        call.moved("initializing" if has_worker_to_come else "waiting_for_resources", "")
        return turn

    def _leave_line(self, turn: asyncio.Future[Desk]) -> None:
        """A call was cancelled that waits for a place, or has got one but not taken it."""
        if turn.cancelled():
            self._queue.pop(turn, None)
            self._assign()
        elif turn.exception() is None:
            self._end(turn.result())

    def _let_return(self, desk: Desk) -> None:
        """Gives places to calls that return, also where their worker takes no others any more."""
        while desk.returning and desk.working < self.policy.concurrency:
            back = desk.returning.popleft()
            if not back.done():
                desk.sit()
                back.set_result(None)

    def _assign(self) -> None:
        """Gives free places to calls that have not started, in the order of arrival."""
        while self._queue:
            turn, call = next(iter(self._queue.items()))
            free = self._free_desk(call)
            if free is None:
                break
            del self._queue[turn]
            if not turn.done():
                self._seat(free, call)
                turn.set_result(free)
        self._scale_up()

    def _end(self, desk: Desk) -> None:
        """A call ends that held a place."""
        desk.stand()
        self._finish(desk)

    def _finish(self, desk: Desk) -> None:
        desk.calls -= 1
        if not desk.calls:
            desk.is_reserved = False
            desk.idle_since = self._last_used = self._clock.time()
            if self._is_winding_down and not self._queue:
                desk.worker.retire()
        self._let_return(desk)
        self._assign()
        if not desk.calls:
            self._set_timer()

    # ---------------------------------------------------------------- workers

    def _scale_up(self) -> None:
        """Starts a worker for the first call in line, while there may be more; else makes room for its code."""
        if self._starting * self.policy.concurrency >= len(self._queue):
            return
        if len(self._desks) + self._starting < self._most_workers:
            self._start_worker()
        elif all(map(IS_AT_WORK, self._desks)):
            return
        elif stale := self._stale_desk():
            stale.worker.retire()
            self._start_worker()
        elif not self._starting and not any(desk.working or desk.returning for desk in self._desks):
            self._start_worker()

    def _stale_desk(self) -> Desk | None:
        """An idle worker that the first call in line cannot use."""
        call = next(iter(self._queue.values()))
        return next((desk for desk in self._desks if not desk.calls and not desk.worker.fits(call)), None)

    def _start_worker(self) -> None:
        self._starting += 1
        task = asyncio.get_running_loop().create_task(self._add_worker())
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    async def _add_worker(self) -> None:
        try:
            worker = await self._start(self._forget)
        except Exception as error:  # whatever keeps a worker from starting is told to the calls that wait for one
            self._starting -= 1
            self._fail_waiting(error)
            return
        except BaseException:
            self._starting -= 1
            raise
        self._starting -= 1
        if self._is_closed:
            worker.kill()
            return
        self._desks.append(Desk(worker, self._clock.time()))
        while len(self._desks) + self._starting < self._least_workers:
            self._start_worker()
        self._assign()
        self._set_timer()

    def _fail_waiting(self, error: Exception) -> None:
        queue, self._queue = self._queue, OrderedDict()
        for turn in queue:
            if not turn.done():
                turn.set_exception(error)

    def _forget(self, worker: Worker) -> None:
        """A worker takes no more calls; the next that finds no place starts another."""
        self._desks = [desk for desk in self._desks if desk.worker is not worker]
        if self._queue and not self._is_closed:
            self._assign()

    def _set_timer(self) -> None:
        if self._timer is not None or self._is_closed or not self._desks:
            return
        idle = [desk for desk in self._desks if not desk.calls]
        if not idle:
            return
        now = self._clock.time()
        due = [self._last_used + self._idle_ttl] if len(idle) == len(self._desks) else []
        if len(self._desks) > self._least_workers:
            due.append(min(desk.idle_since for desk in idle) + self._scaledown_ttl)
        if due:
            self._timer = self._clock.call_later(max(min(due) - now, 0.0) + 0.001, self.retire_idle)
