"""What the kernel and the process of the official SDK say to each other: length-prefixed msgpack, one frame a message.

    kernel  --Call(number, name, arguments)-->  SDK process
    kernel  <--Answer(number, value | failure)--

Answers come in any order. Code and values that only Python can say cross as pickles, in `bytes` arguments.
"""

from __future__ import annotations

from typing import IO, Any

import msgspec

__all__ = ["Answer", "Call", "Failure", "read_frame", "write_frame"]

LENGTH_BYTES = 4


class Call(msgspec.Struct, array_like=True, frozen=True):
    """What the kernel asks."""

    number: int
    name: str
    arguments: dict[str, Any]


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """Why there is no answer.

    Attributes:
        code: Connect's code for an error of the backend (`not_found`, `unauthenticated`, `unavailable` ...), else the
            name of the error's class.
        message: the error's own words.
        traceback: where in the SDK it was raised.
    """

    code: str
    message: str
    traceback: str = ""


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """What the SDK process answers."""

    number: int
    value: Any = None
    failure: Failure | None = None


def write_frame(stream: IO[bytes], message: Call | Answer) -> None:
    """Writes a message; the caller lets one thread write at a time."""
    content = msgspec.msgpack.encode(message)
    stream.write(len(content).to_bytes(LENGTH_BYTES, "big") + content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next message, still encoded; None where the stream ends."""
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size_bytes = int.from_bytes(head, "big")
    content = stream.read(size_bytes)
    return content if len(content) == size_bytes else None
