"""The secrets of a backend, with the methods of `flyte_nb.store.secrets.StoredSecrets`."""

from __future__ import annotations

from flyte_nb.remote.backend.client import Client
from flyte_nb.remote.backend.deployments import hint_of
from flyte_nb.store.secrets import SecretRow

__all__ = ["BackendSecrets"]


class BackendSecrets:
    """Asks a backend.

    Args:
        client: the process that talks to it.
        cluster_pool: that alone has the secrets; None for those of the project and domain of `flyte.init`.
        kind: of secrets that are created: `regular` or `image_pull`.
    """

    def __init__(self, client: Client, cluster_pool: str | None, kind: str) -> None:
        self._client = client
        self._cluster_pool = cluster_pool
        self._kind = kind

    def create(self, name: str, value: str | bytes) -> None:
        """Adds a secret.

        Raises:
            ValueError: there is one of that name, or the backend does not take it.
        """
        given = {"name": name, "value": value, "kind": self._kind, "cluster_pool": self._cluster_pool}
        self._client.call("create_secret", type(None), **given)

    def find(self, name: str) -> SecretRow:
        """A secret.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        try:
            return self._client.call("secret", SecretRow, name=name, cluster_pool=self._cluster_pool)
        except KeyError:
            raise self._missing(name) from None

    def rows(self) -> list[SecretRow]:
        """All secrets, by name."""
        return self._client.call("secrets", list[SecretRow], cluster_pool=self._cluster_pool)

    def delete(self, name: str) -> None:
        """Deletes a secret.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        try:
            self._client.call("delete_secret", type(None), name=name, cluster_pool=self._cluster_pool)
        except KeyError:
            raise self._missing(name) from None

    def _missing(self, name: str) -> KeyError:
        hint = hint_of(name, [row.name for row in self.rows()])
        return KeyError(f"There is no secret {name!r} at {self._client.connection.endpoint}.{hint}")
