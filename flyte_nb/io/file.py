"""`File`: a file that tasks hand to one another by reference, with Flyte's names and both sync and async forms."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from flyte_nb.io import locations
from flyte_nb.io.hashing import HashMethod, as_hash
from flyte_nb.io.references import cross_by_reference
from flyte_nb.io.streams import AsyncFile, HashingWriter
from flyte_nb.types.base import Preview

__all__ = ["File"]

T = TypeVar("T")


class File(BaseModel, Generic[T]):
    """A file, by reference. `T` says what is in it and is not checked.

    Make one with the class methods; the constructor is for a file that exists.

    Args:
        path: a path of this machine, or an address such as `s3://bucket/key`.
        name: defaults to the last part of the path.
        format: what is in it, as text.
        hash: what the file counts as in cache keys, instead of its path.
        hash_method: computes the hash while the file is written.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        json_schema_extra={"description": "A file reference with an optional format type.", "x-flyte-type": "file"},
    )

    path: str
    name: str | None = None
    format: str = ""
    hash: str | None = None
    hash_method: Annotated[HashMethod | None, Field(default=None, exclude=True), SkipJsonSchema()] = None

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("name") is None and "path" in data:
            return {**data, "name": locations.name_of(data["path"])}
        return data

    @classmethod
    def new_remote(cls, file_name: str | None = None, hash_method: HashMethod | str | None = None) -> File[T]:
        """A new file under the raw data of the running task, to be written.

        Args:
            file_name: its name; a generated one when None.
            hash_method: its hash, or how to compute it while it is written.

        Raises:
            ValueError: outside a task.
        """
        known, method = as_hash(hash_method)
        return cls(path=locations.new_path(file_name), hash=known, hash_method=method)

    @classmethod
    def named_remote(cls, name: str) -> File[T]:
        """The file of that name in the run's folder: the same path in every attempt.

        Raises:
            ValueError: outside a task.
        """
        context = locations.task_context()
        if context is None:
            raise ValueError("File.named_remote() requires an active task execution context.")
        return cls(path=locations.join(context.run_base_dir, name))

    @classmethod
    def from_existing_remote(cls, remote_path: str, file_cache_key: str | None = None) -> File[T]:
        """A file that is there already, wherever it is.

        Args:
            remote_path: its path or address.
            file_cache_key: what it counts as in cache keys.
        """
        return cls(path=remote_path, hash=file_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> File[T]:
        """A local file, copied to where tasks find it: into the raw data of the running task, or to a destination.

        Outside a task and without a destination the file stays where it is.

        Args:
            local_path: the file.
            remote_destination: where to copy it.
            hash_method: its hash, or how to compute it.
            chunk_size: taken for Flyte's sake; copies here are not made in parts.
            max_concurrency: taken for Flyte's sake.

        Raises:
            ValueError: there is no such file.
        """
        source = str(local_path)
        if not os.path.exists(source):
            raise ValueError(f"File not found: {local_path}")
        known, method = as_hash(hash_method)
        if method is not None:
            with locations.open_file(source, "rb") as reader:
                while chunk := reader.read(1024 * 1024):
                    method.update(chunk)
            known = method.result()
        name = locations.name_of(source)
        if remote_destination is None and locations.task_context() is None:
            return cls(path=source, name=name, hash=known, hash_method=method)
        path = locations.copy(source, remote_destination or locations.new_path(name))
        return cls(path=path, name=name, hash=known, hash_method=method)

    @classmethod
    async def from_local(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> File[T]:
        """`from_local_sync`, on a thread."""
        return await asyncio.to_thread(
            cls.from_local_sync, local_path, remote_destination, hash_method, chunk_size, max_concurrency
        )

    @contextmanager
    def open_sync(
        self,
        mode: str = "rb",
        block_size: int | None = None,
        cache_type: str = "readahead",
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Iterator[IO[Any]]:
        """Opens the file: `with file.open_sync("rb") as f: f.read()`.

        Args:
            mode: as of `open`.
            block_size: how much is fetched at once from a remote file, in bytes.
            cache_type: how fsspec caches a remote file.
            cache_options: for that cache.
            compression: fsspec's name of it, for a remote file.
            **kwargs: for fsspec.
        """
        opened = locations.open_file(self.path, mode, **self._remote_options(block_size, compression, kwargs))
        with opened as file:
            writer = self._hashing(file, mode)
            yield writer
        self._take_hash(writer)

    @asynccontextmanager
    async def open(
        self,
        mode: str = "rb",
        block_size: int | None = None,
        cache_type: str = "readahead",
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AsyncFile]:
        """Opens the file: `async with file.open("rb") as f: await f.read()`. Arguments as of `open_sync`."""
        options = self._remote_options(block_size, compression, kwargs)
        file = await asyncio.to_thread(locations.open_file, self.path, mode, **options)
        writer = self._hashing(file, mode)
        try:
            yield AsyncFile(writer)
        finally:
            await asyncio.to_thread(file.close)
        self._take_hash(writer)

    def exists_sync(self) -> bool:
        """True when the file is there."""
        return locations.exists(self.path)

    async def exists(self) -> bool:
        """True when the file is there."""
        return await asyncio.to_thread(self.exists_sync)

    def download_sync(self, local_path: str | Path | None = None) -> str:
        """Brings the file to this machine.

        Args:
            local_path: a file, or a folder to put it into; for a file that is here already None copies nothing.

        Returns:
            The local path.
        """
        if local_path is None:
            if not locations.is_remote(self.path):
                return self.path
            local_path = locations.temporary_path(self.name or "file")
        destination = str(local_path)
        if not locations.is_remote(self.path) and Path(destination).absolute() == Path(self.path).absolute():
            return self.path
        return locations.copy(self.path, destination)

    async def download(self, local_path: str | Path | None = None) -> str:
        """`download_sync`, on a thread."""
        return await asyncio.to_thread(self.download_sync, local_path)

    def __flyte_preview__(self) -> Preview:
        path = locations.absolute(self.path)
        return {"kind": "file", "text": path[-200:], "path": path, "size_bytes": locations.size_bytes(path)}

    def _remote_options(self, block_size: int | None, compression: str | None, more: dict[str, Any]) -> dict[str, Any]:
        named = {"block_size": block_size, "compression": compression}
        return {**{key: value for key, value in named.items() if value is not None}, **more}

    def _hashing(self, file: IO[Any], mode: str) -> Any:
        writing = any(letter in mode for letter in "wx")
        return HashingWriter(file, self.hash_method) if writing and self.hash_method is not None else file

    def _take_hash(self, writer: Any) -> None:
        if isinstance(writer, HashingWriter):
            self.hash = writer.result()


cross_by_reference(File)
