"""Large values, one file each, named by what is in it.

    values/ab/abcdef...    a value, see `flyte_nb.store.value_files`
    values/new/...         what is being written

A file is written under a temporary name, renamed into place, and never changed again; whoever reads it, in whatever
process, maps the same memory copy-on-write. What is passed on as it was mapped is neither digested nor written again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flyte_nb.store.disk import sync_folder, sync_path
from flyte_nb.store.errors import FULL_CURE, StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.mappings import Mappings
from flyte_nb.store.value_files import Content, mapped, part_bounds, read

__all__ = ["ValueStore", "open_values"]

NEW = "new"
ABANDONED_SECONDS = 3600.0
"""A file that has been new for so long belongs to a writer that was killed."""

MAP_BYTES = 1 << 20
"""Smaller values are read: faster than a mapping's page faults, and before Python 3.13 a mapping keeps a descriptor."""

TWO_HANDED_BYTES = 4 << 20
"""From this size a value is digested while it is written."""

SAMPLES_KEPT = 1000

FOLDER_CHARS = 2
RENEW_SECONDS = 60.0
"""A value that is put again counts as new after so long: far less than it takes until one is dropped unnamed."""


def open_values(home: str) -> ValueStore:
    """The value store of a home by its path, for workers."""
    return ValueStore(Home(Path(home)))


class ValueStore:
    """The value store of a home; implements `flyte_nb.types.base.Blobs`. Every method may be called from any thread.

    Args:
        home: the store; None finds it.
    """

    def __init__(self, home: Home | None = None) -> None:
        self._home = home or Home.find()
        self._mappings = Mappings()
        self._samples: dict[int, None] = {}
        self._seen: set[str] = set()
        self._unsynced: set[str] = set()
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._sweep()

    @property
    def home(self) -> Home:
        """The store."""
        return self._home

    def put(self, parts: Sequence[bytes | memoryview]) -> str:
        """Stores the parts, in order; writes nothing when they are stored already.

        The file is in the OS's hands when this returns; `sync` brings it to the disk.

        Returns:
            The digest of parts and lengths, in hexadecimal.

        Raises:
            StoreError: it cannot be written.
        """
        content = Content(parts)
        digest = self._mappings.digest_of(content.parts)
        if digest is None and content.size_bytes >= TWO_HANDED_BYTES and self._is_new(content):
            with ThreadPoolExecutor(1, "flyte_nb digest") as other_hand:
                digest = self._write(content, other_hand.submit(content.digest).result)
        else:
            digest = self._write_missing(content, digest or content.digest())
        self.note_stored([digest])
        return digest

    def get(self, digest: str) -> list[memoryview]:
        """The parts, each a writable view of this reader's own: writing to one never changes what is stored.

        The memory of a large value is the file's, shared by all its readers; a page that one of them writes to becomes
        that reader's own. It is given back with the last view.

        Raises:
            KeyError: when nothing is stored under the digest.
            StoreError: the file is damaged, or cannot be read.
        """
        path = self.path(digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size_bytes = os.fstat(fd).st_size
                memory = mapped(fd) if size_bytes >= MAP_BYTES else None
                content = read(fd, size_bytes) if memory is None else memoryview(memory)
            finally:
                os.close(fd)
        except FileNotFoundError:
            raise KeyError(f"No value with digest {digest} in {self._home.values}") from None
        except OSError as error:
            raise StoreError(f"The value {path} cannot be read: {error.strerror}") from error
        bounds = part_bounds(content, path)
        if memory is not None:
            self._mappings.add(digest, memory, bounds)
        return [content[start:end] for start, end in bounds]

    def path(self, digest: str) -> Path:
        """The file of a value."""
        return self._home.values / digest[:2] / digest

    def is_intact(self, digest: str) -> bool:
        """Whether the stored content still has its digest."""
        try:
            return Content(self.get(digest)).digest() == digest
        except (KeyError, StoreError):
            return False

    def stored(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every value that is stored: its digest and its file's state."""
        with os.scandir(self._home.values) as folders:
            names = [folder.name for folder in folders if len(folder.name) == FOLDER_CHARS]
        for name in names:
            with os.scandir(self._home.values / name) as files:
                for file in files:
                    with contextlib.suppress(FileNotFoundError):  # dropped meanwhile
                        yield file.name, file.stat()

    def renew(self, digest: str) -> bool:
        """Whether the value is stored; if so, it counts as put now, so that nobody drops it before it is named."""
        return self._is_renewed(self.path(digest))

    def adopt(self, path: Path, digest: str) -> None:
        """Takes a file over, from the same file system, whose content is known to have the digest.

        Raises:
            StoreError: it cannot be moved into place.
        """
        try:
            if not self._is_renewed(self.path(digest), path.stat().st_size):
                path.chmod(0o444)
                self.path(digest).parent.mkdir(exist_ok=True)
                path.rename(self.path(digest))
        except OSError as error:
            reason = f"A value cannot be written to {self._home.values}: {error.strerror}"
            raise StoreError(f"{reason}. {FULL_CURE}") from error
        self.note_stored([digest])

    def drop(self, digest: str, put_before: float) -> int:
        """Deletes a value that nothing names, unless it was put or renewed since.

        Whoever puts it at this moment either renews it before it is moved aside (then it is moved back) or finds it
        gone, and writes it anew.

        Args:
            digest: the value.
            put_before: the time since when it counts as in use, in seconds since the epoch.

        Returns:
            How many bytes were freed.
        """
        aside = self._aside()
        aside.parent.mkdir(exist_ok=True)
        try:
            self.path(digest).rename(aside)
        except FileNotFoundError:
            return 0
        state = aside.stat()
        if state.st_mtime >= put_before:
            aside.rename(self.path(digest))
            return 0
        aside.unlink()
        return state.st_size

    def sync(self) -> None:
        """Returns once every value put so far survives a power cut, except those that somebody deleted meanwhile.

        Raises:
            StoreError: the disk refused; the OS may have dropped what it could not write, so nothing more is promised.
        """
        with self._sync_lock:
            paths = [self.path(digest) for digest in self.take_fresh()]
            try:
                for path in paths:
                    with contextlib.suppress(FileNotFoundError):
                        sync_path(path)
                for folder in {path.parent for path in paths}:
                    with contextlib.suppress(FileNotFoundError):
                        sync_folder(folder)
            except OSError as error:
                raise StoreError(f"A value in {self._home.values} could not be synced: {error.strerror}") from error

    def take_fresh(self) -> list[str]:
        """The digests of values that were put and not synced; from now on to sync them is the caller's concern.

        A worker names them to its kernel, which notes them with `note_stored`.
        """
        with self._lock:
            digests, self._unsynced = list(self._unsynced), set()
        return digests

    def note_stored(self, digests: Iterable[str]) -> None:
        """These values are stored, by whatever process: the next `sync` includes those that were not synced yet."""
        with self._lock:
            fresh = [digest for digest in digests if digest not in self._seen]
            self._seen.update(fresh)
            self._unsynced.update(fresh)

    def _is_new(self, content: Content) -> bool:
        """Whether the content cannot be one that was put lately; only a guess when it can."""
        sample = content.sample()
        with self._lock:
            is_new = sample not in self._samples
            self._samples.pop(sample, None)
            self._samples[sample] = None
            if len(self._samples) > SAMPLES_KEPT:
                del self._samples[next(iter(self._samples))]
        return is_new

    def _write_missing(self, content: Content, digest: str) -> str:
        if not self._is_renewed(self.path(digest), content.size_bytes):
            self._write(content, lambda: digest)
        return digest

    def _is_renewed(self, path: Path, size_bytes: int | None = None) -> bool:
        """Whether the file is there (and of this size); its time is brought up to date then."""
        try:
            state = path.stat()
            if size_bytes not in (None, state.st_size):
                return False
            if time.time() - state.st_mtime > RENEW_SECONDS:
                with contextlib.suppress(PermissionError):  # another user's file, and theirs to drop
                    os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _aside(self) -> Path:
        """A path for a file on its way in or out."""
        return self._home.values / NEW / uuid.uuid4().hex

    def _write(self, content: Content, find_digest: Callable[[], str]) -> str:
        """Writes a value's file; the digest is asked for when its name is needed."""
        temporary = self._aside()
        try:
            temporary.parent.mkdir(exist_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            try:
                content.write(fd)
            finally:
                os.close(fd)
            digest = find_digest()
            path = self.path(digest)
            if not self._is_renewed(path, content.size_bytes):
                path.parent.mkdir(exist_ok=True)
                temporary.rename(path)
                with self._lock:
                    self._seen.discard(digest)  # it was deleted, or is damaged: whatever was synced is not this file
        except OSError as error:
            raise StoreError(
                f"A value cannot be written to {self._home.values}: {error.strerror}. {FULL_CURE}"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return digest

    def _sweep(self) -> None:
        """Deletes what writers that were killed have left behind."""
        long_ago = time.time() - ABANDONED_SECONDS
        with contextlib.suppress(OSError), os.scandir(self._home.values / NEW) as files:
            for file in files:
                if file.stat().st_mtime < long_ago:
                    os.unlink(file)
