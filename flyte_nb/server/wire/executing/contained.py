"""The process of one attempt of a task of Flyte's own: carries out its container's command, and ends.

    prepare --fork--> main(socket) -> a0, what every such container calls

So an attempt imports its task, and nothing of Flyte's SDK. The SDK starts a thread when it is imported, which a fork
would not have: `prepare` ends it, `main` begins it anew.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import socket
import sys
import threading
import time

import msgspec
from flyte._bin.runtime import main as a0
from flyte.syncify import syncify

from flyte_nb.executors.frames import LENGTH, WorkerSettings

__all__ = ["main", "prepare"]

READY = b"r"

NEEDED = (
    "flyte._internal.controllers.remote._client",
    "flyte._internal.resolvers.default",
    "flyte._internal.runtime.entrypoints",
    "flyte._utils.asyncify",
    "flyte.git",
    "flyte.remote._client.auth._interceptors.default_metadata",
    "flyte.remote._client.auth._interceptors.retry",
    "flyte.remote._client.controlplane",
    "flyte.report",
    "httpcore",
    "opentelemetry.metrics",
    "opentelemetry.propagate",
    "pyqwest._glue",
)
"""What the SDK imports while it carries out any command; what a version of it does not have costs nothing."""

_background = syncify._bg_loop


def prepare() -> None:
    """Imports what the SDK needs, and ends its thread, in which nothing runs yet."""
    for name in NEEDED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    _background.stop()  # type: ignore[no-untyped-call]
    _background.thread.join()
    while os.path.exists(f"/proc/self/task/{_background.thread.native_id}"):  # for the system it lives a little longer
        time.sleep(0.001)
    _background.loop.close()


def main(sock: socket.socket, settings: WorkerSettings) -> None:
    """Carries out a command.

    Args:
        sock: brings the command, with the descriptors of its standard output and its standard error.
        settings: have been applied.

    Raises:
        SystemExit: when it is done.
    """
    sock.sendall(READY)
    header, outputs, _, _ = socket.recv_fds(sock, LENGTH.size, 2, socket.MSG_CMSG_CLOEXEC)
    with sock.makefile("rb") as stream:
        command: list[str] = msgspec.json.decode(stream.read(LENGTH.unpack(header)[0]))
    sock.close()
    for standard, output in enumerate(outputs, 1):
        os.dup2(output, standard)
        os.close(output)
    for python in (sys.stdout, sys.stderr):
        python.reconfigure(write_through=True)  # type: ignore[union-attr]
    type(_background).__init__(_background, _background.thread.name)
    sys.argv = command
    try:
        a0()
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        raise
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
