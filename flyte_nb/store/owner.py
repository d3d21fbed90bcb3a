"""Who writes a journal: which process of which machine, so that others can tell whether it still lives."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import msgspec

__all__ = ["Owner"]


class Owner(msgspec.Struct, frozen=True):
    """A process, named so that no other one is ever taken for it."""

    host: str
    boot: str
    """Which boot of the machine; empty where the system does not say."""
    namespace: str
    """Which numbering of processes (containers have their own)."""
    pid: int
    started: str
    """When the process started, in the system's own words."""

    @classmethod
    def current(cls) -> Owner:
        """The process that calls."""
        return cls(socket.gethostname(), boot_id(), pid_namespace(), os.getpid(), process_start(os.getpid()) or "")

    def is_here(self) -> bool:
        """Whether the process ran on this machine, so that its locks mean something to us."""
        return self.host == socket.gethostname() or (self.boot != "" and self.boot == boot_id())

    def has_vanished(self) -> bool:
        """Whether the process is known to have ended: its number is free, or taken by a later process."""
        if self.host != socket.gethostname():
            return False
        if self.boot != boot_id():
            return True
        return self.namespace == pid_namespace() and process_start(self.pid) != self.started


@cache
def boot_id() -> str:
    """Names this boot of the machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@cache
def pid_namespace() -> str:
    """Names the numbering of processes that this process sees."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def process_start(pid: int) -> str | None:
    """When the process with this number started; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None if Path("/proc/self/stat").exists() else process_start_elsewhere(pid)
    state, *fields = stat[stat.rindex(b")") + 2 :].split()
    return None if state in (b"Z", b"X") else fields[18].decode("ascii")


def process_start_elsewhere(pid: int) -> str | None:
    """The same where there is no /proc (macOS)."""
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
