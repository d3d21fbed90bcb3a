"""The private memory of a worker and of all that it started: what counts against a memory limit.

    RssAnon + VmSwap     of each process, of the first one only what came since; what forks share counts once
    shared segments      that the processes made or opened (RssShmem), once each
    mapped values        not at all, on whatever file system they lie; only pages that were written, being private then

Linux says all that in `/proc`. Elsewhere psutil says about the same, more slowly; there mapped values count where they
were read.
"""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from typing import Protocol

__all__ = ["PortableTrees", "ProcTrees", "Tree", "Trees", "trees_of_this_system"]

STATUS_BYTES = 8192
STAT_STATE, STAT_PARENT, STAT_SESSION, STAT_STACK = 0, 1, 3, 25
"""Fields of `/proc/PID/stat`, counted after the name."""
SEGMENTS_SECONDS = 0.25
"""Looking at every mapping takes milliseconds where a line of `/proc/PID/status` takes microseconds."""
FIND_SECONDS = 0.05
FORKS_SECONDS = 1.0
"""How often it is looked at what forks no longer share with their parents."""

_SEGMENT = re.compile(
    rb"^\S+ ...s \S+ (\S+ \d+) +(?:/dev/shm/|/memfd:|/SYSV|/dev/zero)[^\n]*\n(?:[^\n]*\n)*?Rss: +(\d+)", re.MULTILINE
)
"""A shared mapping of memory: its device and inode, and how much of it is resident."""


class Tree(Protocol):
    """A process and its descendants, those that moved to a session of their own included."""

    def used_bytes(self, limit_bytes: int) -> int | None:
        """Private memory since the tree was opened, exact where it is above the limit; None once the process ended."""

    def close(self) -> None:
        """Lets go of what watching it holds."""


class Trees(Protocol):
    """The trees that are watched."""

    find_seconds: float
    """How often `find` is worth its cost."""
    fastest_seconds: float
    """How often reading is."""

    def open(self, pid: int) -> Tree:
        """The tree of a process, as it stands now.

        Raises:
            ProcessLookupError: there is no such process.
        """

    def find(self) -> None:
        """Enters processes that were started since into their trees."""


# ---------------------------------------------------------------- Linux


class _Process:
    """Readings of one process; its number cannot come to mean another one while the file is open."""

    __slots__ = ("_status", "anon_bytes", "base_bytes", "look_at", "shared_base_bytes", "shared_bytes")

    def __init__(self, pid: int) -> None:
        try:
            self._status = os.open(f"/proc/{pid}/status", os.O_RDONLY)
        except FileNotFoundError:
            raise ProcessLookupError(f"there is no process {pid}") from None
        self.base_bytes = self.shared_base_bytes = 0
        self.anon_bytes = self.shared_bytes = 0
        self.look_at: float | None = None
        """Of a fork: when to look next at what it shares."""

    def read(self) -> bool:
        """Takes a reading; False once the process is gone."""
        try:
            status = os.pread(self._status, STATUS_BYTES, 0)
        except ProcessLookupError:
            return False
        self.anon_bytes = _field(status, b"\nRssAnon:") + _field(status, b"\nVmSwap:")
        self.shared_bytes = _field(status, b"\nRssShmem:")
        return True

    def begin_here(self) -> None:
        """What it has now does not count."""
        self.base_bytes, self.shared_base_bytes = self.anon_bytes, self.shared_bytes

    def begin_lower(self) -> None:
        """It may have let go of what it had from its parent, as at an exec: what it takes from now on counts."""
        self.base_bytes = min(self.base_bytes, self.anon_bytes)
        self.shared_base_bytes = min(self.shared_base_bytes, self.shared_bytes)

    def close(self) -> None:
        os.close(self._status)


class _ProcTree:
    def __init__(self, trees: ProcTrees, pid: int) -> None:
        self._trees = trees
        self._segments_bytes = 0
        self._segments_at = 0.0
        self.pid = pid
        self.root = _Process(pid)
        self.root.read()
        self.root.begin_here()
        self.processes = {pid: self.root}
        _, session, self.stack = _relations(pid)
        self.session = session if session == pid else None

    def used_bytes(self, limit_bytes: int) -> int | None:
        anon_bytes = shared_bytes = 0
        for pid, process in list(self.processes.items()):
            if not process.read():
                self.processes.pop(pid).close()
                continue
            if process is not self.root:
                process.begin_lower()
            anon_bytes += max(0, process.anon_bytes - process.base_bytes)
            shared_bytes += max(0, process.shared_bytes - process.shared_base_bytes)
        if self.pid not in self.processes:
            return None
        if anon_bytes <= limit_bytes < anon_bytes + shared_bytes:
            shared_bytes = min(shared_bytes, self._segments())
        return anon_bytes + shared_bytes

    def enter(self, pid: int, stack: int) -> None:
        """A process that the tree started.

        As long as it has not called exec it has its parent's memory: all of it, if it was made by vfork to call exec
        in a moment; a fork that lives on is looked at again.
        """
        with suppress(ProcessLookupError):
            process = _Process(pid)
            process.read()
            if stack == self.stack:
                process.begin_here()
                process.look_at = time.monotonic() + FIND_SECONDS / 2
            self.processes[pid] = process

    def look_at_forks(self) -> None:
        """Counts what forks have for themselves: what they took, and pages that they or their parents have written."""
        now = time.monotonic()
        for pid, process in self.processes.items():
            if process.look_at is None or now < process.look_at:
                continue
            parent, _, stack = _relations(pid)
            if stack != self.stack:
                process.look_at = None
            elif _has_blocked_thread(parent):
                process.look_at = now + FIND_SECONDS / 2
            elif rollup := _read(f"/proc/{pid}/smaps_rollup"):
                process.read()
                process.base_bytes = max(0, process.anon_bytes - _field(rollup, b"\nPrivate_Dirty:"))
                process.look_at = now + FORKS_SECONDS

    def close(self) -> None:
        self._trees.forget(self)
        for process in self.processes.values():
            process.close()
        self.processes.clear()

    def _segments(self) -> int:
        """Shared segments of memory, once each; looked at now and then, for that takes long."""
        now = time.monotonic()
        if now - self._segments_at > SEGMENTS_SECONDS:
            resident: dict[bytes, int] = {}
            for pid in self.processes:
                for segment, kilobytes in _SEGMENT.findall(_read(f"/proc/{pid}/smaps")):
                    resident[segment] = max(resident.get(segment, 0), int(kilobytes) * 1024)
            self._segments_bytes = max(0, sum(resident.values()) - self.root.shared_base_bytes)
            self._segments_at = now
        return self._segments_bytes


class ProcTrees:
    """Trees as Linux shows them."""

    find_seconds = FIND_SECONDS
    fastest_seconds = 0.005

    def __init__(self) -> None:
        self._trees: list[_ProcTree] = []
        self._strangers: set[int] = set()
        """Processes that belong to no tree."""

    def open(self, pid: int) -> Tree:
        """See `Trees`."""
        tree = _ProcTree(self, pid)
        self._trees.append(tree)
        self._strangers.clear()
        return tree

    def find(self) -> None:
        """See `Trees`."""
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._strangers &= pids
        known = set().union(*(tree.processes for tree in self._trees))
        for pid in sorted(pids - known - self._strangers):
            parent, session, stack = _relations(pid)
            for tree in self._trees:
                if session == tree.session or parent in tree.processes:
                    tree.enter(pid, stack)
                    break
            else:
                self._strangers.add(pid)
        for tree in self._trees:
            tree.look_at_forks()

    def forget(self, tree: _ProcTree) -> None:
        """The tree was closed."""
        if tree in self._trees:
            self._trees.remove(tree)


def _relations(pid: int) -> tuple[int, int, int]:
    """Parent, session, and the address of the stack, which a fork keeps and an exec draws anew; zeros if it is gone."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if not fields:
        return 0, 0, 0
    return int(fields[STAT_PARENT]), int(fields[STAT_SESSION]), int(fields[STAT_STACK])


def _has_blocked_thread(pid: int) -> bool:
    """Whether a thread waits where no signal reaches it, as one does that called vfork until its child has called exec:
    what the child has, even now, is its parent's."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return any(
            _read(f"/proc/{pid}/task/{thread}/stat").rpartition(b")")[2].split()[STAT_STATE : STAT_STATE + 1] == [b"D"]
            for thread in os.listdir(f"/proc/{pid}/task")
        )
    return False


def _field(status: bytes, name: bytes) -> int:
    """A line of `/proc/PID/status` in bytes; 0 for a process that has ended and has no such line any more."""
    start = status.find(name)
    return int(status[start + len(name) : status.index(b" kB", start)]) * 1024 if start >= 0 else 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended, or became another user's
        return b""


# ---------------------------------------------------------------- elsewhere


class _PortableTree:
    def __init__(self, pid: int) -> None:
        import psutil

        self._gone = psutil.NoSuchProcess
        self._hidden = psutil.AccessDenied
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise ProcessLookupError(f"there is no process {pid}") from None
        self._base_bytes = 0
        self._base_bytes = self.used_bytes(0) or 0

    def used_bytes(self, limit_bytes: int) -> int | None:
        total = 0
        try:
            processes = [self._process, *self._process.children(recursive=True)]
        except self._gone:
            return None
        for process in processes:
            with suppress(self._gone, self._hidden):
                total += process.memory_full_info().uss
        return max(0, total - self._base_bytes)

    def close(self) -> None:
        """It holds nothing."""


class PortableTrees:
    """Trees as psutil shows them: memory that is a process's own, wherever it came from."""

    find_seconds = fastest_seconds = 0.25

    def open(self, pid: int) -> Tree:
        """See `Trees`."""
        return _PortableTree(pid)

    def find(self) -> None:
        """Nothing to do: every reading looks for the descendants."""


def trees_of_this_system() -> Trees:
    """The fastest way that this system has."""
    return ProcTrees() if sys.platform == "linux" else PortableTrees()
