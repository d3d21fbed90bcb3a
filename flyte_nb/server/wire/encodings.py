"""How messages are written: as protobuf or JSON, packed or not. What is neither is refused in one line."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from connectrpc.code import Code
from connectrpc.codec import Codec, proto_binary_codec, proto_json_codec
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.server import ConnectASGIApplication
from google.protobuf.message import Message

from flyte_nb.server.wire.access import LARGEST_MESSAGE_BYTES, too_large

__all__ = ["BoundedGzip", "checked"]

FAST = 1
"""gzip's level: most clients are near."""


class CheckedCodec(Codec[Message, Any]):
    """A codec of connectrpc's that answers bytes which are no message as the client's mistake.

    Args:
        codec: reads and writes messages.
    """

    def __init__(self, codec: Codec[Message, Any]) -> None:
        self._codec = codec

    def name(self) -> str:
        return self._codec.name()

    def encode(self, message: Message) -> bytes:
        return self._codec.encode(message)

    def decode(self, data: bytes | bytearray, message: Any) -> Any:
        """The message.

        Raises:
            ConnectError: it is none.
        """
        try:
            return self._codec.decode(data, message)
        # Of made-up bytes: DecodeError, ParseError, UnicodeDecodeError, RecursionError, TypeError ... each the client's
        # fault, which it is told; nothing is swallowed.
        except Exception as error:
            kind = message.DESCRIPTOR.name
            raise ConnectError(Code.INVALID_ARGUMENT, f"The message is no {kind} in {self.name()}: {error}") from error


class BoundedGzip(GzipCompression):
    """gzip that unpacks no more than a message may hold."""

    def __init__(self) -> None:
        super().__init__(level=FAST)

    def decompress(self, data: bytes | bytearray | memoryview) -> bytes:
        """The unpacked message.

        Raises:
            ConnectError: it is too large, or no gzip.
        """
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            unpacked = unpacker.decompress(data, LARGEST_MESSAGE_BYTES + 1)
        except zlib.error as error:
            raise ConnectError(Code.INVALID_ARGUMENT, f"The message says it is gzip, and is none: {error}") from error
        if len(unpacked) > LARGEST_MESSAGE_BYTES:
            raise too_large()
        if not unpacker.eof:
            raise ConnectError(Code.INVALID_ARGUMENT, "The message ends before its gzip does")
        return unpacked


class Checked(ConnectASGIApplication[Any]):
    """An application that says what is wrong with a message; those that are generated take no codecs themselves."""

    def __init__(self, **options: Any) -> None:
        super().__init__(codecs=[CheckedCodec(proto_binary_codec()), CheckedCodec(proto_json_codec())], **options)


def checked(kind: type[ConnectASGIApplication[Any]]) -> Callable[..., ConnectASGIApplication[Any]]:
    """A generated application that reads messages with care."""
    return type(kind.__name__, (kind, Checked), {})
