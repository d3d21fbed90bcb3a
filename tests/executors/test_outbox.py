"""What is written in one turn of a loop leaves together, and nothing overtakes."""

from __future__ import annotations

import asyncio
import threading

from flyte_nb.executors.outbox import Outbox


class Wire(list[bytes]):
    """What was written, one item a write."""


def outbox(wire: Wire) -> Outbox:
    return Outbox(asyncio.get_running_loop(), wire.append)


async def test_a_lone_frame_does_not_wait() -> None:
    wire = Wire()
    assert not outbox(wire).post(b"a")
    assert wire == [b"a"]


async def test_the_other_frames_of_a_turn_leave_together_when_it_is_over() -> None:
    wire = Wire()
    box = outbox(wire)
    assert [box.post(frame) for frame in (b"a", b"b", b"c")] == [False, True, True]
    assert wire == [b"a"]
    await asyncio.sleep(0)
    assert wire == [b"a", b"bc"]


async def test_each_turn_begins_anew() -> None:
    wire = Wire()
    box = outbox(wire)
    for frame in (b"a", b"b", b"c"):
        box.post(frame)
        await asyncio.sleep(0)
    assert wire == [b"a", b"b", b"c"]


async def test_a_frame_that_is_sent_leaves_now_behind_those_that_wait() -> None:
    wire = Wire()
    box = outbox(wire)
    box.post(b"a")
    box.post(b"b")
    box.send(b"c")
    assert wire == [b"a", b"bc"]
    box.post(b"d")
    await asyncio.sleep(0)
    assert wire == [b"a", b"bc", b"d"]


async def test_another_thread_may_send_what_waits_while_the_turn_does_not_end() -> None:
    wire = Wire()
    box = outbox(wire)
    box.post(b"a")
    box.post(b"b")
    thread = threading.Thread(target=box.flush)
    thread.start()
    thread.join()
    assert wire == [b"a", b"b"]
