"""`flyte-nb serve`: what is served, where, and to whom."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from flyte_nb.remote.errors import CommandError
from flyte_nb.server.wire.access import Access, is_loopback
from flyte_nb.server.wire.application import Application
from flyte_nb.server.wire.execution import Limits
from flyte_nb.server.wire.records import Records
from flyte_nb.store.home import Home

__all__ = ["Limits", "Serving", "serve"]

LAST_CALLS_SECONDS = 3
"""How long calls and streams may go on once the server is told to end."""
LEAST_TOKEN_CHARS = 16


@dataclass(frozen=True, slots=True)
class Serving:
    """What is asked for.

    Args:
        home: the store.
        host: address to listen on.
        port: to listen on; 0 for any that is free.
        token: that callers must show; empty for none.
        certificate: of TLS, a PEM file; None for none.
        key: of the certificate.
        limits: of runs that clients ask for; None executes nothing.
    """

    home: Home
    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    limits: Limits | None = None

    def check(self) -> None:
        """Refuses what would let anybody in.

        Raises:
            CommandError: with what to do instead.
        """
        if (self.certificate is None) != (self.key is None):
            raise CommandError("TLS takes both: --tls-cert FILE and --tls-key FILE")
        if self.token and len(self.token) < LEAST_TOKEN_CHARS:
            raise CommandError(
                f"A token of fewer than {LEAST_TOKEN_CHARS} characters can be guessed: take a longer one"
            )
        if not self.token.isascii() or any(mark.isspace() for mark in self.token):
            raise CommandError("A token is made of ASCII without spaces")
        missing = [
            *([] if self.token else ["a token (--token-file FILE, or FLYTE_NB_TOKEN)"]),
            *([] if self.certificate else ["TLS (--tls-cert FILE --tls-key FILE)"]),
        ]
        if missing and not is_loopback(self.host):
            raise CommandError(
                f"{self.host} can be called from other machines: that takes {' and '.join(missing)}. "
                "Without, only --host 127.0.0.1 is served."
            )


class Server(uvicorn.Server):
    """uvicorn's, telling where it listens, and ending those who watch when it is to end.

    Args:
        config: of uvicorn.
        records: the store.
        tell: called with the address.
    """

    def __init__(self, config: uvicorn.Config, records: Records, tell: Callable[[str], None]) -> None:
        super().__init__(config)
        self._records = records
        self._tell = tell

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._tell(f"{'https' if self.config.is_ssl else 'http'}://{shown}:{port}")

    async def shutdown(self, sockets: Any = None) -> None:
        await self._records.stop_watching()
        await super().shutdown(sockets)


def serve(asked: Serving, tell: Callable[[str], None]) -> None:
    """Serves until it is interrupted.

    Args:
        asked: what is asked for.
        tell: called with the address, once it can be called.

    Raises:
        CommandError: it cannot be served.
    """
    asked.check()
    scheme = "https" if asked.certificate is not None else "http"
    records = Records(asked.home)
    application = Application(records, Access(asked.token, is_loopback(asked.host)), scheme, asked.limits)
    config = uvicorn.Config(
        application,
        host=asked.host,
        port=asked.port,
        ssl_certfile=asked.certificate,
        ssl_keyfile=asked.key,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LAST_CALLS_SECONDS,
        ws="none",
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"The certificate or its key cannot be read: {error}") from error
    Server(config, records, tell).run()
