"""Why a worker is gone, and what its calls are told."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

from flyte_nb.errors import OOMError, RuntimeSystemError
from flyte_nb.executors.user_code import is_users_file, name_cells

__all__ = ["WorkerLostError", "allocation_refused", "describe_exit", "memory_exceeded", "with_tail"]

SIGNAL_WORDS = {
    signal.SIGSEGV: "it accessed memory that is not its own",
    signal.SIGBUS: "it accessed memory or a mapped file that is not there",
    signal.SIGABRT: "its code aborted",
    signal.SIGFPE: "an arithmetic error in native code",
    signal.SIGILL: "an instruction that this processor does not have",
    signal.SIGKILL: "killed from outside, or the machine ran out of memory",
    signal.SIGTERM: "told to end from outside",
}
TAIL_CHARACTERS = 4000
TAIL_LINES = 20
THREAD = re.compile(r"(Current thread|Thread) 0x[0-9a-f]+ .*\(most recent call first\):")
FRAME = re.compile(r'  File "(?P<file>[^"]*)", line \d+ in ')
MORE_MEMORY = 'Give it more with override(resources=flyte.Resources(memory="..."))'
MORE_THAN_ITS_POOL = 'Give its environment more, or the task with override(reusable="off", resources=...)'


class WorkerLostError(RuntimeSystemError):
    """The process that ran an attempt is gone.

    Attributes:
        shared: other calls ran in the same process, so that the attempt does not count.
        cleared: another of them is known to be the cause.
    """

    def __init__(self, message: str, worker: str, shared: bool = False, cleared: bool = False) -> None:
        super().__init__("WorkerLost", message, worker)
        self.shared = shared
        self.cleared = cleared


def describe_exit(status: int) -> str:
    """What a wait status says, in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            known = signal.Signals(number)
        except ValueError:
            return f"died of signal {number}"
        words = SIGNAL_WORDS.get(known)
        return f"died of {known.name}" + (f": {words}" if words else "")
    code = os.WEXITSTATUS(status)
    return f"ended by itself with exit code {code}: task code called os._exit, or a library did"


def with_tail(message: str, text: str) -> str:
    """A message with the last output of the process below it."""
    lines = list(_readable(text.splitlines()))[-TAIL_LINES:]
    tail = "\n".join(lines)[-TAIL_CHARACTERS:].strip("\n")
    return f"{message}\nIts last output:\n{tail}" if tail else message


def _readable(lines: list[str]) -> Iterator[str]:
    """The lines, of tracebacks that a dying process wrote only those of the user's code.

    They list all threads, and above every frame of the user's those of the engine and of the interpreter.
    """
    in_traceback = False
    for line in lines:
        if THREAD.match(line):
            in_traceback = True
            continue
        frame = FRAME.match(line) if in_traceback else None
        if frame is not None:
            if is_users_file(frame["file"]) and frame["file"] != "<string>":
                yield name_cells(line)
        elif not in_traceback or line.strip():
            in_traceback = False
            if not line.startswith("Extension modules:"):
                yield line


def memory_exceeded(
    name: str, limit_bytes: int, peak_bytes: int, worker: str, tail: str, is_reused: bool = False, calls_before: int = 0
) -> OOMError:
    """The error of an attempt that used more memory than it may.

    Args:
        is_reused: its process is one of a pool.
        calls_before: how many others have run there: what they left counts.
    """
    message = f"{name} used more memory than its limit: {_size(peak_bytes)} of {_size(limit_bytes)}. "
    if calls_before:
        message += f"That counts what {calls_before} calls before it have left in its worker. "
    return OOMError("OOMError", with_tail(message + _more_memory(is_reused), tail), worker)


def allocation_refused(name: str, limit_bytes: int, worker: str, is_reused: bool = False) -> OOMError:
    """The error of an attempt that asked for far more at once than it may have: a MemoryError was its cause."""
    message = f"{name} asked for more memory than its limit of {_size(limit_bytes)} allows. {_more_memory(is_reused)}"
    return OOMError("OOMError", message, worker)


def _more_memory(is_reused: bool) -> str:
    return MORE_THAN_ITS_POOL if is_reused else MORE_MEMORY


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.0f} MiB"
