"""`Dir`: a folder that tasks hand to one another by reference, with Flyte's names and both sync and async forms."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from flyte_nb.io import locations
from flyte_nb.io.file import File
from flyte_nb.io.references import cross_by_reference
from flyte_nb.types.base import Preview

__all__ = ["Dir", "EmptyDir"]

T = TypeVar("T")

EMPTY = "::flyte-empty-dir::"
"""The path of a folder that is nowhere: no file system has such a name."""


class Dir(BaseModel, Generic[T]):
    """A folder, by reference. `T` says what its files hold and is not checked.

    Args:
        path: a path of this machine, or an address such as `s3://bucket/prefix`.
        name: defaults to the last part of the path.
        format: what is in it, as text.
        hash: what the folder counts as in cache keys, instead of its path.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        json_schema_extra={"description": "A directory reference with an optional format type.", "x-flyte-type": "dir"},
    )

    path: str
    name: str | None = None
    format: str = ""
    hash: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("name") is None and "path" in data:
            return {**data, "name": locations.name_of(data["path"])}
        return data

    @property
    def is_empty(self) -> bool:
        """True for `Dir.empty()`."""
        return self.path == EMPTY

    @classmethod
    def empty(cls) -> Dir[Any]:
        """A folder with nothing in it, which lies nowhere."""
        return EmptyDir()

    @classmethod
    def new_remote(cls, dir_name: str | None = None, hash: str | None = None) -> Dir[T]:
        """A new folder under the raw data of the running task, to be filled.

        Raises:
            ValueError: outside a task.
        """
        path = locations.new_path(dir_name)
        if not locations.is_remote(path):
            os.makedirs(path, exist_ok=True)
        return cls(path=path, name=dir_name, hash=hash)

    @classmethod
    def from_existing_remote(cls, remote_path: str, dir_cache_key: str | None = None) -> Dir[T]:
        """A folder that is there already, wherever it is.

        Args:
            remote_path: its path or address.
            dir_cache_key: what it counts as in cache keys.
        """
        return cls(path=remote_path, hash=dir_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        dir_cache_key: str | None = None,
        batch_size: int | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> Dir[T]:
        """A local folder, copied to where tasks find it: into the raw data of the running task, or to a destination.

        Outside a task and without a destination the folder stays where it is.

        Args:
            local_path: the folder.
            remote_destination: where to copy it.
            dir_cache_key: what it counts as in cache keys.
            batch_size: taken for Flyte's sake, as the two that follow.
            chunk_size: see batch_size.
            max_concurrency: see batch_size.

        Raises:
            ValueError: there is no such folder.
        """
        source = str(local_path)
        name = os.path.basename(os.path.normpath(source))
        if not os.path.isdir(source):
            raise ValueError(f"Directory not found: {local_path}")
        if remote_destination is None and locations.task_context() is None:
            return cls(path=source, name=name, hash=dir_cache_key)
        path = locations.copy_folder(source, remote_destination or locations.new_path(name))
        return cls(path=path, name=name, hash=dir_cache_key)

    @classmethod
    async def from_local(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        dir_cache_key: str | None = None,
        batch_size: int | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> Dir[T]:
        """`from_local_sync`, on a thread."""
        return await asyncio.to_thread(cls.from_local_sync, local_path, remote_destination, dir_cache_key)

    def walk_sync(
        self, recursive: bool = True, file_pattern: str = "*", max_depth: int | None = None
    ) -> Iterator[File[T]]:
        """The files in the folder and those below it.

        Args:
            recursive: False for the folder's own files only.
            file_pattern: a glob pattern for their names.
            max_depth: how many levels of folders, 1 for the folder itself.
        """
        if self.is_empty:
            return
        for path in locations.walk_files(self.path, max_depth if recursive else 1, file_pattern):
            yield File(path=path)

    async def walk(self, recursive: bool = True, max_depth: int | None = None) -> AsyncIterator[File[T]]:
        """The files in the folder and those below it; arguments as of `walk_sync`."""
        for file in await asyncio.to_thread(lambda: list(self.walk_sync(recursive, max_depth=max_depth))):
            yield file

    def list_files_sync(self) -> list[File[T]]:
        """The folder's own files."""
        return list(self.walk_sync(recursive=False))

    async def list_files(self) -> list[File[T]]:
        """The folder's own files."""
        return await asyncio.to_thread(self.list_files_sync)

    def get_file_sync(self, file_name: str) -> File[T] | None:
        """The file of that name in the folder, None when there is none."""
        path = locations.join(self.path, file_name)
        return File(path=path) if not self.is_empty and locations.exists(path) else None

    async def get_file(self, file_name: str) -> File[T] | None:
        """The file of that name in the folder, None when there is none."""
        return await asyncio.to_thread(self.get_file_sync, file_name)

    def exists_sync(self) -> bool:
        """True when the folder is there."""
        return not self.is_empty and locations.exists(self.path)

    async def exists(self) -> bool:
        """True when the folder is there."""
        return await asyncio.to_thread(self.exists_sync)

    def download_sync(self, local_path: str | Path | None = None) -> str:
        """Brings the folder to this machine.

        Args:
            local_path: the folder to put its files into; for a folder that is here already None copies nothing.

        Returns:
            The local path.
        """
        if local_path is None:
            if not locations.is_remote(self.path):
                return self.path
            local_path = locations.temporary_path(self.name or "dir")
        if str(local_path) == self.path:
            return self.path
        return locations.copy_folder(self.path, str(local_path))

    async def download(self, local_path: str | Path | None = None) -> str:
        """`download_sync`, on a thread."""
        return await asyncio.to_thread(self.download_sync, local_path)

    def __flyte_preview__(self) -> Preview:
        names = [] if self.is_empty or locations.is_remote(self.path) else list(self._names(limit=51))
        path = locations.absolute(self.path)
        shown = {"kind": "dir", "text": path[-200:], "path": path, "files": names[:50]}
        return {**shown, "size_bytes": locations.size_bytes(self.path) if len(names) <= 50 else None}

    def _names(self, limit: int) -> Iterator[str]:
        for count, path in enumerate(locations.walk_files(self.path)):
            if count >= limit:
                return
            yield os.path.relpath(path, self.path)


class EmptyDir(Dir[Any]):
    """A folder with nothing in it, which lies nowhere."""

    def __init__(self, **data: Any) -> None:
        super().__init__(**{"name": "", **data, "path": EMPTY})


cross_by_reference(Dir)
