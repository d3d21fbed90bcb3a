"""Places for actions: no more than allowed, first come first served, and never a deadlock."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.engine.places import Places


async def settle() -> None:
    """Lets every task run up to where it waits."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_free_place_is_taken_without_waiting() -> None:
    places = Places(2)
    assert await places.enter() is False
    assert await places.enter() is False


async def test_no_more_enter_than_there_are_places() -> None:
    places = Places(2)
    entering = [asyncio.create_task(places.enter()) for _ in range(3)]
    await settle()
    assert [task.done() for task in entering] == [True, True, False]
    places.leave()
    assert await entering[2] is True


async def test_those_who_wait_enter_in_the_order_in_which_they_came() -> None:
    places, order = Places(1), list[int]()

    async def enter(number: int) -> None:
        await places.enter()
        order.append(number)

    await places.enter()
    tasks = [asyncio.create_task(enter(number)) for number in range(5)]
    for _ in tasks:
        await settle()
        places.leave()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_who_was_at_work_before_goes_ahead_of_those_who_start() -> None:
    places, order = Places(1), list[str]()

    async def enter(name: str, returning: bool) -> None:
        await places.enter(returning=returning)
        order.append(name)
        places.leave()

    await places.enter()
    tasks = [asyncio.create_task(enter("new", False)), asyncio.create_task(enter("returning", True))]
    await settle()
    places.leave()
    await asyncio.gather(*tasks)
    assert order == ["returning", "new"]


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    places = Places(1)
    await places.enter()
    first = asyncio.create_task(places.enter())
    await settle()
    places.leave()
    newcomer = asyncio.create_task(places.enter())
    await settle()
    assert first.done()
    assert not newcomer.done()
    newcomer.cancel()


async def test_who_gives_up_waiting_takes_no_place() -> None:
    places = Places(1)
    await places.enter()
    gives_up, waits = asyncio.create_task(places.enter()), asyncio.create_task(places.enter())
    await settle()
    gives_up.cancel()
    places.leave()
    assert await waits is True
    with pytest.raises(asyncio.CancelledError):
        await gives_up


async def test_who_is_cancelled_in_the_moment_of_entering_passes_the_place_on() -> None:
    places = Places(1)
    await places.enter()
    unlucky, next_one = asyncio.create_task(places.enter()), asyncio.create_task(places.enter())
    await settle()
    places.leave()
    unlucky.cancel()
    with pytest.raises(asyncio.CancelledError):
        await unlucky
    assert await next_one is True


@given(limit=st.integers(1, 4), moves=st.lists(st.tuples(st.sampled_from(["enter", "leave", "cancel"]), st.booleans())))
def test_whatever_happens_a_place_is_neither_lost_nor_given_twice(limit: int, moves: list[tuple[str, bool]]) -> None:
    async def play() -> None:
        places = Places(limit)
        inside = 0
        waiting: list[asyncio.Task[bool]] = []
        for move, returning in moves:
            if move == "enter":
                waiting.append(asyncio.create_task(places.enter(returning)))
            elif move == "leave" and inside:
                places.leave()
                inside -= 1
            elif waiting:
                waiting.pop(0).cancel()
            await settle()
            entered = [task for task in waiting if task.done()]
            waiting = [task for task in waiting if not task.done()]
            inside += len(entered)
            assert inside <= limit
            assert inside == limit or not waiting
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(play())
