"""Where files lie: plain paths of this machine, and addresses such as `s3://...` that fsspec reaches.

Paths of this machine need nothing but the standard library. Everything else goes through fsspec and its package for
that scheme, when they are installed.
"""

from __future__ import annotations

import fnmatch
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from flyte_nb.authoring.context import current_scope
from flyte_nb.models import RawDataPath, TaskContext

__all__ = [
    "absolute",
    "copy",
    "copy_folder",
    "exists",
    "is_remote",
    "join",
    "name_of",
    "new_path",
    "open_file",
    "size_bytes",
    "task_context",
    "temporary_path",
    "walk_files",
]


def task_context() -> TaskContext | None:
    """The context of the running task, None outside of one."""
    scope = current_scope.get()
    return None if scope is None else scope.controller.task_context(scope)


def new_path(name: str | None = None) -> str:
    """A path under the raw data of the running task that nothing else has.

    Raises:
        ValueError: outside a task.
    """
    context = task_context()
    raw_data: RawDataPath | None = None if context is None else context.raw_data_path
    if raw_data is None:
        raise ValueError("Raw data path has not been set in the context.")
    return raw_data.get_random_remote_path(name)


def is_remote(path: str) -> bool:
    """True for an address such as `s3://bucket/key`, False for a path of this machine."""
    return "://" in path and not path.startswith("file://")


def absolute(path: str) -> str:
    """The same place, whatever the working directory."""
    return path if is_remote(path) or path.startswith("::") else str(_local(path).absolute())


def name_of(path: str) -> str:
    """The last part of a path."""
    return Path(path).name


def join(path: str, name: str) -> str:
    """A file in a folder."""
    return f"{path.rstrip('/')}/{name}" if is_remote(path) else os.path.join(path, name)


def exists(path: str) -> bool:
    """True when there is a file or folder."""
    return bool(_filesystem(path).exists(path)) if is_remote(path) else _local(path).exists()


def size_bytes(path: str) -> int | None:
    """The size of a local file, or of all files in a local folder; None when it is not there or not here."""
    if is_remote(path):
        return None
    try:
        if os.path.isdir(path):
            return sum(os.path.getsize(file) for file in walk_files(path))
        return os.path.getsize(_local(path))
    except OSError:
        return None


def open_file(path: str, mode: str, **options: Any) -> IO[Any]:
    """Opens a file; a file that is written gets its folder."""
    if is_remote(path):
        opened: IO[Any] = _filesystem(path).open(path, mode=mode, **options)
        return opened
    if any(letter in mode for letter in "wax"):
        _local(path).parent.mkdir(parents=True, exist_ok=True)
    return open(_local(path), mode, encoding=None if "b" in mode else "utf-8")


def copy(source: str, destination: str) -> str:
    """Copies a file; into a folder when the destination is one or ends with a separator. Returns where it is now."""
    into_folder = destination.endswith(("/", os.sep)) or (not is_remote(destination) and os.path.isdir(destination))
    if into_folder:
        destination = join(destination, name_of(source))
    if not is_remote(source) and not is_remote(destination):
        _local(destination).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(_local(source), _local(destination))
        return str(_local(destination).absolute())
    with open_file(source, "rb") as reader, open_file(destination, "wb") as writer:
        shutil.copyfileobj(reader, writer, 8 * 1024 * 1024)
    return destination


def copy_folder(source: str, destination: str) -> str:
    """Copies what a folder holds. Returns where it is now."""
    if not is_remote(source) and not is_remote(destination):
        shutil.copytree(_local(source), _local(destination), dirs_exist_ok=True)
        return str(_local(destination).absolute())
    for file in walk_files(source):
        copy(file, join(destination, file.removeprefix(source).lstrip("/" + os.sep)))
    return destination


def temporary_path(name: str) -> str:
    """A new place on this machine for a file or folder that is fetched."""
    return os.path.join(tempfile.mkdtemp(prefix="flyte_nb_"), name)


def walk_files(path: str, max_depth: int | None = None, pattern: str = "*") -> Iterator[str]:
    """The files under a folder, in the order of their names, the folder's own before those of its folders.

    Args:
        path: the folder.
        max_depth: 1 for the folder itself only, None for all below it.
        pattern: a glob pattern for file names.
    """
    remote = _filesystem(path) if is_remote(path) else None
    if remote is not None:
        for parent, _, files in remote.walk(path, maxdepth=max_depth):
            yield from (remote.unstrip_protocol(f"{parent}/{name}") for name in sorted(files) if _fits(name, pattern))
        return
    root = str(_local(path))
    for parent, folders, files in os.walk(root):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(files) if _fits(name, pattern))
        depth = 1 if parent == root else 1 + len(Path(parent).relative_to(root).parts)
        if max_depth is not None and depth >= max_depth:
            folders.clear()


def _fits(name: str, pattern: str) -> bool:
    return pattern == "*" or fnmatch.fnmatch(name, pattern)


def _local(path: str) -> Path:
    return Path(path.removeprefix("file://"))


def _filesystem(path: str) -> Any:
    scheme = path.partition("://")[0]
    package = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}.get(
        scheme
    )
    try:
        # An optional package, and not one of ours: nothing but remote files needs it.
        return importlib.import_module("fsspec").filesystem(scheme)
    except ImportError as error:
        wanted = " ".join(filter(None, ("fsspec", package)))
        raise ImportError(f"{path} is not on this machine; to reach it: pip install {wanted}") from error
    except ValueError as error:
        raise ValueError(f"{path}: fsspec knows no filesystem for {scheme}://") from error
