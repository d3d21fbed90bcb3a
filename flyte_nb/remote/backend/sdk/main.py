"""The process of the official SDK: answers the kernel's calls until its standard input ends.

    python -m flyte_nb.remote.backend.sdk.main

Only the modules of this folder import `flyte`.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import flyte
import flyte.errors
import msgspec
from connectrpc.errors import ConnectError

from flyte_nb.remote.backend.messages import Answer, Call, Failure, read_frame, write_frame
from flyte_nb.remote.backend.neutral import rebuilt
from flyte_nb.remote.backend.sdk import (
    conditions,
    deployed,
    following,
    launching,
    publishing,
    reading,
    secrets,
    triggers,
)

__all__ = ["main"]

THREADS = 32
"""So many calls are answered at once; most of them wait for the backend."""


def connect(how: str, settings: bytes) -> None:
    """Connects the SDK; no request goes out yet."""
    getattr(flyte, how)(**rebuilt(settings))


CALLS: dict[str, Callable[..., Any]] = {
    "connect": connect,
    **conditions.CALLS,
    **deployed.CALLS,
    **following.CALLS,
    **launching.CALLS,
    **publishing.CALLS,
    **reading.CALLS,
    **secrets.CALLS,
    **triggers.CALLS,
}


def main() -> None:
    """Serves the kernel."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what the SDK prints must not stand between the answers
    serve(calls, answers)
    sys.stderr.flush()
    os._exit(0)  # calls that still wait, and the SDK's own threads, end with the kernel


def serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    """Answers calls, each in a thread."""
    lock = threading.Lock()

    def answer(call: Call) -> None:
        reply = answered(call)
        with lock:
            write_frame(answers, reply)

    decoder = msgspec.msgpack.Decoder(Call)
    pool = ThreadPoolExecutor(THREADS)
    while (frame := read_frame(calls)) is not None:
        pool.submit(answer, decoder.decode(frame))


def answered(call: Call) -> Answer:
    """The answer to a call."""
    try:
        return Answer(call.number, CALLS[call.name](**call.arguments))
    except ConnectError as error:
        return Answer(call.number, failure=Failure(error.code.value, error.message))
    except Exception as error:  # the SDK raises anything; the kernel says what it was
        return Answer(call.number, failure=failure_of(error))


def failure_of(error: Exception) -> Failure:
    """An error of the SDK; one that a request of its caused counts as that."""
    cause = error.__cause__
    if isinstance(cause, ConnectError):
        return Failure(cause.code.value, str(error))
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return Failure(type(error).__name__, message, "".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main()
