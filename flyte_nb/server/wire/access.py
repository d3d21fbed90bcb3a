"""Who may call the server, from where, and with how much."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from connectrpc.code import Code
from connectrpc.errors import ConnectError

__all__ = ["LARGEST_MESSAGE_BYTES", "Access", "is_loopback", "too_large"]

LARGEST_MESSAGE_BYTES = 64_000_000
"""A call that is larger is refused before it is read."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SCHEME = "bearer "


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, which no other can call."""
    return host.strip("[]").lower() in LOOPBACK


class Access:
    """Decides about calls.

    Args:
        token: that callers must show; empty for none, which only a server on loopback may do without.
        local_only: the server listens on loopback, so only such names may call it (a page of another site that has
            its name point here does not).
    """

    def __init__(self, token: str, local_only: bool) -> None:
        self._token = token.encode()
        self._local_only = local_only

    def check_place(self, headers: Mapping[str, str]) -> None:
        """Whether the call comes from where calls may come from.

        Raises:
            PermissionError: it does not.
        """
        host = headers.get("host", "")
        if self._local_only and not is_loopback(without_port(host)):
            raise PermissionError(f"This server is called localhost, not {host[:100]!r}: it answers this machine only")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise PermissionError(f"A page of {origin[:100]!r} may not call this server")

    def check_token(self, headers: Mapping[str, str]) -> None:
        """Whether the call shows the token.

        Raises:
            ConnectError: it does not.
        """
        if not self._token:
            return
        shown = headers.get("authorization", "")
        if shown[: len(SCHEME)].lower() != SCHEME:
            raise ConnectError(Code.UNAUTHENTICATED, "This server asks for a token: Authorization: Bearer TOKEN")
        if not hmac.compare_digest(shown[len(SCHEME) :].encode(), self._token):
            raise ConnectError(
                Code.UNAUTHENTICATED, "The token is not this server's: ask who started it for the right one"
            )

    def token_for(self, authorization: str) -> str:
        """The token, for an API key that holds it (HTTP's Basic: any name, and the token as the password).

        Raises:
            ConnectError: it does not hold it.
        """
        kind, _, credentials = authorization.partition(" ")
        try:
            _, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            secret = ""
        if kind.lower() != "basic" or not self._token or not hmac.compare_digest(secret.encode(), self._token):
            raise ConnectError(Code.UNAUTHENTICATED, "The API key is not this server's")
        return self._token.decode()


def too_large() -> ConnectError:
    """The refusal of a message that holds more than it may."""
    return ConnectError(
        Code.RESOURCE_EXHAUSTED,
        f"The message is larger than {LARGEST_MESSAGE_BYTES:,} bytes: upload large values as files",
    )


def without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]
