"""Messages on the wire come out as they went in, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.executors import frames
from flyte_nb.executors.frames import Done, FrameReader, Withdraw, encode_frame, read_from_worker

MESSAGES = st.lists(
    st.builds(Done, st.integers(0, 2**31), st.none() | st.binary(max_size=300), note=st.text(max_size=20))
    | st.builds(Withdraw, st.integers(0, 2**31))
)


@given(messages=MESSAGES, cuts=st.lists(st.integers(1, 50), min_size=1))
def test_messages_are_read_as_they_were_sent_however_they_arrive(messages: list[Done], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, messages))
    reader = FrameReader()
    read: list[object] = []
    turn = 0
    while stream:
        part, stream = stream[: cuts[turn % len(cuts)]], stream[cuts[turn % len(cuts)] :]
        turn += 1
        reader.room[: len(part)] = part
        read += map(read_from_worker, reader.feed(len(part)))
    assert read == messages


def test_a_message_is_read_once_it_is_whole() -> None:
    frame = encode_frame(Withdraw(7))
    reader = FrameReader()
    reader.room[: len(frame) - 1] = frame[:-1]
    assert list(reader.feed(len(frame) - 1)) == []
    reader.room[:1] = frame[-1:]
    assert [read_from_worker(message) for message in reader.feed(1)] == [Withdraw(7)]


def test_a_message_that_the_length_cannot_tell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LIMIT_BYTES", 100)
    with pytest.raises(ValueError, match=r"a message of 1,0\d\d bytes cannot be sent"):
        encode_frame(Done(1, b"x" * 1000))
