"""Admission: never more than the machine has, first come first served, and never a deadlock."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.errors import ResourceExhaustedError
from flyte_nb.executors.limits.admission import Admission, Lease
from flyte_nb.executors.limits.machine import Machine
from flyte_nb.executors.placement import Needs

GIB = 1 << 30
MACHINE = Machine(cpus=2.0, memory_bytes=8 * GIB, gpus=("0", "1"))
CPU = Needs(cpu=1)


async def settle() -> None:
    """Lets every task run up to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def started(*coroutines: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Tasks for the coroutines, each run up to where it waits before the next starts."""
    tasks = []
    for coroutine in coroutines:
        tasks.append(asyncio.create_task(coroutine))
        await settle()
    return tasks


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels the tasks and waits for their end."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def is_free(admission: Admission) -> bool:
    """Whether nobody holds anything or waits for it."""
    machine = admission.machine
    return (
        admission._cpu_millis == round(machine.cpus * 1000)
        and admission._memory_bytes == machine.memory_bytes
        and admission._working_memory_bytes == admission._working_gpus == admission.waiting == 0
        and not any(admission._holders.values())
        and not admission._starting
        and not admission._returning
    )


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Needs(cpu=16), "env.train asks for 16 cpus, and this machine has 2: ask for at most cpu=2"),
        (Needs(cpu=2.5), "asks for 2.5 cpus, and this machine has 2:"),
        (Needs(memory_bytes=64 * GIB), 'asks for 64.0 GiB of memory, .* has 8.0 GiB: ask for at most memory="8192Mi"'),
        (Needs(gpus=4), "asks for 4 GPUs, and this machine has 2: ask for at most gpu=2"),
    ],
)
def test_what_is_larger_than_the_machine_is_refused_with_what_there_is(needs: Needs, message: str) -> None:
    with pytest.raises(ResourceExhaustedError, match=message) as raised:
        Admission(MACHINE).check(needs, "env.train")
    assert raised.value.code == "ResourceExhaustedError"
    assert pickle.loads(pickle.dumps(raised.value)).code == raised.value.code


def test_a_gpu_where_there_is_none_is_refused() -> None:
    with pytest.raises(ResourceExhaustedError, match="asks for 1 GPU, and this machine has none that this process"):
        Admission(Machine(2.0, GIB)).check(Needs(gpus=1), "env.train")


def test_all_that_the_machine_has_is_not_refused() -> None:
    Admission(MACHINE).check(Needs(cpu=2, memory_bytes=8 * GIB, gpus=2), "env.train")
    Admission(Machine(2.0, GIB)).check(Needs(), "env.train")


# ---------------------------------------------------------------- cpus


async def test_no_more_cpus_are_at_work_than_there_are() -> None:
    admission = Admission(MACHINE)
    first, _ = [await admission.enter(CPU) for _ in range(2)]
    (third,) = await started(admission.enter(CPU))
    assert not third.done()
    assert admission.waiting == 1
    first.release()
    assert (await third).state == "working"
    assert admission.waiting == 0


async def test_parts_of_a_cpu_add_up() -> None:
    admission = Admission(MACHINE)
    halves = [await admission.enter(Needs(cpu=0.5)) for _ in range(4)]
    tenth = (await started(admission.enter(Needs(cpu=0.1))))[0]
    assert not tenth.done()
    for half in halves:
        half.release()
    (await tenth).release()
    for _ in range(3):
        for lease in [await admission.enter(Needs(cpu=0.1)) for _ in range(20)]:
            lease.release()
    assert is_free(admission)


async def test_what_needs_nothing_never_waits() -> None:
    admission = Admission(Machine(1.0, GIB))
    await admission.enter(CPU)
    waiting = await started(admission.enter(CPU))
    lease = await admission.enter(Needs())
    lease.pause()
    await lease.resume()
    assert lease.state == "working"
    await cancel(waiting)


async def test_the_one_who_waits_is_told_so_and_nobody_else() -> None:
    admission, told = Admission(Machine(1.0, GIB)), list[str]()
    lease = await admission.enter(CPU, lambda: told.append("first"))
    second = await started(admission.enter(CPU, lambda: told.append("second")))
    assert told == ["second"]
    lease.release()
    await asyncio.gather(*second)


# ---------------------------------------------------------------- whose turn it is


async def test_those_who_wait_enter_in_the_order_in_which_they_came() -> None:
    admission, order = Admission(Machine(1.0, GIB)), list[int]()

    async def work(number: int) -> None:
        lease = await admission.enter(Needs(cpu=1 if number % 2 else 0.75))
        order.append(number)
        await settle()
        lease.release()

    await asyncio.gather(*[work(number) for number in range(8)])
    assert order == list(range(8))


async def test_a_large_one_is_not_starved_by_small_ones() -> None:
    admission = Admission(MACHINE)
    first, second = [await admission.enter(CPU) for _ in range(2)]
    large, small = await started(admission.enter(Needs(cpu=2)), admission.enter(CPU))
    first.release()
    await settle()
    assert not large.done()
    assert not small.done()
    second.release()
    (await large).release()
    (await small).release()
    assert is_free(admission)


async def test_one_that_waits_for_a_gpu_does_not_hold_up_those_who_need_none() -> None:
    admission = Admission(MACHINE)
    holder = await admission.enter(Needs(gpus=2))
    first, second = await started(admission.enter(Needs(cpu=1, gpus=1)), admission.enter(Needs(cpu=1)))
    assert not first.done()
    assert second.done()
    third = (await started(admission.enter(Needs(cpu=0.5))))[0]
    assert not third.done(), "the cpu is kept for the one that came first"
    holder.release()
    for task in (first, second, third):
        (await task).release()
    assert is_free(admission)


async def test_who_returns_goes_ahead_of_those_who_start() -> None:
    admission = Admission(Machine(1.0, GIB))
    parent = await admission.enter(CPU)
    parent.pause()
    child = await admission.enter(CPU)
    newcomer, returning = await started(admission.enter(CPU), parent.resume())
    child.release()
    await returning
    assert parent.state == "working"
    assert not newcomer.done()
    parent.release()
    (await newcomer).release()
    assert is_free(admission)


async def test_who_returns_may_need_more_than_is_free_and_nobody_slips_in_meanwhile() -> None:
    admission = Admission(MACHINE)
    parent = await admission.enter(Needs(cpu=2))
    parent.pause()
    children = [await admission.enter(CPU) for _ in range(2)]
    newcomer, returning = await started(admission.enter(CPU), parent.resume())
    children[0].release()
    await settle()
    assert not newcomer.done()
    assert not returning.done()
    children[1].release()
    await returning
    parent.release()
    (await newcomer).release()
    assert is_free(admission)


# ---------------------------------------------------------------- memory and GPUs


async def test_memory_stays_charged_while_its_holder_waits() -> None:
    admission = Admission(MACHINE)
    parent = await admission.enter(Needs(cpu=1, memory_bytes=6 * GIB))
    worker = await admission.enter(Needs(memory_bytes=GIB))
    parent.pause()
    (child,) = await started(admission.enter(Needs(cpu=1, memory_bytes=4 * GIB)))
    assert not child.done()
    worker.release()
    assert (await child).state == "working", "nobody at work will give any back"


async def test_devices_are_assigned_one_to_each() -> None:
    admission = Admission(MACHINE)
    one, two = [await admission.enter(Needs(gpus=1)) for _ in range(2)]
    assert {one.devices, two.devices} == {("0",), ("1",)}
    assert (await admission.enter(CPU)).devices == ()
    (both,) = await started(admission.enter(Needs(gpus=2)))
    one.release()
    await settle()
    assert not both.done()
    two.release()
    assert (await both).devices == ("0", "1")


async def test_a_device_is_shared_when_only_those_who_wait_for_children_hold_it() -> None:
    admission = Admission(MACHINE)
    parent = await admission.enter(Needs(gpus=1))
    other = await admission.enter(Needs(gpus=1))
    parent.pause()
    (child,) = await started(admission.enter(Needs(gpus=1)))
    assert not child.done(), "the other one will give its own back"
    other.pause()
    assert (await child).devices in {parent.devices, other.devices}
    for lease in (await child, parent, other):
        lease.release()
    assert is_free(admission)


@pytest.mark.parametrize(
    "needs",
    [CPU, Needs(cpu=2), Needs(cpu=1, memory_bytes=2 * GIB), Needs(memory_bytes=8 * GIB), Needs(cpu=1, gpus=1)],
    ids=str,
)
async def test_recursion_to_depth_50_finishes(needs: Needs) -> None:
    admission = Admission(MACHINE)

    async def recurse(depth: int) -> int:
        lease = await admission.enter(needs)
        try:
            if depth == 0:
                return 0
            lease.pause()
            below = await recurse(depth - 1)
            await lease.resume()
            return below + 1
        finally:
            lease.release()

    busy = asyncio.create_task(keep_busy(admission))
    assert await asyncio.gather(*[recurse(50) for _ in range(4)]) == [50] * 4
    await cancel([busy])
    assert is_free(admission)


async def keep_busy(admission: Admission) -> None:
    """There is always someone at work, who holds none of what the others lack."""
    while True:
        lease = await admission.enter(Needs(cpu=0.001))
        try:
            await asyncio.sleep(0)
        finally:
            lease.release()


# ---------------------------------------------------------------- giving up


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    admission = Admission(MACHINE)
    holder = await admission.enter(Needs(cpu=2))
    large, small = await started(admission.enter(Needs(cpu=2)), admission.enter(CPU))
    await cancel([large])
    holder.release()
    (await small).release()
    assert is_free(admission)


async def test_who_gives_up_waiting_lets_those_behind_pass_at_once() -> None:
    admission = Admission(MACHINE)
    await admission.enter(CPU)
    large, small = await started(admission.enter(Needs(cpu=2)), admission.enter(CPU))
    assert not small.done()
    await cancel([large])
    assert (await small).state == "working"


async def test_who_is_cancelled_in_the_moment_of_entering_passes_it_on() -> None:
    admission = Admission(Machine(1.0, GIB))
    holder = await admission.enter(CPU)
    unlucky, lucky = await started(admission.enter(CPU), admission.enter(CPU))
    holder.release()
    await cancel([unlucky])
    (await lucky).release()
    assert is_free(admission)


async def test_who_is_cancelled_while_it_returns_is_paused_as_before() -> None:
    admission = Admission(Machine(1.0, GIB))
    parent = await admission.enter(CPU)
    parent.pause()
    child = await admission.enter(CPU)
    (returning,) = await started(parent.resume())
    await cancel([returning])
    assert parent.state == "paused"
    child.release()
    (returning,) = await started(parent.resume())
    assert returning.done()
    parent.release()
    assert is_free(admission)


async def test_a_pause_takes_back_a_return_that_still_waits() -> None:
    admission = Admission(Machine(1.0, GIB))
    parent = await admission.enter(CPU)
    parent.pause()
    child = await admission.enter(CPU)
    (returning,) = await started(parent.resume())
    parent.pause()
    await returning
    child.release()
    assert parent.state == "paused"
    parent.release()
    assert is_free(admission)


@pytest.mark.parametrize("state", ["working", "paused", "returning"])
async def test_a_lease_is_released_once_in_whichever_state(state: str) -> None:
    admission = Admission(Machine(1.0, GIB, ("0",)))
    lease = await admission.enter(Needs(cpu=1, memory_bytes=GIB, gpus=1))
    returning: list[asyncio.Task[Any]] = []
    if state != "working":
        lease.pause()
    other = await admission.enter(CPU) if state == "returning" else None
    if other is not None:
        returning = await started(lease.resume())
    assert lease.state == state
    lease.release()
    lease.release()
    lease.pause()
    await lease.resume()
    await asyncio.gather(*returning)
    assert lease.state == "released"
    if other is not None:
        other.release()
    assert is_free(admission)


# ---------------------------------------------------------------- whatever happens

needs_of_some_kind = st.builds(
    Needs,
    cpu=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    memory_bytes=st.sampled_from([None, GIB, 5 * GIB]),
    gpus=st.sampled_from([0, 0, 1, 2]),
)
moves = st.lists(
    st.tuples(
        st.sampled_from(["enter", "pause", "resume", "release", "cancel"]), needs_of_some_kind, st.integers(0, 9)
    ),
    max_size=40,
)


def check_books(admission: Admission, leases: list[Lease]) -> None:
    """The books agree with the leases, and no cpu is at work twice."""
    working = [lease for lease in leases if lease.state == "working"]
    assert sum(lease.needs.cpu for lease in working) <= admission.machine.cpus
    assert admission._cpu_millis == 1000 * (admission.machine.cpus - sum(lease.needs.cpu for lease in working))
    held = [lease for lease in leases if lease.state != "released"]
    assert admission._memory_bytes == admission.machine.memory_bytes - sum(lease.memory_bytes for lease in held)
    for lease in held:
        assert len(set(lease.devices)) == lease.needs.gpus
    assert all(lease.state != "returning" or lease.needs.cpu > 0 for lease in leases)


@given(moves=moves)
def test_whatever_happens_the_books_agree_and_everybody_is_served(moves: list[tuple[str, Needs, int]]) -> None:
    async def play() -> None:
        admission = Admission(MACHINE)
        entering: list[asyncio.Task[Lease]] = []
        leases: list[Lease] = []
        resuming: list[asyncio.Task[None]] = []
        for move, needs, which in moves:
            if move == "enter":
                entering.append(asyncio.create_task(admission.enter(needs)))
            elif move == "cancel":
                cancellable: list[asyncio.Task[Any]] = [*entering, *resuming]
                if cancellable:
                    cancellable[which % len(cancellable)].cancel()
            elif leases:
                lease = leases[which % len(leases)]
                if move == "resume":
                    resuming.append(asyncio.create_task(lease.resume()))
                else:
                    getattr(lease, move)()
            await settle()
            leases += [task.result() for task in entering if task.done() and not task.cancelled()]
            entering = [task for task in entering if not task.done()]
            assert admission.waiting == len(entering)
            check_books(admission, leases)
        while entering or any(lease.state != "released" for lease in leases):
            at_work = [lease for lease in leases if lease.state == "working"]
            held = [lease for lease in leases if lease.state != "released"]
            assert held, "somebody waits although nobody holds anything"
            for lease in at_work or held:
                lease.release()
            await settle()
            leases += [task.result() for task in entering if task.done() and not task.cancelled()]
            entering = [task for task in entering if not task.done()]
            check_books(admission, leases)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*resuming, return_exceptions=True)
        assert is_free(admission)

    asyncio.run(play())


@st.composite
def trees_of_calls(draw: st.DrawFn) -> tuple[Any, ...]:
    """(needs, children, whether they are called one after the other), three levels deep."""
    calls: st.SearchStrategy[Any] = st.tuples(needs_of_some_kind, st.just(()), st.booleans())
    for _ in range(3):
        calls = st.tuples(needs_of_some_kind, st.lists(calls, max_size=3), st.booleans())
    return draw(calls)


@given(trees=st.lists(trees_of_calls(), min_size=1, max_size=3), cancel_after=st.one_of(st.none(), st.integers(0, 30)))
def test_every_tree_of_calls_finishes_and_a_cancelled_one_leaves_nothing(
    trees: list[tuple[Any, ...]], cancel_after: int | None
) -> None:
    async def run(admission: Admission, call: tuple[Any, ...]) -> None:
        needs, children, one_by_one = call
        lease = await admission.enter(needs)
        try:
            await asyncio.sleep(0)
            if children:
                lease.pause()
                if one_by_one:
                    for child in children:
                        await run(admission, child)
                else:
                    await asyncio.gather(*[run(admission, child) for child in children])
                await lease.resume()
                assert lease.state == "working"
        finally:
            lease.release()

    async def play() -> None:
        admission = Admission(MACHINE)
        tasks = [asyncio.create_task(run(admission, tree)) for tree in trees]
        if cancel_after is not None:
            for _ in range(cancel_after):
                await asyncio.sleep(0)
            await cancel(tasks[:1])
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks[1:] if cancel_after is not None else tasks)
        await settle()
        assert is_free(admission)

    asyncio.run(play())
