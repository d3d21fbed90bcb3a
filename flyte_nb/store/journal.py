"""What a process recorded, as one append-only file: the part of the store that runs wait for.

    append -> a list --flush: one write(2)--> the OS --fsync by a thread--> the disk
                                             survives SIGKILL              survives a power cut

A journal is written by one process and read by all. It is a row of segments of about 64 MB, `ID.0000`, `ID.0001`,
...; each starts with a frame that names its owner. Beside them `ID.lock` is held as long as the owner lives.

A flush writes the same bytes at the same place until it is told that all are there. So an exception raised into the
thread that writes, or a full disk, loses nothing and repeats nothing: what was appended waits for the next flush.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from flyte_nb.store.disk import create_file, sync_file, write_at
from flyte_nb.store.errors import FULL_CURE, JournalWriteError, StoreError
from flyte_nb.store.frames import pack_frames
from flyte_nb.store.home import Home
from flyte_nb.store.locks import FileLock, create_locked
from flyte_nb.store.owner import Owner

__all__ = ["Journal", "SegmentHeader", "lock_path", "new_identifier", "segment_path"]

SEGMENT_BYTES = 64 * 1024 * 1024
SYNC_WITHIN_SECONDS = 0.05
RETRY_SECONDS = 0.5


class SegmentHeader(msgspec.Struct, frozen=True):
    """The first payload of a segment, as JSON."""

    journal: str
    segment: int
    owner: Owner


class Journal:
    """The journal of this process. Every method may be called from any thread."""

    def __init__(self, home: Home, identifier: str, lock: FileLock, before_sync: Callable[[], None] | None) -> None:
        self.identifier = identifier
        self._folder = home.journals
        self._owner = Owner.current()
        self._owner_lock = lock
        self._before_sync = before_sync

        self._payloads: list[bytes] = []
        self._taken = 0
        """How many payloads left the list so far."""
        self._write_lock = threading.Lock()
        self._chunk = b""
        """Frames on their way to the file."""
        self._segment = -1
        self._segment_bytes = 0
        self._fd = -1

        # Taken itself, never through the condition, whose own code an exception could leave with the lock held.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._turn = threading.Lock()
        """Held by a thread that syncs what it waits for itself."""
        self._waiters: list[Future[None]] = []
        self._synced = 0
        """How many payloads are on the disk."""
        self.sync_seconds = 0.0
        """How long it took to bring the last there."""
        self._asleep = True
        """The syncing thread waits to be told that something was appended."""
        self._ended: str | None = None
        """Why nothing can be appended any more."""
        self._broken = False
        self._begin_segment()
        self._thread = threading.Thread(target=self._keep_synced, name="flyte-journal", daemon=True)
        self._thread.start()

    @classmethod
    def create(cls, home: Home | None = None, *, before_sync: Callable[[], None] | None = None) -> Journal:
        """A new journal, owned by this process until `close` or the process's end.

        Args:
            home: the store; None finds it.
            before_sync: called before each fsync, e.g. `ValueStore.sync`: what a frame names is on the disk before it.

        Raises:
            StoreError: the store cannot be written or is newer than this release.
        """
        home = (home or Home.find()).ensure()
        identifier = new_identifier()
        try:
            journal = cls(home, identifier, create_locked(lock_path(home.journals, identifier)), before_sync)
        except OSError as error:
            reason = f"{home.journals} takes no new journal: {error.strerror}"
            raise JournalWriteError(f"{reason}. {FULL_CURE}") from error
        open_journals.add(journal)
        atexit.register(journal.close)
        return journal

    def append(self, payload: bytes) -> int:
        """Adds a payload. It reaches the OS with the next `flush`, and the disk within 50 ms.

        Returns:
            The position behind it, for `durable`.

        Raises:
            JournalWriteError: the journal is closed.
        """
        self._payloads.append(payload)
        if self._asleep:
            self._wake()
        return self._taken + len(self._payloads)

    def append_together(self, payloads: Sequence[bytes]) -> int:
        """Adds several payloads that reach the OS with one write: whoever kills this process finds all or none.

        Returns:
            The position behind the last.

        Raises:
            JournalWriteError: the journal is closed.
        """
        self._payloads.extend(payloads)
        if self._asleep:
            self._wake()
        return self._taken + len(self._payloads)

    def flush(self) -> None:
        """Hands everything appended so far to the OS, with one write.

        Raises:
            JournalWriteError: it could not be written. It is kept, and the next flush tries again.
        """
        with self._write_lock:
            if self._broken:
                raise JournalWriteError(self._ended)
            self._flush()

    def durable(self, position: int) -> Future[None]:
        """A future that is done when everything up to the position survives a power cut; flushes by itself.

        Simultaneous ones share an fsync. It fails with JournalWriteError when the journal cannot be written.
        """
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if position <= self._synced:
                future.set_result(None)
            elif self._ended is not None:
                future.set_exception(JournalWriteError(self._ended))
            else:
                self._waiters.append(future)
                self._changed.notify()
        return future

    def wait_durable(self, position: int) -> None:
        """Blocks until everything up to the position survives a power cut.

        The first who waits syncs; those who come meanwhile share the next fsync.

        Raises:
            JournalWriteError: it could not be written.
        """
        if not self._turn.acquire(blocking=False):
            self.durable(position).result()
            return
        try:
            self.sync(position)
        finally:
            self._turn.release()

    def sync(self, position: int) -> None:
        """Brings everything up to the position to the disk, on this thread: sooner than another can be woken for it.

        Raises:
            JournalWriteError: it could not be written.
        """
        if position <= self._synced:
            return
        failure = JournalWriteError(self._ended) if self._ended is not None else self._flush_and_sync()
        if failure is not None:
            raise failure

    def is_in_place(self) -> bool:
        """Whether readers still find the file that is written: nobody deleted or moved the store."""
        with self._write_lock:
            try:
                return os.path.samestat(os.stat(self._path()), os.fstat(self._fd))
            except OSError:
                return False

    def close(self) -> None:
        """Writes and syncs everything, and ends the ownership. Nothing can be appended afterwards.

        Raises:
            JournalWriteError: the last frames could not be written.
        """
        with self._lock:
            if self._ended is not None:
                return
            self._ended = f"The journal {self.identifier} is closed."
            self._asleep = True
            self._changed.notify()
        self._thread.join()
        self._let_go()
        self._owner_lock.close()
        if self._chunk or self._broken:
            raise JournalWriteError(f"{self._path()} lacks what was recorded last. {FULL_CURE}")

    def _wake(self) -> None:
        """Tells the syncing thread that something was appended."""
        with self._lock:
            if self._ended is not None:
                raise JournalWriteError(self._ended)
            self._changed.notify()
            self._asleep = False

    def _flush(self) -> int:
        """Writes what was appended; returns how many payloads are written now (called with the write lock held)."""
        self._write_chunk()
        if count := len(self._payloads):
            chunk = pack_frames(self._payloads[:count])
            # No call until the list is cut: an exception raised into this thread finds all of it done or nothing.
            self._chunk = chunk
            self._taken += count
            del self._payloads[:count]
            self._write_chunk()
        return self._taken

    def _write_chunk(self) -> None:
        if not self._chunk:
            return
        try:
            if self._segment_bytes >= SEGMENT_BYTES:
                self._begin_segment()
            write_at(self._fd, self._chunk, self._segment_bytes)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._segment_bytes)
            raise JournalWriteError(f"{self._path()} cannot be written: {error.strerror}. {FULL_CURE}") from error
        self._segment_bytes += len(self._chunk)
        self._chunk = b""

    def _begin_segment(self) -> None:
        """Goes on in a new segment, once the old one is on the disk."""
        if self._fd >= 0:
            self._sync(self._fd)
        segment = self._segment + 1
        head = pack_frames([msgspec.json.encode(SegmentHeader(self.identifier, segment, self._owner))])
        fd = create_file(segment_path(self._folder, self.identifier, segment), head)
        full, self._fd, self._segment, self._segment_bytes = self._fd, fd, segment, len(head)
        if full >= 0:
            os.close(full)

    def _keep_synced(self) -> None:
        """The syncing thread: an fsync whenever somebody waits for one, and within 50 ms of any append."""
        ended = False
        while not ended and not self._broken:
            with self._lock:
                self._await_work()
                ended = self._ended is not None
                waiters, self._waiters = self._waiters, []
            failure = self._flush_and_sync()
            for future in waiters:
                if failure is None:
                    future.set_result(None)
                else:
                    future.set_exception(failure)
            if failure is not None and not ended:
                with self._lock:
                    self._changed.wait(RETRY_SECONDS)

    def _await_work(self) -> None:
        """Returns when somebody waits for an fsync or one is due (called with the lock held)."""
        while not self._waiters and self._ended is None:
            self._changed.wait(SYNC_WITHIN_SECONDS)  # awake: whoever appends meanwhile need not say so
            if self._has_work():
                return
            self._asleep = True
            while not self._has_work():
                self._changed.wait()
                self._asleep = True  # what woke it may be on the disk by now, by somebody else's sync
            self._asleep = self._ended is not None

    def _has_work(self) -> bool:
        """Whether the syncing thread has anything to do; one may wait for what its present round is syncing."""
        return bool(self._payloads or self._waiters or self._synced != self._taken or self._ended is not None)

    def _flush_and_sync(self) -> JournalWriteError | None:
        """Brings everything appended so far to the disk; returns why that failed."""
        began = time.monotonic()
        try:
            with self._write_lock:
                written = self._flush()
                fd = os.dup(self._fd)
            try:
                self._sync(fd)
            finally:
                os.close(fd)
        except JournalWriteError as error:
            return error
        except OSError as error:
            return JournalWriteError(f"{self._path()} cannot be synced: {error.strerror}. {FULL_CURE}")
        with self._lock:
            self._synced = max(self._synced, written)
        self.sync_seconds = time.monotonic() - began
        return None

    def _sync(self, fd: int) -> None:
        try:
            if self._before_sync is not None:
                self._before_sync()
            sync_file(fd)
        except (OSError, StoreError) as error:
            # After a failed fsync the OS may have dropped what it could not write: nothing more can be promised.
            failure = f"{self._path()} cannot be synced: {error}. {FULL_CURE}"
            with self._lock:
                self._broken, self._ended, self._asleep = True, failure, True
            raise JournalWriteError(failure) from error

    def _path(self) -> Path:
        return segment_path(self._folder, self.identifier, self._segment)

    def _let_go(self) -> None:
        atexit.unregister(self.close)
        open_journals.discard(self)
        os.close(self._fd)
        self._fd = -1

    def _disown(self) -> None:
        """In the child of a fork: the journal is the parent's, and so is what it still has to write."""
        self._ended = f"The journal {self.identifier} belongs to the process that this one was forked from."
        self._asleep = True
        self._payloads, self._chunk = [], b""
        self._lock, self._write_lock, self._turn = threading.Lock(), threading.Lock(), threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._owner_lock.abandon()
        self._let_go()


def new_identifier() -> str:
    """The name of a new journal: its time, and what makes it unlike any other."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:12]}"


def segment_path(folder: Path, identifier: str, segment: int) -> Path:
    """The file of a segment."""
    return folder / f"{identifier}.{segment:04}"


def lock_path(folder: Path, identifier: str) -> Path:
    """The file that the owner of a journal holds locked."""
    return folder / f"{identifier}.lock"


open_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def disown_all() -> None:
    """In the child of a fork: lets go of every journal of the parent."""
    for journal in list(open_journals):
        journal._disown()


os.register_at_fork(after_in_child=disown_all)
