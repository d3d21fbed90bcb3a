"""Admission: which attempts may hold what the machine has, so that they never ask for more than there is.

    enter(needs)  ->  Lease     waits for room
        working                 holds cpus, memory and GPUs
        paused                  its code waits for children: the cpus are free for others, memory and GPUs stay charged
        returning               the children are done: goes on as soon as there are cpus, ahead of those that start

First come, first served: an attempt may overtake another only with what that other one cannot use. It never
deadlocks: where only paused attempts hold the memory or the GPUs that the next in line lacks, they may be waiting for
it, so it is let in all the same. Memory is then promised twice, and GPUs are shared.

Lives on the engine loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import count
from typing import Literal

from flyte_nb.errors import ResourceExhaustedError
from flyte_nb.executors.limits.machine import Machine
from flyte_nb.executors.placement import Needs

__all__ = ["Admission", "Lease"]

State = Literal["waiting", "working", "paused", "returning", "released"]

GIB = 1 << 30


class Lease:
    """What one attempt holds of the machine, or waits for; `flyte_nb.executors.base.Seat` is its running side."""

    __slots__ = ("_admission", "_admitted", "cpu_millis", "devices", "memory_bytes", "needs", "number", "state")

    def __init__(self, admission: Admission, needs: Needs, number: int) -> None:
        self._admission = admission
        self._admitted: asyncio.Event | None = None
        self.needs = needs
        self.number = number
        """Who came first has the lower one."""
        self.cpu_millis = round(needs.cpu * 1000)
        self.memory_bytes = needs.memory_bytes or 0
        self.devices: tuple[str, ...] = ()
        """The GPUs that it holds."""
        self.state: State = "waiting"

    def pause(self) -> None:
        """Its code waits: the cpus are free until `resume`. Also takes back a `resume` that still waits."""
        self._admission._pause(self)

    async def resume(self) -> None:
        """Its code goes on: waits for the cpus, ahead of attempts that have not started.

        Cancelled, it is paused as before. It also returns when the lease is paused anew or released meanwhile.
        """
        self._admission._resume(self)
        if self.state == "returning":
            try:
                await self._turn().wait()
            except asyncio.CancelledError:
                self.pause()
                raise

    def resume_at_once(self) -> None:
        """`resume`, for a lease that holds no cpus and so never waits."""
        self._admission._resume(self)

    def release(self) -> None:
        """Gives everything back, in whichever state; once is enough."""
        self._admission._release(self)

    def _turn(self) -> asyncio.Event:
        if self._admitted is None:
            self._admitted = asyncio.Event()
        return self._admitted

    def _move(self, state: State) -> None:
        """Changes the state; whoever waited for that goes on."""
        self.state = state
        if self._admitted is not None:
            self._admitted.set()
            self._admitted = None


class Admission:
    """Leases of one machine.

    Args:
        machine: what there is to hold.

    Attributes:
        waiting: how many attempts have not been let in.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.waiting = 0
        self._numbers = count()
        self._starting: dict[Needs, OrderedDict[Lease, None]] = {}
        """A line for each kind of needs: when its first does not fit, nobody in it does."""
        self._returning: deque[Lease] = deque()
        self._cpu_millis = round(machine.cpus * 1000)
        """Free; so are the bytes."""
        self._memory_bytes = machine.memory_bytes
        self._working_memory_bytes = 0
        """Held by leases at work, and so are the GPUs: sooner or later these are given back."""
        self._working_gpus = 0
        self._holders = dict.fromkeys(machine.gpus, 0)
        """By GPU: how many leases have it."""

    def check(self, needs: Needs, who: str) -> None:
        """Refuses what could never be let in.

        Args:
            who: the task that asks, for the message.

        Raises:
            flyte_nb.errors.ResourceExhaustedError: the machine has not got that much.
        """
        machine = self.machine
        if needs.gpus > len(machine.gpus) == 0:
            raise _too_large(who, _amount(needs.gpus, "GPU"), "none that this process can see", "do not ask for gpu=")
        if needs.gpus > len(machine.gpus):
            there = f"{len(machine.gpus)}"
            raise _too_large(who, _amount(needs.gpus, "GPU"), there, f"ask for at most gpu={there}")
        if needs.cpu > machine.cpus:
            there = f"{machine.cpus:g}"
            raise _too_large(who, _amount(needs.cpu, "cpu"), there, f"ask for at most cpu={there}")
        if (asked := needs.memory_bytes or 0) > machine.memory_bytes:
            largest = f'ask for at most memory="{machine.memory_bytes >> 20}Mi"'
            raise _too_large(who, f"{_gib(asked)} of memory", _gib(machine.memory_bytes), largest)

    async def enter(self, needs: Needs, waits: Callable[[], None] | None = None) -> Lease:
        """Waits until the machine has room for the needs, which `check` has let pass; cancellable at any point.

        Args:
            waits: called when there is any wait.
        """
        lease = Lease(self, needs, next(self._numbers))
        self._starting.setdefault(needs, OrderedDict())[lease] = None
        self.waiting += 1
        self._let_in()
        if lease.state == "waiting":
            try:
                if waits is not None:
                    waits()
                await lease._turn().wait()
            except BaseException:  # cancelled, or `waits` failed: raised again, once the place in line is given up
                lease.release()
                raise
        return lease

    # ---------------------------------------------------------------- what a lease asks for

    def _pause(self, lease: Lease) -> None:
        if lease.state == "returning":
            self._returning.remove(lease)
        elif lease.state == "working":
            self._stop_work(lease)
        else:
            return
        lease._move("paused")
        self._let_in()

    def _resume(self, lease: Lease) -> None:
        if lease.state == "paused":
            if lease.cpu_millis == 0:
                self._start_work(lease)
                return
            lease._move("returning")
            self._returning.append(lease)
            self._let_in()

    def _release(self, lease: Lease) -> None:
        state = lease.state
        if state == "released":
            return
        if state == "waiting":
            self._leave_line(lease)
        else:
            if state == "working":
                self._stop_work(lease)
            elif state == "returning":
                self._returning.remove(lease)
            self._memory_bytes += lease.memory_bytes
            for device in lease.devices:
                self._holders[device] -= 1
        lease._move("released")
        self._let_in()

    # ---------------------------------------------------------------- who is next

    def _let_in(self) -> None:
        """Lets in whoever fits now: first those who return, then those who start, in the order in which they came."""
        returning = self._returning
        while returning and returning[0].cpu_millis <= self._cpu_millis:
            self._start_work(returning.popleft())
        while self._starting and self._let_one_in():
            continue

    def _let_one_in(self) -> bool:
        """Lets the first in that fits into what those before it leave; returns whether there was one."""
        cpu_millis = self._cpu_millis - sum(lease.cpu_millis for lease in self._returning)
        memory_bytes, gpus = self._memory_bytes, self._free_gpus()
        memory_is_stuck, gpus_are_stuck = self._working_memory_bytes == 0, self._working_gpus == 0
        for lease in sorted((next(iter(line)) for line in self._starting.values()), key=_number):
            if (
                lease.cpu_millis <= max(cpu_millis, 0)
                and (lease.memory_bytes <= max(memory_bytes, 0) or memory_is_stuck)
                and (lease.needs.gpus <= max(gpus, 0) or gpus_are_stuck)
            ):
                self._leave_line(lease)
                self._take(lease)
                return True
            cpu_millis -= lease.cpu_millis
            memory_bytes -= lease.memory_bytes
            gpus -= lease.needs.gpus
            memory_is_stuck = memory_is_stuck and not lease.memory_bytes
            gpus_are_stuck = gpus_are_stuck and not lease.needs.gpus
        return False

    def _leave_line(self, lease: Lease) -> None:
        line = self._starting[lease.needs]
        del line[lease]
        if not line:
            del self._starting[lease.needs]
        self.waiting -= 1

    # ---------------------------------------------------------------- the books

    def _take(self, lease: Lease) -> None:
        self._memory_bytes -= lease.memory_bytes
        if lease.needs.gpus:
            least_held = sorted(self._holders, key=self._holders.__getitem__)
            lease.devices = tuple(least_held[: lease.needs.gpus])
            for device in lease.devices:
                self._holders[device] += 1
        self._start_work(lease)

    def _start_work(self, lease: Lease) -> None:
        self._cpu_millis -= lease.cpu_millis
        self._working_memory_bytes += lease.memory_bytes
        self._working_gpus += len(lease.devices)
        lease._move("working")

    def _stop_work(self, lease: Lease) -> None:
        self._cpu_millis += lease.cpu_millis
        self._working_memory_bytes -= lease.memory_bytes
        self._working_gpus -= len(lease.devices)

    def _free_gpus(self) -> int:
        return sum(not holders for holders in self._holders.values())


def _number(lease: Lease) -> int:
    return lease.number


def _amount(number: float, thing: str) -> str:
    return f"{number:g} {thing}{'' if number == 1 else 's'}"


def _gib(amount_bytes: int) -> str:
    return f"{amount_bytes / GIB:,.1f} GiB"


def _too_large(who: str, asked: str, there: str, largest: str) -> ResourceExhaustedError:
    error = ResourceExhaustedError(
        f"{who} asks for {asked}, and this machine has {there}: {largest}, or run it where there is more"
    )
    error.code = type(error).__name__  # the record of a run names it; Flyte's own code is that of a server under load
    return error
