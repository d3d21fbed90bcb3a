"""Which stores the server may read, and what they are called in its addresses.

A store is called by its folder: relative to the folder that the server shows where it lies inside, else in full. It is
served when it lies inside, or when the server itself finds it: the one that FLYTE_NB_HOME names, that of the project
to which the server's folder belongs, that of a notebook inside. No address reaches any other folder.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from flyte_nb.server.reader import StoreReader
from flyte_nb.store.home import FOLDER, Home

__all__ = ["Stores", "UnknownStoreError"]

FOLDERS_SEARCHED = 3_000
"""Folders that are looked into for stores; those near the top first."""
SKIPPED = {"node_modules", "__pycache__", "site-packages"}


class UnknownStoreError(LookupError):
    """There is no such store, or it is none of this server's."""


class Stores:
    """The stores of one server. Every method may be called from any thread.

    Args:
        root: the folder that the server shows.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._outside: set[Path] = set()
        """Stores outside the root that the server itself found."""
        self._readers: dict[Path, StoreReader] = {}

    def of_notebook(self, notebook: str) -> Home:
        """The store of the project in which a notebook lies, as its kernel finds it.

        Args:
            notebook: its path under the root; empty for the root itself.

        Raises:
            UnknownStoreError: it lies outside.
        """
        path = (self.root / notebook).resolve()
        if not path.is_relative_to(self.root):
            raise UnknownStoreError(f"{notebook!r} lies outside of the folder that this server shows")
        folder = path.parent if notebook else path
        home = Home(Home.find(start=folder).path.resolve())
        if not home.path.is_relative_to(self.root):
            self._outside.add(home.path)
        return home

    def named(self, name: str) -> Home:
        """The store of that name.

        Raises:
            UnknownStoreError: it is none of this server's.
        """
        path = (self.root / name).resolve()
        is_inside = path.name == FOLDER and path.is_relative_to(self.root)
        if not is_inside and path not in self._outside and path != self.of_notebook("").path:
            raise UnknownStoreError(f"{name!r} is none of this server's stores; its list of stores names them")
        return Home(path)

    def name(self, home: Home) -> str:
        """What a store is called in addresses."""
        inside = home.path.is_relative_to(self.root)
        return home.path.relative_to(self.root).as_posix() if inside else str(home.path)

    def found(self) -> list[Home]:
        """The stores that there are: of the server's own project, and of projects inside, sorted by name."""
        own = self.of_notebook("")
        others = {path for path in (*self._outside, *find_stores(self.root)) if path != own.path}
        return [own, *(Home(path) for path in sorted(others))]

    def reader(self, home: Home) -> StoreReader:
        """The one that reads a store."""
        return self._readers.get(home.path) or self._readers.setdefault(home.path, StoreReader(home))


def title(home: Home) -> str:
    """What a store is called for people: its project."""
    return home.path.parent.name or str(home.path) if home.path.name == FOLDER else home.path.name


def find_stores(root: Path) -> Iterator[Path]:
    """The stores under a folder, those near it first. Links are not followed, hidden folders not looked into."""
    waiting = deque([root])
    for _ in range(FOLDERS_SEARCHED):
        if not waiting:
            return
        try:
            entries = list(os.scandir(waiting.popleft()))
        except OSError:  # a folder that cannot be read shows no stores
            continue
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False) or entry.name in SKIPPED:
                continue
            path = Path(entry.path)
            if entry.name == FOLDER and Home(path).version.exists():
                yield path
            elif not entry.name.startswith("."):
                waiting.append(path)
