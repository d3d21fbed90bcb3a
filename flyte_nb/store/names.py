"""What recorded bytes name: values of the value store, folders of runs, and files that clients put.

Whatever looks like a digest counts as one, wherever it stands: in a payload, a cached result, code. So what is named is
never missed, whoever wrote it and in whichever form; that a value is kept for a text which only looks like its name
costs nothing but space.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from flyte_nb.store.home import Home
from flyte_nb.store.values import ValueStore

__all__ = ["SHORTEST_NAME_BYTES", "NameReader", "Names"]

SHORTEST_NAME_BYTES = 64
"""Shorter bytes name no value."""
VALUE = re.compile(rb"([0-9a-f]{64})(.{1,9}?\xa4tree)?", re.DOTALL)
"""A digest; what follows where it stands for a tree that was too large for its payload, and may name others in turn."""


@dataclass(slots=True)
class Names:
    """What some bytes name.

    Attributes:
        values: digests.
        trees: those of them whose content may name others.
        folders: names of runs whose folder of files is meant.
        uploads: addresses under the folder of uploads, as far as two names deep; there may be more behind one.
    """

    values: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    uploads: set[str] = field(default_factory=set)

    def update(self, others: Iterable[Names]) -> Names:
        """Adds those of others; returns itself."""
        for other in others:
            self.values |= other.values
            self.trees |= other.trees
            self.folders |= other.folders
            self.uploads |= other.uploads
        return self


class NameReader:
    """Finds names in bytes.

    Args:
        home: whose values and folders they are.
    """

    def __init__(self, home: Home) -> None:
        self._values = ValueStore(home)
        self._folder = re.compile(re.escape(os.fsencode(home.data) + b"/") + rb"([\w.-]+)")
        uploads = os.fsencode(home.uploads)
        written = b"|".join(map(re.escape, {uploads, quote(uploads).encode()}))  # as a path, and in an address
        self._upload = re.compile(b"(?:" + written + rb")/([^/\x00-\x1f]{1,255}(?:/[^/\x00-\x1f]{1,255})?)")
        self._read: dict[str, Names] = {}

    def read(self, data: bytes, names: Names) -> None:
        """Adds what the bytes name, and what that names in turn."""
        if len(data) >= SHORTEST_NAME_BYTES:
            for digest, is_tree in VALUE.findall(data):
                names.values.add(digest.decode())
                if is_tree:
                    self.read_value(digest.decode(), names)
        names.folders.update(folder.decode() for folder in self._folder.findall(data))
        for address in self._upload.findall(data):
            names.uploads.update({os.fsdecode(address), os.fsdecode(unquote_to_bytes(address))})

    def read_value(self, digest: str, names: Names) -> None:
        """Adds a value, and what its content names."""
        known = self._read.get(digest)
        if known is None:
            known = self._read[digest] = Names({digest}, {digest})
            for part in self._parts(digest):
                self.read(bytes(part), known)
        names.update([known])

    def _parts(self, digest: str) -> list[memoryview]:
        try:
            return self._values.get(digest)
        except KeyError:
            return []
