"""How a journal stands in its file: frames, found again whatever happened to the bytes around them.

    mark (4 bytes) | length of the body (4) | crc32 of length and body (4) | body          little endian

The body is a msgpack list of payloads (bytes): what one flush wrote, at most `PAYLOADS_PER_FRAME` of them. The mark
lets a reader find the next frame behind a damaged one. A reader never returns a frame that is not whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

__all__ = ["PAYLOADS_PER_FRAME", "frames_in", "pack_frames", "read_frames"]

PAYLOADS_PER_FRAME = 128
MARK = b"\xfbRJ\x9e"
OnDamage = Callable[[int, int], None]
HEADER = struct.Struct("<4sII")

encode_body = msgspec.msgpack.Encoder().encode
decode_body = msgspec.msgpack.Decoder(list[bytes]).decode


def pack_frames(payloads: Sequence[bytes]) -> bytes:
    """The payloads, in order, as frames."""
    packed: list[bytes] = []
    for start in range(0, len(payloads), PAYLOADS_PER_FRAME):
        body = encode_body(payloads[start : start + PAYLOADS_PER_FRAME])
        packed.append(HEADER.pack(MARK, len(body), crc32(body, len(body))))
        packed.append(body)
    return b"".join(packed)


def read_frames(path: Path, offset: int = 0, on_damage: OnDamage | None = None) -> Iterator[tuple[list[bytes], int]]:
    """The whole frames of a file from an offset on, which must be a frame's start; see `frames_in`.

    Args:
        path: the file.
        offset: where to start, in bytes.
        on_damage: called with the start and end offset of each damaged stretch.

    Yields:
        Each frame's payloads with the offset behind it.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    for payloads, end in frames_in(data, on_damage and (lambda start, end: on_damage(offset + start, offset + end))):
        yield payloads, offset + end


def frames_in(data: bytes, on_damage: OnDamage | None = None) -> Iterator[tuple[list[bytes], int]]:
    """The whole frames of the data. What follows the last is being written, or was torn when its writer died.

    Damage that is followed by a whole frame is skipped and reported.
    """
    view, start = memoryview(data), 0
    while True:
        end = frame_end(view, start)
        if end is not None:
            yield decode_body(view[start + HEADER.size : end]), end
            start = end
            continue
        following = next_frame(data, start + 1)
        if following is None:
            return
        if on_damage is not None:
            on_damage(start, following)
        start = following


def frame_end(data: memoryview, start: int) -> int | None:
    """Where the frame that starts there ends; None when there is no whole one."""
    body = start + HEADER.size
    if body > len(data):
        return None
    mark, size, checksum = HEADER.unpack_from(data, start)
    end: int = body + size
    if mark != MARK or end > len(data) or crc32(data[body:end], size) != checksum:
        return None
    return end


def next_frame(data: bytes, start: int) -> int | None:
    """Where the next whole frame starts; None when there is none."""
    view = memoryview(data)
    while (start := data.find(MARK, start)) >= 0:
        if frame_end(view, start) is not None:
            return start
        start += 1
    return None
