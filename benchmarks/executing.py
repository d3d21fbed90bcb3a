"""Measures how a server executes Flyte's own tasks: `python benchmarks/executing.py`, a minute. Prints JSON.

A parent with twenty children, sent along by Flyte's own client, three times; the least of each figure is given:

seconds        from the client's flyte.run to the end of its run.wait
attempt_ms     processor time of the process of an action
server_ms      processor time of the server per action
memory_bytes   of the process that the others are forked from

Needs the extras `server` and `remote`, psutil, and Linux.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

CHILDREN = 20
REPEATS = 3
CLIENT = f"""
import asyncio, sys, time
import flyte

env = flyte.TaskEnvironment("bench")

@env.task
async def square(x: int) -> int:
    return x * x

@env.task
async def parent(n: int) -> int:
    return sum(await asyncio.gather(*(square(x=x) for x in range(n))))

if __name__ == "__main__":
    flyte.init(endpoint=sys.argv[1], insecure=True, project="p", domain="d", org="o")
    for _ in range({REPEATS} + 1):
        began = time.monotonic()
        run = flyte.run(parent, n={CHILDREN})
        run.wait(quiet=True)
        print(time.monotonic() - began, flush=True)
        sys.stdin.readline()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program.py")
        program.write_text(CLIENT)
        env = {**os.environ, "FLYTE_NB_HOME": f"{folder}/.flyte_nb"}
        command = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()", "serve", "--execute"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
            assert server.stdout is not None
            try:
                url = server.stdout.readline().split(" at ")[1].split()[0]
                print(json.dumps(measured(psutil.Process(server.pid), program, url), indent=2))
            finally:
                server.terminate()


def measured(server: psutil.Process, program: Path, url: str) -> dict[str, float]:
    """The figures; those of the first run, in which the first process begins, do not count."""
    figures: list[tuple[float, float, float]] = []
    command = [sys.executable, "-W", "ignore", program.name, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, cwd=program.parent, **pipes) as client:
        client.stdout.readline()
        (forker,) = server.children()
        for _ in range(REPEATS):
            before = forked_seconds(forker), own_seconds(server)
            client.stdin.write("\n")
            client.stdin.flush()
            seconds = float(client.stdout.readline())
            used = forked_seconds(forker) - before[0], own_seconds(server) - before[1]
            figures.append((seconds, *(1000 * one / (CHILDREN + 1) for one in used)))
        memory_bytes = forker.memory_info().rss
        client.stdin.close()
    seconds, attempt_ms, server_ms = (min(values) for values in zip(*figures, strict=True))
    return {"seconds": seconds, "attempt_ms": attempt_ms, "server_ms": server_ms, "memory_bytes": memory_bytes}


def own_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def forked_seconds(process: psutil.Process) -> float:
    """What its children have taken that have ended."""
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


if __name__ == "__main__":
    main()
