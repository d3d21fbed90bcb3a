"""Runs of one store, in a process that runs none itself."""

from __future__ import annotations

from flyte_nb.remote.local_source import LocalSource
from flyte_nb.store.queries import Store

__all__ = ["StoreSource"]


class StoreSource(LocalSource):
    """The runs of a store that is not this process's own.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def store(self) -> Store:
        """The store that was given."""
        return self._store

    def live(self, run: str) -> None:
        """None: no run lives in this process."""
