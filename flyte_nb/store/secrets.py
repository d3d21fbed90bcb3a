"""Secrets that are kept with a store: a file each, which only its owner may read, and which is never recorded.

    secrets/NAME    the value; when the file was written is when the secret was set

Not the system's keyring: it belongs to the user rather than to a project, cannot be listed, and may wait for somebody
who unlocks it.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flyte_nb.store.errors import StoreError, missing
from flyte_nb.store.home import Home

__all__ = ["SecretRow", "StoredSecrets"]

NAME = re.compile(r"[-a-zA-Z0-9_]{1,200}")
LARGEST_BYTES = 100_000
"""Linux takes environment variables of up to 128 KiB, the name included."""


@dataclass(frozen=True, slots=True)
class SecretRow:
    """What may be told of a secret."""

    name: str
    created_ns: int
    """When its value was set, nanoseconds since the epoch."""
    is_image_pull: bool = False
    """Whether a backend pulls images with it; a store has no such secrets."""


class StoredSecrets:
    """The secrets of a store. Every method may be called from any thread and process.

    Args:
        home: the store.
    """

    def __init__(self, home: Home) -> None:
        self._home = home

    def create(self, name: str, value: str | bytes) -> None:
        """Adds a secret.

        Raises:
            FileExistsError: there is one of that name.
            ValueError: the name or the value is none.
            StoreError: it cannot be written.
        """
        with self._written(name, value) as aside:
            try:
                os.link(aside, self._home.secrets / name)
            except FileExistsError:
                raise FileExistsError(f"There is a secret {name!r} already: delete it first") from None

    def update(self, name: str, value: str | bytes) -> None:
        """Gives a secret another value.

        Raises:
            KeyError: there is none of that name; the message names near ones.
            ValueError: the value is none.
            StoreError: it cannot be written.
        """
        self.find(name)
        with self._written(name, value) as aside:
            aside.replace(self._home.secrets / name)

    def delete(self, name: str) -> None:
        """Deletes a secret.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        self.find(name)
        (self._home.secrets / name).unlink(missing_ok=True)

    def find(self, name: str) -> SecretRow:
        """A secret.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        rows = {row.name: row for row in self.rows()}
        if name not in rows:
            raise missing("secret", name, list(rows))
        return rows[name]

    def rows(self) -> list[SecretRow]:
        """All secrets, by name."""
        try:
            with os.scandir(self._home.secrets) as entries:
                found = [SecretRow(one.name, one.stat().st_mtime_ns) for one in entries if NAME.fullmatch(one.name)]
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda row: row.name)

    def value(self, name: str) -> str | None:
        """The value of a secret, for the task that asks for it; None where there is none of that name for this user."""
        if not NAME.fullmatch(name):
            return None
        try:
            return (self._home.secrets / name).read_text(encoding="utf-8")
        except (FileNotFoundError, PermissionError):
            return None

    @contextmanager
    def _written(self, name: str, value: str | bytes) -> Iterator[Path]:
        """The value in a file aside, which becomes the secret at once or not at all."""
        content = checked(name, value)
        folder = self._home.ensure().secrets
        aside = folder / f".{uuid.uuid4().hex}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
        except OSError as error:
            with suppress(OSError):
                aside.unlink()
            raise StoreError(f"The secret {name!r} cannot be written to {folder}: {error.strerror}") from error
        try:
            yield aside
        finally:
            aside.unlink(missing_ok=True)


def checked(name: str, value: str | bytes) -> bytes:
    """The value as it is written.

    Raises:
        ValueError: the name or the value is none; the value is not told.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a secret: it takes letters, digits, - and _, 200 at most")
    content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if not content.strip():
        raise ValueError(f"The value of the secret {name!r} is empty")
    if len(content) > LARGEST_BYTES:
        raise ValueError(
            f"The value of the secret {name!r} has {len(content):,} bytes: tasks get it as an environment variable, "
            f"which holds {LARGEST_BYTES:,}"
        )
    try:
        is_text = "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        raise ValueError(
            f"The value of the secret {name!r} is not text, which it has to be as an environment variable: write it as "
            "text (by base64, say), and decode it in the task"
        )
    return content
