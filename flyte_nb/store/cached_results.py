"""Cached results on disk: one file each, named by its key, in a folder for each task.

    cache/TASK/KEY          a result, and what its key was made of
    cache/TASK/code-DIGEST  what the task's code held in that version, to tell later what changed
    cache/TASK/KEY.lock     held by who computes the result, where only one may

TASK is a hash of the task's name. Files are written beside their place and renamed into it, each a frame with a
checksum (`flyte_nb.store.frames`): whoever reads sees a whole one, an earlier whole one, or none.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from flyte_nb.store.errors import StoreError
from flyte_nb.store.events import as_unicode
from flyte_nb.store.frames import frames_in, pack_frames
from flyte_nb.store.locks import FileLock

__all__ = [
    "LOCK",
    "CachedCode",
    "CachedInput",
    "CachedResult",
    "CodeItem",
    "DamagedResultError",
    "code_path",
    "read_code",
    "read_result",
    "remove_idle_locks",
    "remove_results",
    "renew_result",
    "stored_results",
    "write_file",
]

CODE = "code-"
LOCK = ".lock"
NEW = ".new"
RENEW_SECONDS = 3600.0
"""A result that is used counts as new after so long."""
T = TypeVar("T", bound=msgspec.Struct)


class DamagedResultError(StoreError):
    """A stored result is not whole."""


class CachedInput(msgspec.Struct, array_like=True, frozen=True):
    """One input of the call whose result is stored."""

    name: str
    type: str
    digest: bytes
    """Of its value; empty when it does not count."""
    text: str
    """The value in a few words."""


class CachedResult(msgspec.Struct, array_like=True, frozen=True, tag="result 1"):
    """A result and what its key was made of. Fields are only ever added at the end, with a default."""

    task: str
    payload: bytes
    """The outputs as recorded; large values stand in it as references into the value store."""
    run: str
    action: str
    """Which action computed it."""
    at_ns: int
    took_ns: int
    why: str
    """Why it was computed although a result may have been stored before; empty when there was none."""
    inputs: list[CachedInput]
    outputs: list[tuple[str, str]]
    """(name, type) of every output."""
    version: str
    """What stands for the code in the key."""
    deep_digest: str
    """Of the code that computed it, where the version says so; empty where the user says the version."""
    salt: str


class CodeItem(msgspec.Struct, array_like=True, frozen=True):
    """One thing that a task's code reaches."""

    name: str
    kind: str
    digest: str


class CachedCode(msgspec.Struct, array_like=True, frozen=True, tag="code 1"):
    """What the code of one version holds."""

    items: list[CodeItem]


_encode = msgspec.msgpack.Encoder().encode
_result = msgspec.msgpack.Decoder(CachedResult)
_code = msgspec.msgpack.Decoder(CachedCode)


def read_result(path: str) -> CachedResult | None:
    """The result in a file; None when there is none, or one of a newer format.

    Raises:
        DamagedResultError: the file is not whole, or cannot be read.
    """
    return _read(path, _result)


def read_code(folder: str, deep_digest: str) -> CachedCode | None:
    """What the code of a version of the folder's task holds; None when that was not kept."""
    try:
        return _read(code_path(folder, deep_digest), _code)
    except DamagedResultError:  # it only helps to explain
        return None


def write_file(path: str, content: CachedResult | CachedCode) -> None:
    """Puts a file in its place, in one step.

    Raises:
        OSError: it cannot be written.
    """
    try:
        packed = pack_frames([_encode(content)])
    except UnicodeEncodeError:
        packed = pack_frames([_encode(as_unicode(content))])
    temporary = Path(path).with_name(f"{uuid.uuid4().hex}{NEW}")
    try:
        try:
            temporary.write_bytes(packed)
        except FileNotFoundError:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(packed)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def code_path(folder: str, deep_digest: str) -> str:
    """Where it stands what a version of the code holds."""
    return f"{folder}/{CODE}{deep_digest}"


def stored_results(folder: Path, task: str = "*") -> Iterator[tuple[Path, CachedResult]]:
    """Every whole result with its file, in no order.

    Args:
        folder: the store's `cache` folder.
        task: name of one task's folder; all by default.
    """
    for path in folder.glob(f"{task}/*"):
        if not path.name.startswith(CODE) and path.suffix not in (LOCK, NEW):
            with suppress(DamagedResultError):
                result = read_result(str(path))
                if result is not None:
                    yield path, result


def remove_results(folder: Path, paths: list[Path], *, everything: bool = False) -> int:
    """Removes results, and what is said of versions of code that no result has any more.

    Args:
        folder: the store's `cache` folder.
        paths: the files of results.
        everything: also what is not readable, or of an earlier release; only locks stay, for they may be held.

    Returns:
        How many bytes that gave back.
    """
    if everything:
        paths = [path for path in folder.glob("*/*") if path.suffix != LOCK]
    freed = sum(_remove(path) for path in paths)
    for task in {path.parent for path in paths}:
        kept = {f"{CODE}{result.deep_digest}" for _, result in stored_results(folder, task.name)}
        freed += sum(_remove(code) for code in task.glob(f"{CODE}*") if code.name not in kept)
        with suppress(OSError):  # it is not empty, or gone already
            task.rmdir()
    return freed


def remove_idle_locks(folder: Path) -> None:
    """Removes the locks of keys that nobody computes: those which a holder that was killed has left behind.

    Args:
        folder: the store's `cache` folder.
    """
    for path in folder.glob(f"*/*{LOCK}"):
        with suppress(FileNotFoundError):  # its holder has just removed it
            lock = FileLock(path, create=False)
            try:
                if lock.try_exclusive() and lock.is_at(path):
                    path.unlink()
            finally:
                lock.close()


def renew_result(path: str) -> None:
    """Notes that a result is used: what is used is not old."""
    with suppress(OSError):  # it was replaced or cleared meanwhile, or belongs to another user
        if time.time() - os.stat(path).st_mtime > RENEW_SECONDS:
            os.utime(path)


def _remove(path: Path) -> int:
    try:
        size_bytes = path.stat().st_size
        path.unlink()
    except FileNotFoundError:  # another was quicker, or a newer result is being put in its place
        return 0
    return size_bytes


def _read(path: str, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedResultError(f"{path} cannot be read: {error.strerror}") from error
    for payloads, _ in frames_in(data):
        try:
            return decoder.decode(payloads[0])
        except msgspec.DecodeError:  # whole, so it is a format that this release does not know
            return None
    raise DamagedResultError(f"{path} is damaged")
