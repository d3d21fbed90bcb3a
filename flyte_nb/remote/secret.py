"""Secrets by name: those of this project's store, or of the backend. Flyte's `flyte.remote.Secret`.

No call gives a value: a task that asks for a secret has it, as an environment variable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, get_args

from flyte_nb.remote.backend.secrets import BackendSecrets
from flyte_nb.remote.calls import blocking_classmethod, iterating_classmethod
from flyte_nb.remote.phases import utc_time
from flyte_nb.remote.source import source
from flyte_nb.store.secrets import SecretRow, StoredSecrets

__all__ = ["Secret", "SecretTypes"]

SecretTypes = Literal["regular", "image_pull"]


class Secret:
    """A secret of the store, or of the backend that `flyte.init` named.

    Args:
        row: what is told of it.
    """

    def __init__(self, row: SecretRow) -> None:
        self.row = row

    @blocking_classmethod
    def create(
        cls: type[Secret], name: str, value: str | bytes, type: SecretTypes = "regular", cluster_pool: str | None = None
    ) -> None:
        """Adds a secret. In the store its value is a file that only its owner may read.

        Args:
            name: letters, digits, - and _. `flyte.Secret(KEY)` asks for the one that is named KEY, with `group=GROUP`
                for GROUP_KEY.
            value: text of at most 100,000 bytes; a backend takes any bytes.
            type: `regular`; only a backend takes `image_pull`.
            cluster_pool: of a backend, that alone has the secret.

        Raises:
            ValueError: there is one of that name (delete it first), the name or the value is none, or only a backend
                takes it.
        """
        try:
            _kept(cluster_pool, type).create(name, value)
        except FileExistsError as error:
            raise ValueError(str(error)) from None

    @blocking_classmethod
    def get(cls: type[Secret], name: str, cluster_pool: str | None = None) -> Secret:
        """A secret by its name.

        Raises:
            KeyError: there is none; the message names near ones.
            ValueError: only a backend has cluster pools.
        """
        return cls(_kept(cluster_pool).find(name))

    @iterating_classmethod
    def listall(cls: type[Secret], limit: int = 10, cluster_pool: str | None = None) -> Iterator[Secret]:
        """All secrets, by name.

        Args:
            limit: as Flyte's, of a page: all are listed.
            cluster_pool: of a backend, whose secrets are meant.

        Raises:
            ValueError: `limit` is less than 1, or only a backend has cluster pools.
        """
        if limit < 1:
            raise ValueError(f"limit must be 1 or more, got {limit}")
        return iter([cls(row) for row in _kept(cluster_pool).rows()])

    @blocking_classmethod
    def delete(cls: type[Secret], name: str, cluster_pool: str | None = None) -> None:
        """Deletes a secret.

        Raises:
            KeyError: there is none; the message names near ones.
            ValueError: only a backend has cluster pools.
        """
        _kept(cluster_pool).delete(name)

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def type(self) -> SecretTypes:
        """`regular`, or `image_pull`."""
        return "image_pull" if self.row.is_image_pull else "regular"

    @property
    def created_at(self) -> datetime:
        """When its value was set, UTC."""
        return utc_time(self.row.created_ns)

    def to_dict(self) -> dict[str, Any]:
        """What is known of it, as plain data."""
        return {"name": self.name, "type": self.type, "created_at": self.created_at}

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), default=str)

    def __repr__(self) -> str:
        return f"{self.name}  {self.type}  since {self.created_at:%Y-%m-%d %H:%M:%S} UTC"


def _kept(cluster_pool: str | None, kind: str = "regular") -> StoredSecrets | BackendSecrets:
    """The secrets that are meant.

    Raises:
        ValueError: only a backend has them.
    """
    if kind not in get_args(SecretTypes):
        raise ValueError(f"type must be {' or '.join(get_args(SecretTypes))}, got {kind!r}")
    if source.backend is not None:
        return BackendSecrets(source.backend.client, cluster_pool, kind)
    if cluster_pool is not None:
        raise ValueError(f"cluster_pool={cluster_pool!r}: the store on this machine has no cluster pools; leave it out")
    if kind != "regular":
        raise ValueError(f"type={kind!r}: images are pulled by a backend only; name it in flyte.init(endpoint=...)")
    return StoredSecrets(source.store.home)
