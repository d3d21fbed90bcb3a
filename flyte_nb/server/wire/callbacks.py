"""Answers to conditions, posted to the address that a condition's webhook was told: one condition, one answer.

The body is the answer as JSON (`true`, `3`, `"text"`), or `{"value": answer}`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from flyte_nb.authoring.condition import Answer
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.remote.aborting import signal_elsewhere
from flyte_nb.server.wire.files import TEXT_HEADERS, body_of, reply
from flyte_nb.server.wire.records import Records
from flyte_nb.store.callbacks import opened_callback

__all__ = ["Callbacks"]

Message = MutableMapping[str, Any]
LARGEST_ANSWER_BYTES = 1_000_000


class Callbacks:
    """Answers calls of the addresses of conditions.

    Args:
        records: the store.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def answer(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answers one call."""
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        if scope["method"] != "POST":  # a preview of the address, or a browser, answers nothing
            await reply(send, HTTPStatus.METHOD_NOT_ALLOWED, TEXT_HEADERS, b"Post the answer here, as JSON")
            return
        try:
            run, action = opened_callback(self._records.home, path, query)
            given = answer_in(await whole(receive))
            await asyncio.to_thread(signal_elsewhere, self._records.store, run, action, given)
        except ConnectionError:
            return  # nobody is there to be told
        except tuple(STATUS) as error:
            status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
            await reply(send, status, TEXT_HEADERS, f"{error.args[0]}".encode())
        else:
            await reply(send, HTTPStatus.OK, TEXT_HEADERS, b"The condition is answered")


STATUS: dict[type[Exception], HTTPStatus] = {
    ConditionNotFoundError: HTTPStatus.CONFLICT,
    KeyError: HTTPStatus.NOT_FOUND,
    PermissionError: HTTPStatus.FORBIDDEN,
    TimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
    ValueError: HTTPStatus.BAD_REQUEST,
}


def answer_in(body: bytes) -> Answer:
    """The answer that a body holds.

    Raises:
        ValueError: it holds none.
    """
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if isinstance(given, dict):
        given = given.get("value")
    if not isinstance(given, Answer):
        raise ValueError('The body is no answer: post it as JSON, true or {"value": true}')
    return given


async def whole(receive: Callable[[], Awaitable[Message]]) -> bytes:
    """What a client sends.

    Raises:
        ConnectionError: it went away before the end.
        ValueError: it is too much.
    """
    body = b""
    async for part in body_of(receive):
        body += part
        if len(body) > LARGEST_ANSWER_BYTES:
            raise ValueError(f"An answer holds at most {LARGEST_ANSWER_BYTES:,} bytes")
    return body
