"""Where the answer to a condition can be posted: addresses of the server that serves the store, if one does.

serving.json   its address, and the key that signs; it stays, so that addresses hold when the server is started anew
serving.lock   held by the server as long as it serves
"""

from __future__ import annotations

import os
import secrets
import time
from urllib.parse import quote, unquote

import msgspec

from flyte_nb.store.home import Home
from flyte_nb.store.locks import FileLock, is_locked
from flyte_nb.store.signatures import KEY_BYTES, Signatures

__all__ = ["CALLBACKS", "Announcement", "callback_address", "opened_callback"]

CALLBACKS = "/conditions/"
"""What the path of every such address starts with."""
FILE, LOCK = "serving.json", "serving.lock"
METHOD = "POST"


class Serving(msgspec.Struct, frozen=True):
    """Which server serves a store."""

    url: str
    key: bytes


class Announcement:
    """Tells those who use a store where it is served; one server at a time does.

    Args:
        home: the store.
        url: by which others reach the server.
    """

    def __init__(self, home: Home, url: str) -> None:
        self._lock: FileLock | None = FileLock(home.ensure().path / LOCK)
        if not self._lock.try_exclusive():  # another server is announced, and takes the answers
            self._lock.abandon()
            self._lock = None
            return
        known = read(home)
        serving = Serving(url, known.key if known is not None else secrets.token_bytes(KEY_BYTES))
        path = home.path / FILE
        aside = path.with_name(f".{FILE}")
        aside.unlink(missing_ok=True)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(serving))
        aside.replace(path)

    def withdraw(self) -> None:
        """The server ends."""
        if self._lock is not None:
            self._lock.close()


def callback_address(home: Home, run: str, action: str, lifetime_seconds: float) -> str | None:
    """Where the answer to a condition can be posted; None where nobody serves the store.

    Args:
        home: the store.
        run: name of the run.
        action: name of the condition's action.
        lifetime_seconds: how long the address holds.
    """
    serving = read(home) if is_locked(home.path / LOCK) else None
    if serving is None:
        return None
    path = f"{CALLBACKS}{quote(run, safe='')}/{quote(action, safe='')}"
    query = Signatures(serving.key).query(METHOD, path, int(time.time() + lifetime_seconds))
    return f"{serving.url}{path}?{query}"


def opened_callback(home: Home, path: str, query: str) -> tuple[str, str]:
    """The run and the action that an address is for.

    Args:
        home: the store.
        path: of the address.
        query: of the address.

    Raises:
        PermissionError: it was not made for this store, or it has expired.
    """
    serving = read(home)
    Signatures(serving.key if serving is not None else secrets.token_bytes(KEY_BYTES)).check(METHOD, path, query)
    run, _, action = path.removeprefix(CALLBACKS).partition("/")
    return unquote(run), unquote(action)


def read(home: Home) -> Serving | None:
    """What the last server that was announced left; None before the first."""
    try:
        return msgspec.json.decode((home.path / FILE).read_bytes(), type=Serving)
    except FileNotFoundError:
        return None
