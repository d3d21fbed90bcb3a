"""What is behind signed addresses: reports and code that are fetched, files that are put."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from flyte_nb.server.wire.links import Links
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.uploads import Uploads

__all__ = ["Files"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
REPORT_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"sandbox allow-scripts"),  # a task's own HTML: nothing of this server's is its
    (b"x-content-type-options", b"nosniff"),
]
FILE_HEADERS = [(b"content-type", b"application/octet-stream"), (b"x-content-type-options", b"nosniff")]
PART_BYTES = 1 << 20
TEXT_HEADERS = [(b"content-type", b"text/plain; charset=utf-8")]


class Files:
    """Answers calls of signed addresses.

    Args:
        records: the store.
        links: that made them.
        uploads: where files go.
    """

    def __init__(self, records: Records, links: Links, uploads: Uploads) -> None:
        self._records = records
        self._links = links
        self._uploads = uploads

    async def answer(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one call.

        Raises:
            PermissionError: the address was not made by this server, or not for this.
        """
        path = scope["raw_path"].decode("latin-1")
        kind, *rest = self._links.opened(scope["method"], path, scope["query_string"].decode("latin-1"))
        if kind == "report":
            report = await self._records.ask(self._records.store.report, *rest)
            if report is None:
                await reply(send, HTTPStatus.NOT_FOUND, TEXT_HEADERS, b"The report is gone")
            else:
                await reply(send, HTTPStatus.OK, REPORT_HEADERS, report.encode("utf-8", "replace"))
            return
        if kind == "code":
            await self._send(send, rest[0])
            return
        most_bytes, md5, name = rest
        try:
            await self._uploads.receive(name, body_of(receive), int(most_bytes), md5)
        except ValueError as error:
            await reply(send, HTTPStatus.BAD_REQUEST, TEXT_HEADERS, str(error).encode())
        except ConnectionError:
            return  # nobody is there to be told
        else:
            await reply(send, HTTPStatus.OK, TEXT_HEADERS, b"")

    async def _send(self, send: Send, name: str) -> None:
        """A file, part by part."""
        try:
            file = self._uploads.path(name).open("rb")
        except FileNotFoundError:
            await reply(send, HTTPStatus.NOT_FOUND, TEXT_HEADERS, b"The file is gone")
            return
        with file:
            length = str(os.fstat(file.fileno()).st_size).encode()
            headers = [*FILE_HEADERS, (b"content-length", length)]
            await send({"type": "http.response.start", "status": int(HTTPStatus.OK), "headers": headers})
            while part := await self._records.ask(file.read, PART_BYTES):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def body_of(receive: Receive) -> AsyncIterator[bytes]:
    """What a client sends.

    Raises:
        ConnectionError: it went away before the end.
    """
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def reply(send: Send, status: HTTPStatus, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
