"""Frames: what was whole is found again, whatever happened around it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.store.frames import PAYLOADS_PER_FRAME, frames_in, pack_frames, read_frames

payload_lists = st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=4), min_size=1, max_size=5)


def read(data: bytes) -> tuple[list[list[bytes]], list[tuple[int, int]]]:
    damage: list[tuple[int, int]] = []
    return [payloads for payloads, _ in frames_in(data, lambda start, end: damage.append((start, end)))], damage


@given(st.lists(st.binary(max_size=200), max_size=3 * PAYLOADS_PER_FRAME))
def test_payloads_come_back_in_order(payloads: list[bytes]) -> None:
    frames, damage = read(pack_frames(payloads))
    assert [payload for frame in frames for payload in frame] == payloads
    assert damage == []


@given(payload_lists)
def test_a_torn_tail_ends_at_the_last_whole_frame(lists: list[list[bytes]]) -> None:
    frames = [pack_frames(payloads) for payloads in lists]
    data = b"".join(frames)
    ends = [sum(map(len, frames[: k + 1])) for k in range(len(frames))]
    for length in range(len(data) + 1):
        whole = sum(end <= length for end in ends)
        assert read(data[:length]) == (lists[:whole], [])


@given(payload_lists, st.data())
def test_a_flipped_byte_loses_its_frame_and_no_other(lists: list[list[bytes]], draw: st.DataObject) -> None:
    frames = [pack_frames(payloads) for payloads in lists]
    data = bytearray(b"".join(frames))
    place = draw.draw(st.integers(0, len(data) - 1))
    data[place] ^= draw.draw(st.integers(1, 255))
    hit = next(k for k in range(len(frames)) if place < sum(map(len, frames[: k + 1])))
    read_frames_, damage = read(bytes(data))
    assert read_frames_ == lists[:hit] + lists[hit + 1 :]
    start = sum(map(len, frames[:hit]))
    assert damage == ([] if hit == len(frames) - 1 else [(start, start + len(frames[hit]))])


@given(st.binary(max_size=300))
def test_garbage_holds_no_frames(data: bytes) -> None:
    assert read(bytes(len(data))) == ([], [])
    assert read(data) == ([], [])


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(pack_frames([b"one"]) + pack_frames([b"two"]))
    (_, end), _ = read_frames(path)
    assert list(read_frames(path, end)) == [([b"two"], path.stat().st_size)]
