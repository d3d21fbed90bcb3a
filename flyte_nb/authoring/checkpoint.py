"""What a task saves to go on from when it is tried again or its run is recovered: one file, or one folder.

    checkpoint = flyte.ctx().checkpoint
    path = await checkpoint.load()          what an earlier attempt saved, or None
    await checkpoint.save(b"...")           bytes, a file, or a folder

A folder is kept as one compressed tar file. Saving replaces what was saved before, all of it or nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["BaseCheckpoint", "Checkpoint", "latest_checkpoint"]

PAYLOAD = "payload"


class BaseCheckpoint(ABC):
    """What every checkpoint can do."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """A folder of this machine, into which a checkpoint is loaded."""

    @abstractmethod
    def prev_exists(self) -> bool:
        """True when there may be something to load."""

    @abstractmethod
    async def load(self) -> Path | None:
        """Brings what was saved into `path`."""

    @abstractmethod
    async def save(self, data: Path | str | bytes) -> None:
        """Saves bytes, a file or a folder."""

    @abstractmethod
    def load_sync(self) -> Path | None:
        """`load` for sync tasks."""

    @abstractmethod
    def save_sync(self, data: Path | str | bytes) -> None:
        """`save` for sync tasks."""


class Checkpoint(BaseCheckpoint):
    """A checkpoint over paths of this machine.

    Args:
        checkpoint_dest: where it is saved.
        checkpoint_src: where it is loaded from; None when there is nothing to load.
    """

    def __init__(self, checkpoint_dest: str, checkpoint_src: str | None = None) -> None:
        self._destination = checkpoint_dest
        self._source = (checkpoint_src or "").strip().strip('"') or None
        self._workspace: Path | None = None
        self._loaded: Path | None = None
        self._is_loaded = False

    @property
    def remote_destination(self) -> str:
        """Where it is saved."""
        return self._destination

    @property
    def remote_source(self) -> str | None:
        """Where it is loaded from."""
        return self._source

    @property
    def path(self) -> Path:
        """A temporary folder of this checkpoint's own; it goes with the checkpoint."""
        if self._workspace is None:
            self._workspace = Path(tempfile.mkdtemp(prefix="flyte-checkpoint-"))
            weakref.finalize(self, shutil.rmtree, self._workspace, ignore_errors=True)
        return self._workspace

    def prev_exists(self) -> bool:
        """True when an earlier attempt may have saved."""
        return self._source is not None

    async def load(self) -> Path | None:
        """Brings what an earlier attempt saved into `path`, once.

        Returns:
            `path` for a folder, `path / "payload"` for a file or bytes, None when nothing was saved.
        """
        return await asyncio.to_thread(self.load_sync)

    async def save(self, data: Path | str | bytes) -> None:
        """Saves bytes, or the file or folder at a path.

        Raises:
            FileNotFoundError: when there is nothing at the path.
        """
        await asyncio.to_thread(self.save_sync, data)

    def load_sync(self) -> Path | None:
        """The same as `load`, blocking."""
        if not self._is_loaded and self._source is not None:
            self._loaded = self._load(_local_path(self._source))
            self._is_loaded = True
        return self._loaded

    def save_sync(self, data: Path | str | bytes) -> None:
        """The same as `save`, blocking."""
        destination = _local_path(self._destination)
        source = None if isinstance(data, bytes) else Path(data)
        if source is not None and not source.exists():
            raise FileNotFoundError(f"Checkpoint source path does not exist: {source}")
        destination.parent.mkdir(parents=True, exist_ok=True)
        written = destination.with_name(f"{destination.name}.{os.getpid()}.part")
        if source is None:
            written.write_bytes(data)  # type: ignore[arg-type]  # bytes, for there is no source
        elif source.is_dir():
            _pack_folder(source, written)
        else:
            shutil.copyfile(source, written)
        written.replace(destination)

    def _load(self, saved: Path) -> Path | None:
        if not saved.is_file() or saved.stat().st_size == 0:
            return None
        if tarfile.is_tarfile(saved):
            with tarfile.open(saved) as archive:
                archive.extractall(self.path, filter="data")
            return self.path
        return Path(shutil.copyfile(saved, self.path / PAYLOAD))


def latest_checkpoint(
    root: Path, glob_pattern: str = "**/last.ckpt", *, key: Callable[[Path], Any] | None = None
) -> Path | None:
    """The newest file under a folder whose name matches, or None.

    Args:
        root: the folder.
        glob_pattern: of the names.
        key: what makes one newer than another; the time of modification unless given.
    """
    return max(Path(root).glob(glob_pattern), key=key or (lambda path: path.stat().st_mtime), default=None)


def _pack_folder(folder: Path, file: Path) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for child in sorted(folder.iterdir()):
            archive.add(child, arcname=child.name)


def _local_path(address: str) -> Path:
    address = address.removeprefix("file://")
    if "://" in address:
        raise ValueError(f"Checkpoints are kept in local folders here, got {address!r}.")
    return Path(address)
