"""What a process does between its start and the first code of a user: it becomes a worker.

forked from the zygote, or a fresh interpreter -> run -> Opening, from its socket -> the entry, with its settings
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import ModuleType
from typing import Any

import msgspec

from flyte_nb.executors.frames import LENGTH, WorkerSettings
from flyte_nb.executors.processes import native_threads, offspring
from flyte_nb.executors.processes.native_threads import Setter

__all__ = ["BOOTSTRAP", "ENTRY", "Entry", "Opening", "encode_opening", "find_entry", "main", "run"]

Entry = Callable[[socket.socket, WorkerSettings], None]

ENTRY = "flyte_nb.executors.worker.main:main"
BOOTSTRAP = """\
import sys
if not sys.flags.safe_path:
    del sys.path[0]
import json
order = json.loads(sys.argv[1])
sys.path[:0] = order["first"]
sys.path += [folder for folder in order["last"] if folder not in sys.path]
from flyte_nb.executors.processes import {module}
{module}.main(order)
"""
"""Run with `python -c`: nothing beside the notebook shadows the standard library."""

OOM_SCORE = 500
"""When the whole machine runs out of memory, workers go before the kernel does."""


class Opening(msgspec.Struct, array_like=True, frozen=True):
    """The first frame on a worker's socket."""

    environment: list[tuple[bytes, bytes | None]]
    """What is set differently in the kernel than where the worker comes from; None where it is not set."""
    settings: WorkerSettings
    adds_path: bool = False
    """The interpreter keeps its own `sys.path`, `settings.path` comes after it."""


_decode = msgspec.msgpack.Decoder(Opening).decode


def encode_opening(opening: Opening) -> bytes:
    """The frame for the wire."""
    body = msgspec.msgpack.encode(opening)
    return LENGTH.pack(len(body)) + body


def find_entry(name: str) -> Entry:
    """The function that runs a worker, from `module:function`. The module's `prepare`, if it has one, makes this
    process ready to be forked."""
    module_name, _, function = name.partition(":")
    module = importlib.import_module(module_name)
    if (prepare := getattr(module, "prepare", None)) is not None:
        prepare()
    entry: Entry = getattr(module, function)
    return entry


def run(entry: Entry, sock: socket.socket, setters: Iterable[Setter] = ()) -> None:
    """Makes this process a worker; ends it when the entry returns.

    Args:
        entry: takes the socket, blocking, and the settings.
        sock: to the kernel.
        setters: of the number of threads of native libraries that the process has inherited.
    """
    code = 1
    try:
        _dress()
        body = _read(sock)
        if body:
            opening = _decode(body)
            _settle(opening, list(setters))
            entry(sock, opening.settings)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # the process ends here, whatever it was
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the kernel is gone, or somebody closed the stream
                stream.flush()
        os._exit(code)


def _dress() -> None:
    """What makes it a process of its own, whatever its settings say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Stop reaches the kernel, and the kernel aborts
    faulthandler.enable(2, all_threads=True)
    faulthandler.register(signal.SIGUSR1, 2, all_threads=True)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = [""]


def _read(sock: socket.socket) -> bytes:
    """The first message; empty when the kernel has changed its mind."""
    head = _receive(sock, LENGTH.size)
    return _receive(sock, LENGTH.unpack(head)[0]) if head else b""


def _receive(sock: socket.socket, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        part = sock.recv(size_bytes - len(data))
        if not part:
            return b""
        data += part
    return bytes(data)


def _settle(opening: Opening, setters: list[Setter]) -> None:
    settings = opening.settings
    for name, value in opening.environment:
        if value is None:
            os.environb.pop(name, None)
        else:
            os.environb[name] = value
    os.environ.update(settings.variables)
    native_threads.apply(settings.cpus, settings.variables, setters)
    sys.path[:] = [*sys.path, *settings.path] if opening.adds_path else settings.path
    importlib.invalidate_caches()
    with suppress(FileNotFoundError):  # the kernel, too, goes on when its folder was removed
        os.chdir(settings.folder)
    _bound(settings.data_limit_bytes)
    _reseed()


def _bound(data_limit_bytes: int) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    if sys.platform != "linux":
        return
    if data_limit_bytes > 0:
        _lower(resource.RLIMIT_DATA, _data_bytes() + data_limit_bytes)
    with suppress(OSError), open("/proc/self/oom_score_adj", "r+", encoding="ascii") as score:
        if int(score.read()) < OOM_SCORE:
            score.write(str(OOM_SCORE))


def _lower(limit: int, size_bytes: int) -> None:
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        size_bytes = min(size_bytes, hard)
    resource.setrlimit(limit, (size_bytes, hard))


def _data_bytes() -> int:
    """Private writable memory of this process, mapped or used."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def _reseed() -> None:
    """Forks of one zygote must not draw the same numbers. Python's own `random` sees to itself."""
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def main(order: dict[str, Any]) -> None:
    """A fresh interpreter becomes a worker; see `flyte_nb.executors.processes.fresh`.

    Args:
        order: `socket` is the number of the worker's end of its socket, `entry` as `find_entry` takes it, `mark` what
            its descendants are found by. Standard input ends when the kernel does.
    """
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with, args=(lifeline, order["mark"]), name="flyte-lifeline", daemon=True).start()
    os.set_inheritable(order["socket"], False)
    sock = socket.socket(fileno=order["socket"])
    run(find_entry(order["entry"]), sock)


def _end_with(lifeline: int, mark: str) -> None:
    """Ends this process and all that it started, when the kernel ends."""
    os.read(lifeline, 1)
    offspring.kill_marked(mark)
    os.killpg(0, signal.SIGKILL)
