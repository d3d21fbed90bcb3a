"""How tests start workers that are puppets, and talk to them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import psutil

from flyte_nb.executors.frames import WorkerSettings
from flyte_nb.executors.processes.worker_process import WorkerProcess
from tests.executors.puppet import LENGTH

ENTRY = "tests.executors.puppet:main"
FOLDER = str(Path(__file__).parent)
GRANDCHILDREN = """
import os, subprocess
plain = subprocess.Popen(["sleep", "1000"])
own_session = subprocess.Popen(["sleep", "1000"], start_new_session=True)
shell = subprocess.run("setsid sleep 1000 >/dev/null 2>&1 & echo $!", shell=True, capture_output=True, text=True)
answer = [plain.pid, own_session.pid, int(shell.stdout)]
"""
"""Code that starts a subprocess, one in a session of its own, and a daemon; answers with their process ids."""


def settings(**changes: Any) -> WorkerSettings:
    """Settings of a worker, with what a test cares about."""
    usual: dict[str, Any] = {
        "variables": {},
        "cpus": 0.0,
        "folder": FOLDER,
        "path": list(sys.path),
        "blobs": ("", ""),
    }
    return WorkerSettings(**{**usual, **changes})


async def tell(process: WorkerProcess, code: str) -> None:
    """Has the worker run code."""
    message = code.encode()
    await asyncio.get_running_loop().sock_sendall(process.socket, LENGTH.pack(len(message)) + message)


async def ask(process: WorkerProcess, code: str) -> Any:
    """Has the worker run code; what it assigned to `answer`."""
    await tell(process, code)
    return await answer_of(process)


async def answer_of(process: WorkerProcess) -> Any:
    """The answer to what the worker was told."""
    (length,) = LENGTH.unpack(await _receive(process, LENGTH.size))
    return json.loads(await _receive(process, length))


async def end(process: WorkerProcess) -> int:
    """Kills a worker; how it ended."""
    process.kill()
    process.socket.close()
    return await process.exited


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def _receive(process: WorkerProcess, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        part = await asyncio.get_running_loop().sock_recv(process.socket, size_bytes - len(data))
        if not part:
            raise ConnectionError("the worker is gone")
        data += part
    return data
