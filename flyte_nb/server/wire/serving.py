"""`flyte-nb serve`: what is served, where, and to whom."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from flyte_nb.remote.errors import CommandError
from flyte_nb.server.wire.access import Access, is_loopback
from flyte_nb.server.wire.application import Application
from flyte_nb.server.wire.executing.limits import Limits
from flyte_nb.server.wire.records import Records
from flyte_nb.store.callbacks import Announcement
from flyte_nb.store.home import Home

__all__ = ["Limits", "Serving", "serve"]

LAST_CALLS_SECONDS = 3
"""How long calls and streams may go on once the server is told to end."""
IDLE_SECONDS = 75
"""How long a connection stays open for a client's next call: longer than a client that polls waits."""
LEAST_TOKEN_CHARS = 16
QUIET: dict[str, Any] = {
    "log_level": "warning",
    "access_log": False,
    "server_header": False,
    "timeout_keep_alive": IDLE_SECONDS,
    "timeout_graceful_shutdown": LAST_CALLS_SECONDS,
    "ws": "none",
}


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
        fires: whether triggers of deployed tasks start runs.
        url: by which others reach the server, for the callbacks of conditions; where it listens unless given.
    """

    home: Home
    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    limits: Limits | None = None
    fires: bool = True
    url: str = ""

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
        if self.url and urlsplit(self.url).scheme not in ("http", "https"):
            raise CommandError(f"--url takes an address of http or https, got {self.url!r}")
        if missing and not is_loopback(self.host):
            raise CommandError(
                f"{self.host} can be called from other machines: that takes {' and '.join(missing)}. "
                "Without, only --host 127.0.0.1 is served."
            )


class Server(uvicorn.Server):
    """uvicorn's, telling where it listens, and ending those who watch, and what it executes, when it is to end.

    Args:
        config: of uvicorn.
        application: answers.
        tell: called with the address.
        url: by which others reach the server; empty for where it listens.
    """

    def __init__(self, config: uvicorn.Config, application: Application, tell: Callable[[str], None], url: str) -> None:
        super().__init__(config)
        self._application = application
        self._tell = tell
        self._url = url
        self._announcement: Announcement | None = None
        self._processes: uvicorn.Server | None = None

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            address = f"{'https' if self.config.is_ssl else 'http'}://{shown}:{port}"
            self._application.listen_at(await self._listen_to_processes() if self.config.is_ssl else address)
            self._announcement = Announcement(self._application.records.home, self._url.rstrip("/") or address)
            self._tell(address)

    async def shutdown(self, sockets: Any = None) -> None:
        if self._announcement is not None:
            self._announcement.withdraw()
        await self._application.end()
        if self._processes is not None:
            await self._processes.shutdown()
        await super().shutdown(sockets)

    async def _listen_to_processes(self) -> str:
        """Beside TLS, where processes of this server's runs call it: plain, on this machine only. A certificate is for
        the names by which others call."""
        config = uvicorn.Config(self._application.for_processes, port=0, lifespan="off", interface="asgi3", **QUIET)
        config.load()
        self._processes = uvicorn.Server(config)
        self._processes.lifespan = config.lifespan_class(config)
        await self._processes.startup()
        host, port = self._processes.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"


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
    access = Access(asked.token, is_loopback(asked.host))
    application = Application(records, access, scheme, asked.limits, asked.fires)
    config = uvicorn.Config(
        application,
        host=asked.host,
        port=asked.port,
        ssl_certfile=asked.certificate,
        ssl_keyfile=asked.key,
        **QUIET,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"The certificate or its key cannot be read: {error}") from error
    Server(config, application, tell, asked.url).run()
