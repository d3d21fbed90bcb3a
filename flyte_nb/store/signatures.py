"""Addresses that only who holds a key can have made, for one method, until they expire.

PATH?EXPIRES&SIGNATURE       EXPIRES in seconds since the epoch
"""

from __future__ import annotations

import hashlib
import hmac
import time

__all__ = ["KEY_BYTES", "Signatures"]

KEY_BYTES = 32


class Signatures:
    """Signs and checks addresses.

    Args:
        key: the secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def query(self, method: str, path: str, expires_seconds: int) -> str:
        """The query that makes an address hold.

        Args:
            method: by which it may be called.
            path: of the address.
            expires_seconds: until when it holds, since the epoch.
        """
        return f"{expires_seconds}&{self._signature(method, path, str(expires_seconds))}"

    def check(self, method: str, path: str, query: str) -> None:
        """Whether an address holds.

        Raises:
            PermissionError: who made it has not the key, or made it for another method or path, or it has expired.
        """
        expires, _, signature = query.partition("&")
        if (
            not expires.isascii()
            or not expires.isdigit()
            or not hmac.compare_digest(signature.encode(), self._signature(method, path, expires).encode())
        ):
            raise PermissionError("This address was not made by this server, or not for this: ask for a new one")
        if int(expires) < time.time():
            raise PermissionError("This address has expired: ask for a new one")

    def _signature(self, method: str, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{method}\n{path}\n{expires}".encode(), hashlib.sha256).hexdigest()
