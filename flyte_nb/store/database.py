"""The DuckDB file, shared by every process: opened to ask something, brought up to date, let go soon after.

    session():  DuckDB -> store.lock -> attach -> migrate -> fold -> a cursor ... -> a short linger -> detach

No process keeps the file open: whoever waits for it holds `runs.want`, the holder looks every 20 ms and lets go as
soon as it is not asking anything. Within a process everybody shares one connection, each thread with a cursor of
its own.

Two traps. Never open the database *file* by other means than DuckDB in a process that may have it open: closing
such a file drops DuckDB's lock on it, and rows are lost. And never fork while it is open: the child's DuckDB would take
the parent's open file for its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.store.errors import StoreBusyError, StoreError
from flyte_nb.store.fold import Goal, fold
from flyte_nb.store.home import STORE_VERSION, Home
from flyte_nb.store.instance import USE, Instance
from flyte_nb.store.locks import FileLock, is_locked
from flyte_nb.store.migrations import migrate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Database"]

LINGER_SECONDS = 0.3
LOOK_SECONDS = 0.02
INSTANCE_SECONDS = 5.0
"""How long DuckDB itself stays, without the file, for the next who asks."""
POLL_SECONDS = 0.003
TURN_SECONDS = 0.1
"""How long a process that let go for another lets it go first."""
FOLD_CPU_SECONDS = 0.01
"""How long a process reads journals at a turn while others wait, in processor time; to write down what it read takes
longer still."""
FOLD_SECONDS = 0.03
"""The same on the clock: where processors are rare each turn gets less far, and others do not wait much longer."""
WAIT_SECONDS = 60.0
FORK_WAIT_SECONDS = 1.0
"""How long a fork waits for queries of other threads."""


class Database:
    """The database of a home; one object in a process. Every method may be called from any thread."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._begin()

    def _begin(self) -> None:
        self._guard = threading.RLock()
        self._left = threading.Condition(self._guard)
        self._lock: FileLock | None = None
        self._instance: Instance | None = None
        self._connection: DuckDBPyConnection | None = None
        """While the file is open."""
        self._spent: set[Path] = set()
        """Files of journals that can go once it is closed."""
        self._lingerer: threading.Thread | None = None
        self._users = 0
        self._used_at = 0.0
        self._gave_way = False
        self._forking = False
        self._forked_in_use = False
        self._held = threading.local()
        """`cursor`, while a thread asks several questions at once."""

    @classmethod
    def of(cls, home: Home) -> Database:
        """The database of a home; the same object for the same home."""
        with databases_guard:
            return databases.setdefault(home.path, cls(home))

    @contextlib.contextmanager
    def session(self) -> Iterator[DuckDBPyConnection]:
        """A cursor on the database as it stands now, everything recorded included.

        Raises:
            StoreBusyError: another program has the file open, or another process asks for longer than a minute.
            StoreVersionError: a newer release wrote it.
            StoreError: it cannot be opened.
        """
        held: DuckDBPyConnection | None = getattr(self._held, "cursor", None)
        if held is not None:
            yield held
            return
        cursor: DuckDBPyConnection | None = None
        try:
            with self._guard:
                if self._connection is not None and not self.home.database.exists():
                    self._close_if(True)  # the store was deleted: begin a new one
                connection = self._open_up_to_date()
                # No call between the two: an interrupt finds both done or none.
                cursor = connection.cursor()
                self._users += 1
            cursor.execute(USE)
            yield cursor
        finally:
            if cursor is not None:
                self._leave(cursor)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What this thread asks within needs one look at the journals, not one a question. Do not nest."""
        with self.session() as cursor:
            self._held.cursor = cursor
            try:
                yield
            finally:
                del self._held.cursor

    @contextlib.contextmanager
    def alone(self) -> Iterator[DuckDBPyConnection]:
        """The database as it stands now, while nobody else of this process asks it: for what changes it."""
        with self._guard:
            self._left.wait_for(lambda: not self._users)
            connection = self._open_up_to_date()
            try:
                yield connection
            finally:
                self._used_at = time.monotonic()
                self._close_if(self._is_wanted())

    def close(self) -> None:
        """Lets the file and DuckDB go now, unless it is being asked."""
        with self._guard:
            self._close_all()

    @contextlib.contextmanager
    def closed(self) -> Iterator[Path]:
        """The file, complete and not open in any process of ours, for as long as the block takes."""
        with self._guard:
            self._open_up_to_date()
            self._left.wait_for(lambda: not self._users)
            if self._connection is None:
                self._open()
            self._detach()
            try:
                yield self.home.database
            finally:
                self._release_lock()

    def _leave(self, cursor: DuckDBPyConnection) -> None:
        try:
            cursor.close()
        finally:
            with self._guard:
                self._users -= 1
                self._used_at = time.monotonic()
                self._close_if(self._is_wanted())
                self._left.notify_all()

    def _open_up_to_date(self) -> DuckDBPyConnection:
        """The database with all that was recorded before; a long fold is done in turns with others who wait."""
        goal: Goal | None = None
        while True:
            connection = self._connection or self._open()
            ends = (time.thread_time() + FOLD_CPU_SECONDS, time.monotonic() + FOLD_SECONDS)
            goal = fold(connection, self.home, self._spent, partial(self._is_turn_over, *ends), goal)
            if goal is None:
                return connection
            self._close_if(True)

    def _is_turn_over(self, cpu_end: float, end: float) -> bool:
        is_due = time.thread_time() > cpu_end or time.monotonic() > end
        return is_due and not self._users and self._is_wanted()

    def _open(self) -> DuckDBPyConnection:
        if self._forked_in_use:
            raise StoreError(f"{self.home.database} was being asked when this process was forked; ask from its parent.")
        self.home.ensure()
        if self._instance is None:
            self._instance, self._used_at = Instance(self.home.database), time.monotonic()
            self._lingerer = threading.Thread(target=self._linger, name="flyte-database", daemon=True)
            self._lingerer.start()
        self._take_lock()
        try:
            connection = self._instance.attach()
            if migrate(connection):
                self.home.write_version(STORE_VERSION)
        except BaseException:
            self._detach()
            self._release_lock()
            raise
        self._connection, self._used_at = connection, time.monotonic()
        return connection

    def _take_lock(self) -> None:
        lock = FileLock(self.home.lock)
        want = FileLock(self.home.want)
        wanting = False
        deadline = time.monotonic() + WAIT_SECONDS
        turn = time.monotonic() + TURN_SECONDS if self._gave_way else 0.0
        try:
            while time.monotonic() < turn and self._is_wanted():
                time.sleep(POLL_SECONDS)
            while not lock.try_exclusive():
                wanting = wanting or want.try_shared()
                if time.monotonic() > deadline:
                    raise StoreBusyError(
                        f"{self.home.database} has been in use by process {lock.read_note() or '?'} for"
                        f" {WAIT_SECONDS:.0f} seconds. Wait for its query to end, or interrupt it there."
                        " Runs are recorded meanwhile."
                    )
                time.sleep(POLL_SECONDS)
        except BaseException:
            lock.close()
            raise
        finally:
            want.close()
        lock.write_note(str(os.getpid()))
        self._lock, self._gave_way = lock, False

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _is_wanted(self) -> bool:
        return is_locked(self.home.want)

    def _close_if(self, due: bool) -> bool:
        """Closes when it is due and nobody asks; whether it is closed."""
        if due and not self._users and self._connection is not None:
            self._gave_way = self._is_wanted()
            self._detach()
            self._release_lock()
        return self._connection is None

    def _detach(self) -> None:
        self._connection = None
        if self._instance is not None:
            self._instance.detach()
        if self._spent:
            self._delete_spent()

    def _delete_spent(self) -> None:
        """Deletes journals, now that the file itself holds all of them; if it does not, they are folded once more."""
        database = self.home.database
        is_complete = database.exists() and not database.with_name(f"{database.name}.wal").exists()
        with contextlib.suppress(OSError):  # what cannot be deleted costs nothing but space
            for file in sorted(self._spent if is_complete else (), reverse=True):
                file.unlink(missing_ok=True)  # a lock before its journal: alone it would stay for good
        self._spent.clear()

    def _close_all(self) -> None:
        """Closes the file and ends DuckDB, unless somebody asks."""
        if self._close_if(True) and self._instance is not None:
            self._instance.close()
            self._instance = None

    def _linger(self) -> None:
        """The thread that closes the file when nobody asked for a while or another process waits, and then DuckDB."""
        ended = False
        while not ended:
            time.sleep(LOOK_SECONDS)
            with self._guard:
                idle = time.monotonic() - self._used_at
                self._close_if(idle > LINGER_SECONDS or self._is_wanted())
                if idle > INSTANCE_SECONDS:
                    self._close_all()
                ended = self._lingerer is not threading.current_thread() or self._instance is None

    def _before_fork(self) -> None:
        self._forking = self._guard.acquire(timeout=FORK_WAIT_SECONDS)
        if self._forking:
            self._left.wait_for(lambda: not self._users, FORK_WAIT_SECONDS)
            self._close_all()

    def _in_parent(self) -> None:
        if self._forking:
            self._forking = False
            self._guard.release()

    def _in_child(self) -> None:
        instance, lock, in_use = self._instance, self._lock, not self._forking
        self._begin()
        if instance is not None:
            instance.abandon()
        if lock is not None:
            lock.abandon()
        self._forked_in_use = in_use or instance is not None


databases: dict[Path, Database] = {}
databases_guard = threading.Lock()


def close_all() -> None:
    """Closes every database of this process."""
    for database in list(databases.values()):
        database.close()


def before_fork() -> None:
    """Closes every database: a child must not inherit an open one."""
    databases_guard.acquire()
    for database in databases.values():
        database._before_fork()


def after_fork_in_parent() -> None:
    """Lets other threads open databases again."""
    for database in databases.values():
        database._in_parent()
    databases_guard.release()


def after_fork_in_child() -> None:
    """Begins anew."""
    global databases_guard
    databases_guard = threading.Lock()
    for database in databases.values():
        database._in_child()


atexit.register(close_all)
os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child)
