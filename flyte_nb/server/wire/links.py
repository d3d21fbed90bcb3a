"""Signed addresses, for clients that fetch and put files without their token: for one thing, for a while."""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import quote, unquote

from flyte_nb.store.signatures import KEY_BYTES, Signatures

__all__ = ["FILES", "Link", "Links"]

FILES = "/files/"
"""What the path of every signed address starts with."""


class Link(NamedTuple):
    url: str
    expires_ns: int


class Links:
    """Makes addresses that only this server can have made, and that hold until they expire or the server ends.

    Args:
        scheme: `http` or `https`.
    """

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.plain_host = ""
        """By which processes of this machine call over plain HTTP, whatever the others do."""
        self._signatures = Signatures(secrets.token_bytes(KEY_BYTES))

    def report(self, host: str, run: str, action: str, lifetime: timedelta) -> Link:
        """Where the report of an action can be fetched."""
        return self._signed("GET", host, ["report", run, action], lifetime)

    def code(self, host: str, path: str, lifetime: timedelta) -> Link:
        """Where a bundle of code can be fetched.

        Args:
            host: by which the client calls this server.
            path: of the file, under the folder of uploads.
            lifetime: how long the address holds.
        """
        return self._signed("GET", host, ["code", path], lifetime)

    def upload(self, host: str, path: str, most_bytes: int, md5: str, lifetime: timedelta) -> Link:
        """Where a file can be put.

        Args:
            host: by which the client calls this server.
            path: of the file, under the folder of uploads.
            most_bytes: how large it may be.
            md5: of its content, in hex; empty when the client does not say.
            lifetime: how long the address holds.
        """
        return self._signed("PUT", host, ["upload", str(most_bytes), md5, path], lifetime)

    def opened(self, method: str, path: str, query: str) -> list[str]:
        """What a signed address is for.

        Args:
            method: by which it is called.
            path: of the address.
            query: of the address.

        Raises:
            PermissionError: this server has not made it, for this method, or it has expired.
        """
        self._signatures.check(method, path, query)
        return [unquote(part) for part in path.removeprefix(FILES).split("/")]

    def _signed(self, method: str, host: str, parts: list[str], lifetime: timedelta) -> Link:
        path = FILES + "/".join(quote(part, safe="") for part in parts)
        expires_seconds = int(time.time() + lifetime.total_seconds())
        query = self._signatures.query(method, path, expires_seconds)
        scheme = "http" if host == self.plain_host else self.scheme
        return Link(f"{scheme}://{host}{path}?{query}", expires_seconds * 1_000_000_000)
