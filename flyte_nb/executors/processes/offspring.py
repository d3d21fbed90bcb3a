"""Ends processes with everything they have started, and tells which those are."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

__all__ = ["MARK", "children", "kill", "kill_marked"]

MARK = "FLYTE_NB_WORKERS"
"""Environment variable that all descendants of a zygote carry: it finds those that nobody is a parent of any more."""

LOOKS = 2
"""So many in a row have to find nothing: a process may start another and end while one look goes by."""
END_SECONDS = 2.0
"""How long those that carry a mark may take to end."""

PARENT, MEMORY_BYTES, ENVIRONMENT_START, ENVIRONMENT_END = 1, 20, 47, 48
"""Places in /proc/PID/stat, counted behind the name."""


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
    """Kills the processes, but not this one, that had the mark when they started, and waits until they have ended.

    Does nothing without /proc.
    """
    wanted = f"{MARK}={mark}".encode()
    deadline = time.monotonic() + END_SECONDS
    looks = LOOKS
    while looks and time.monotonic() < deadline:
        found = [pid for pid in _processes() if pid != os.getpid() and _kill_if_started_with(wanted, pid)]
        looks = LOOKS if found else looks - 1
        time.sleep(0.001)


def _kill_if_started_with(wanted: bytes, pid: int) -> bool:
    """Whether to look again."""
    try:
        environment = _environment(pid)
    except OSError:  # it has ended, or is another user's
        return False
    if environment is None:
        return True
    if wanted not in environment.split(b"\0"):
        return False
    kill(pid)
    return True


def _environment(pid: int) -> bytes | None:
    """What a process was started with; None where that cannot be told now: it begins another program, or has just."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        if environment := file.read():
            return environment
    state = _state(pid)
    has_none = state[ENVIRONMENT_START] == state[ENVIRONMENT_END] != b"0"
    if has_none or state[MEMORY_BYTES] == b"0":  # no memory: a zombie, or the system's own
        return b""
    return None


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except FileNotFoundError:
        return []


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(_state(pid)[PARENT])
    return 0


def _state(pid: int) -> list[bytes]:
    """What the system tells of a process, behind its name."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
