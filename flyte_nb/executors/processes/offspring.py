"""Ends processes with everything they have started, and tells which those are."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

__all__ = ["MARK", "children", "kill", "kill_marked"]

MARK = "FLYTE_NB_WORKERS"
"""Environment variable that all descendants of a zygote carry: it finds those that nobody is a parent of any more."""


def kill(pid: int) -> None:
    """Kills a process and its process group, if it leads one."""
    for send in (os.kill, os.killpg):
        with suppress(ProcessLookupError, PermissionError):  # gone, or another user's: sudo
            send(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The children of a process that has one thread, zombies included. Linux only."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:  # a system without CONFIG_PROC_CHILDREN
        return [child for child in _processes() if _parent(child) == pid]


def kill_marked(mark: str) -> None:
    """Kills the processes, but not this one, that had the mark when they started. Does nothing without /proc."""
    wanted = f"{MARK}={mark}".encode()
    for pid in _processes():
        if pid == os.getpid():
            continue
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if wanted in file.read().split(b"\0"):
                kill(pid)


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except FileNotFoundError:
        return []


def _parent(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
    return 0
