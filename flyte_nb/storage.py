"""Reading and writing by address, and the settings of object stores.

Addresses here are paths of this machine, with or without `file://`. The settings (`S3`, `GCS`, `ABFS`) are kept for a
Flyte backend; an address of an object store is refused with one clear error.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import uuid4

__all__ = [
    "ABFS",
    "GCS",
    "S3",
    "Storage",
    "exists",
    "exists_sync",
    "get",
    "get_random_local_directory",
    "get_random_local_path",
    "get_stream",
    "is_remote",
    "join",
    "local_path",
    "put",
    "put_stream",
]

CHUNK_BYTES = 10 * 2**20


@dataclass(frozen=True)
class Storage:
    """How an object store is talked to.

    Args:
        retries: how often a failed request is sent again.
        backoff: how long to wait before it is.
        enable_debug: whether requests are logged.
        attach_execution_metadata: whether objects say which run wrote them.
    """

    retries: int = 3
    backoff: timedelta = timedelta(seconds=5)
    enable_debug: bool = False
    attach_execution_metadata: bool = True

    _ENVIRONMENT: ClassVar[dict[str, str]] = {}

    @classmethod
    def auto(cls, **settings: Any) -> Self:
        """The settings that environment variables hold; those given come first."""
        found = {name: os.environ[key] for name, key in cls._ENVIRONMENT.items() if key in os.environ}
        if "FLYTE_STORAGE_RETRIES" in os.environ:
            found["retries"] = int(os.environ["FLYTE_STORAGE_RETRIES"])  # type: ignore[assignment]
        if "FLYTE_STORAGE_BACKOFF_SECONDS" in os.environ:
            seconds = float(os.environ["FLYTE_STORAGE_BACKOFF_SECONDS"])
            found["backoff"] = timedelta(seconds=seconds)  # type: ignore[assignment]
        return cls(**{**found, **{name: value for name, value in settings.items() if value is not None}})


@dataclass(frozen=True)
class S3(Storage):
    """Amazon S3, or a store that speaks its protocol."""

    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str | None = None
    addressing_style: str | None = None

    _ENVIRONMENT: ClassVar[dict[str, str]] = {
        "endpoint": "FLYTE_AWS_ENDPOINT",
        "access_key_id": "FLYTE_AWS_ACCESS_KEY_ID",
        "secret_access_key": "FLYTE_AWS_SECRET_ACCESS_KEY",
        "addressing_style": "FLYTE_AWS_S3_ADDRESSING_STYLE",
    }


@dataclass(frozen=True)
class GCS(Storage):
    """Google Cloud Storage."""


@dataclass(frozen=True)
class ABFS(Storage):
    """Azure Blob Storage."""

    account_name: str | None = None
    account_key: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = None

    _ENVIRONMENT: ClassVar[dict[str, str]] = {
        "account_name": "AZURE_STORAGE_ACCOUNT_NAME",
        "account_key": "AZURE_STORAGE_ACCOUNT_KEY",
        "tenant_id": "AZURE_TENANT_ID",
        "client_id": "AZURE_CLIENT_ID",
        "client_secret": "AZURE_CLIENT_SECRET",
    }


def is_remote(path: str | Path) -> bool:
    """True for the address of an object store."""
    return "://" in str(path) and not str(path).startswith("file://")


def local_path(path: str | Path) -> Path:
    """The path of this machine that an address means.

    Raises:
        ValueError: for the address of an object store.
    """
    if is_remote(path):
        raise ValueError(f"{path} is in an object store; flyte_nb reads and writes local paths only.")
    return Path(str(path).removeprefix("file://"))


def join(*paths: str) -> str:
    """One address from its parts."""
    return os.path.join(*paths)


def exists_sync(path: str) -> bool:
    """True when there is a file or folder at the address."""
    return local_path(path).exists()


async def exists(path: str) -> bool:
    """True when there is a file or folder at the address."""
    return await asyncio.to_thread(exists_sync, path)


def get_random_local_path(file_path_or_file_name: str | Path | None = None) -> Path:
    """A path in a new temporary folder, with the name of the file given; nothing is at it."""
    folder = Path(tempfile.mkdtemp(prefix="flyte-tmp-"))
    return folder / (Path(file_path_or_file_name or "").name or uuid4().hex)


def get_random_local_directory() -> Path:
    """A new temporary folder."""
    return Path(tempfile.mkdtemp(prefix="flyte-tmp-"))


async def get(from_path: str, to_path: str | Path | None = None, recursive: bool = False) -> str:
    """Copies a file, or a folder when `recursive`, from an address to a path.

    Args:
        from_path: the address.
        to_path: the path, or an existing folder to copy the file into; a temporary one unless given.
        recursive: copy a folder.

    Returns:
        The path.
    """
    source = local_path(from_path)
    target = Path(to_path) if to_path else get_random_local_path(source.name)
    if not recursive and (target.is_dir() or str(to_path).endswith(os.sep)):
        target = target / source.name
    await asyncio.to_thread(_copy, source, target, recursive)
    return str(target)


async def put(from_path: str, to_path: str, recursive: bool = False) -> str:
    """Copies a file, or a folder when `recursive`, from a path to an address; returns the address."""
    await asyncio.to_thread(_copy, local_path(from_path), local_path(to_path), recursive)
    return to_path


async def put_stream(data_iterable: AsyncIterable[bytes] | bytes, *, to_path: str) -> str:
    """Writes bytes to an address, as they come; returns the address."""
    target = local_path(to_path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        if isinstance(data_iterable, bytes):
            await asyncio.to_thread(file.write, data_iterable)
        else:
            async for chunk in data_iterable:
                await asyncio.to_thread(file.write, chunk)
    return to_path


async def get_stream(path: str, chunk_size: int = CHUNK_BYTES) -> AsyncGenerator[bytes, None]:
    """The bytes at an address, `chunk_size` of them at a time."""
    with local_path(path).open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, chunk_size):
            yield chunk


def _copy(source: Path, target: Path, recursive: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if recursive:
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
