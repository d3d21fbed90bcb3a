"""How what goes wrong is answered: one Connect error, with what to do next."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from flyte_nb.store.errors import StoreBusyError, StoreError

__all__ = ["Faults", "refused"]

logger = logging.getLogger("flyte")

ANSWERS: tuple[tuple[type[Exception], Code], ...] = (
    (LookupError, Code.NOT_FOUND),
    (FileExistsError, Code.ALREADY_EXISTS),
    (FileNotFoundError, Code.NOT_FOUND),
    (PermissionError, Code.PERMISSION_DENIED),
    (ConnectionAbortedError, Code.UNAVAILABLE),
    (StoreBusyError, Code.UNAVAILABLE),
    (StoreError, Code.INTERNAL),
    (TimeoutError, Code.DEADLINE_EXCEEDED),
    (NotImplementedError, Code.UNIMPLEMENTED),
    (ValueError, Code.INVALID_ARGUMENT),
)
"""How each error is answered; the first that fits.

`NotImplementedError` stands for what Flyte's protocol has and a store has not: the client reads `unimplemented`, with
what to do instead; docs/server.md lists them.
"""


class Faults:
    """Interceptor: turns the errors of the services into Connect errors."""

    async def intercept_unary(
        self, call_next: Callable[[Any, Any], Awaitable[Any]], request: Any, ctx: RequestContext[Any, Any]
    ) -> Any:
        """Answers one call."""
        try:
            return await call_next(request, ctx)
        except Exception as error:  # of any service: raised again, as the one error that a client understands
            raise refused(error, ctx.method().name) from error

    async def intercept_server_stream(
        self, call_next: Callable[[Any, Any], AsyncIterator[Any]], request: Any, ctx: RequestContext[Any, Any]
    ) -> AsyncIterator[Any]:
        """Answers one call with a stream."""
        try:
            async for answer in call_next(request, ctx):
                yield answer
        except Exception as error:  # of any service: raised again, as the one error that a client understands
            raise refused(error, ctx.method().name) from error


def refused(error: Exception, call: str) -> ConnectError:
    """The Connect error for an error of a service.

    Args:
        error: what was raised.
        call: name of the call.
    """
    if isinstance(error, ConnectError) and error.code is not Code.UNIMPLEMENTED:
        return error
    if isinstance(error, ConnectError):
        return ConnectError(
            Code.UNIMPLEMENTED, f"flyte_nb's server does not serve {call}: docs/server.md lists what it does"
        )
    for kind, code in ANSWERS:
        if isinstance(error, kind):
            is_quoted = isinstance(error, KeyError) and error.args
            return ConnectError(code, str(error.args[0] if is_quoted else error))
    logger.exception("flyte_nb could not answer %s", call, exc_info=error)
    return ConnectError(
        Code.INTERNAL, f"flyte_nb could not answer {call} ({type(error).__name__}): the server's log says why"
    )
