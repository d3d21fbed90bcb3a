"""Measures the server with Flyte's own SDK as its client: `python benchmarks/server.py`. Prints JSON.

paging     the time to list 1,000 runs, 100 a page
watching   a run of 10,000 actions that is watched while it goes on: how many actions the watcher was told of, how many
           it saw end, and how long after the run's own end
clients    10 clients at once, each in a process of its own, calling `Run.get` without pause: errors, calls a second,
           median and 95th percentile

Needs the extras `server` and `remote`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CLIENTS = 10
RUNS = 1_000
ACTIONS = 10_000
WRITER = """
import asyncio, sys
import flyte_nb as flyte

env = flyte.TaskEnvironment("bench")

@env.task
async def leaf(x: int) -> int:
    await asyncio.sleep(0)
    return x

@env.task
async def fan(n: int) -> int:
    done = 0
    for start in range(0, n, 100):
        done += len(await asyncio.gather(*(leaf(x) for x in range(start, min(n, start + 100)))))
    return done

what, count = sys.argv[1], int(sys.argv[2])
if what == "runs":
    for x in range(count):
        flyte.run(leaf, x=x)
else:
    flyte.with_runcontext(name="wide").run(fan, n=count)
"""
CLIENT = """
import asyncio, json, sys, time
import flyte
from flyte import remote

flyte.init(endpoint=sys.argv[1], insecure=True, project="p", domain="d", org="o")
what, argument = sys.argv[2], float(sys.argv[3])

def page():
    start = time.perf_counter()
    count = sum(1 for _ in remote.Run.listall(limit=int(argument)))
    return {"runs": count, "seconds": time.perf_counter() - start}

def get():
    names = [run.name for run in remote.Run.listall(limit=50)]
    taken, errors, end = [], 0, time.monotonic() + argument
    while time.monotonic() < end:
        start = time.perf_counter()
        try:
            remote.Run.get(names[len(taken) % len(names)])
        except Exception:  # refused, broken off, too late: each is an error of the figure
            errors += 1
        taken.append(time.perf_counter() - start)
    return {"taken": taken, "errors": errors}

async def watch():
    from flyte._initialize import get_client
    from flyteidl2.common import identifier_pb2
    from flyteidl2.workflow import run_service_pb2
    newest = {"limit": 1, "sort_by": ("created_at", "desc")}
    while not [run async for run in remote.Run.listall.aio(**newest) if run.name == "wide"]:
        await asyncio.sleep(0.05)
    run_id = identifier_pb2.RunIdentifier(name="wide")
    phases, updates = {}, 0
    stream = get_client().run_service.watch_actions(run_service_pb2.WatchActionsRequest(run_id=run_id))
    async for message in stream:
        for enriched in message.enriched_actions:
            phases[enriched.action.id.name] = enriched.action.status.phase
            updates += 1
    run = await remote.Run.get.aio("wide")
    ended = run.pb2.action.status.end_time.ToNanoseconds() / 1e9
    lag = time.time() - ended
    return {"actions": len(phases), "ended": sum(phase == 5 for phase in phases.values()), "updates": updates,
            "told_after_seconds": lag}

result = {"page": page, "get": get, "watch": lambda: asyncio.run(watch())}[what]()
print(json.dumps(result))
"""


def main() -> None:
    """Measures everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the ten clients call")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--actions", type=int, default=ACTIONS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / ".flyte_nb"
        with served(home) as url:
            write(home, "runs", arguments.runs).wait()
            paging = answer(client(url, "page", arguments.runs))
            watcher = client(url, "watch", 0)
            write(home, "wide", arguments.actions).wait()
            watching = answer(watcher)
            clients = [client(url, "get", arguments.seconds) for _ in range(CLIENTS)]
            answers = [answer(one) for one in clients]
    taken = sorted(one for found in answers for one in found["taken"])
    print(
        json.dumps(
            {
                "paging": paging,
                "watching": watching,
                "clients": {
                    "clients": CLIENTS,
                    "calls": len(taken),
                    "errors": sum(found["errors"] for found in answers),
                    "calls_a_second": len(taken) / arguments.seconds,
                    "median_seconds": statistics.median(taken),
                    "p95_seconds": taken[int(len(taken) * 0.95)],
                },
            },
            indent=1,
        )
    )


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of a server of a store, while it runs."""
    home.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables(home)) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" at ")[1].split()[0]
        finally:
            process.terminate()


def write(home: Path, *words: Any) -> subprocess.Popen[str]:
    """A process that runs tasks."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *map(str, words)], env=variables(home), text=True, stdout=subprocess.DEVNULL
    )


def client(url: str, *words: Any) -> subprocess.Popen[str]:
    """A process of Flyte's own SDK."""
    command = [sys.executable, "-W", "ignore", "-c", CLIENT, url, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> Any:
    said, _ = process.communicate()
    return json.loads(said.strip().splitlines()[-1])


def variables(home: Path) -> dict[str, str]:
    return {**os.environ, "FLYTE_NB_HOME": str(home)}


if __name__ == "__main__":
    main()
