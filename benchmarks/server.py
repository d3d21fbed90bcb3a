"""Measures the server with Flyte's own SDK as its client: `python benchmarks/server.py`, three minutes. Prints JSON.

paging     the time to list 1,000 runs, 100 a page
watching   a run of 10,000 actions that is watched while it goes on (WatchActions), and the run itself (`Run.watch`):
           how many actions the watcher was told of and saw end, how often one stepped back, how long after an action's
           end the watcher was told so (of those that ended while it watched), and how long after the run's own of all
minute     10 clients, each a process of its own, for a minute, in which a run is recorded: each calls `Run.get` ten
           times a second, one call in ten of the run that goes on, and watches its actions
unpaced    the same clients calling `Run.get` without pause, while nothing is recorded: the most that there is

Each client is a process because Flyte's SDK has one loop a process: of threads one would measure that. `server_ms` is
the processor time of the server per call, all its threads included; `clients_ms` that of the clients.

Needs the extras `server` and `remote`, and /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CLIENTS = 10
RUNS = 1_000
ACTIONS = 10_000
A_SECOND = 10
WRITER = """
import asyncio, sys, time
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
        await asyncio.sleep(0.05)
    return done

@env.task
async def steady(seconds: float) -> int:
    end, done = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        done += len(await asyncio.gather(*(leaf(done + x) for x in range(5))))
        await asyncio.sleep(0.1)
    return done

what, amount = sys.argv[1], float(sys.argv[2])
if what == "runs":
    for x in range(int(amount)):
        flyte.run(leaf, x=x)
elif what == "wide":
    flyte.with_runcontext(name=what).run(fan, n=int(amount))
else:
    print(flyte.with_runcontext(name=what).run(steady, seconds=amount).outputs()[0])
"""
CLIENT = """
import asyncio, json, os, sys, time
import flyte
from connectrpc.errors import ConnectError
from flyte import remote
from flyte._initialize import get_client
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2

flyte.init(endpoint=sys.argv[1], insecure=True, project="p", domain="d", org="o")
what, arguments = sys.argv[2], [float(argument) for argument in sys.argv[3:]]

async def page(limit):
    start = time.perf_counter()
    count = len([run async for run in remote.Run.listall.aio(limit=int(limit))])
    return {"runs": count, "seconds": time.perf_counter() - start}

async def until_there(name):
    newest = {"limit": 1, "sort_by": ("created_at", "desc")}
    while not [run async for run in remote.Run.listall.aio(**newest) if run.name == name]:
        await asyncio.sleep(0.05)

async def watch(name):
    print("ready", flush=True)
    await until_there(name)
    details, actions = await asyncio.gather(watch_run(name), watch_actions(name))
    run = await remote.Run.get.aio(name)
    ended = run.pb2.action.status.end_time.ToNanoseconds() / 1e9
    told_after = actions.pop("at") - ended
    return {**actions, "run_phases": details, "told_after_seconds": told_after}

async def watch_run(name):
    phases = []
    async for details in (await remote.Run.get.aio(name)).watch():
        if not phases or phases[-1] != details.phase.value:
            phases.append(details.phase.value)
    return phases

async def watch_actions(name):
    begun, phases, updates, back, late = time.time(), {}, 0, 0, [0.0]
    run_id = identifier_pb2.RunIdentifier(name=name)
    async for message in get_client().run_service.watch_actions(run_service_pb2.WatchActionsRequest(run_id=run_id)):
        now = time.time()
        for enriched in message.enriched_actions:
            action, status = enriched.action.id.name, enriched.action.status
            back += status.phase < phases.get(action, 0)
            phases[action] = status.phase
            updates += 1
            if status.HasField("end_time") and status.end_time.ToNanoseconds() > begun * 1e9:
                late.append(now - status.end_time.ToNanoseconds() / 1e9)
    late.sort()
    return {"actions": len(phases), "ended": sum(phase == 5 for phase in phases.values()), "steps_back": back,
            "updates": updates, "late_median_seconds": late[len(late) // 2],
            "late_p95_seconds": late[len(late) * 19 // 20], "at": time.time()}

async def get(seconds, a_second, live=""):
    names = [run.name async for run in remote.Run.listall.aio(limit=50)]
    watched, phase, back = None, 0, 0
    if live:
        await until_there(live)
        watched = asyncio.create_task(watch_actions(live))
    await remote.Run.get.aio(names[0])
    taken, errors, begun = [], 0, time.monotonic()
    cpu = time.process_time()
    while time.monotonic() < begun + seconds:
        name = live if live and len(taken) % 10 == 0 else names[len(taken) % len(names)]
        start = time.perf_counter()
        try:
            run = await remote.Run.get.aio(name)
        except (ConnectError, OSError, TimeoutError):  # refused, broken off, too late: counted, and printed as `errors`
            errors += 1
        taken.append(time.perf_counter() - start)
        if name == live:
            back += run.pb2.action.status.phase < phase
            phase = run.pb2.action.status.phase
        if a_second:
            await asyncio.sleep(max(0, begun + len(taken) / a_second - time.monotonic()))
    cpu = time.process_time() - cpu
    if watched is None:
        return {"taken": taken, "errors": errors, "cpu": cpu}
    told = await watched
    last = (await remote.Run.get.aio(live)).phase.value
    return {"taken": taken, "errors": errors, "cpu": cpu, "steps_back": back + told["steps_back"], "last": last,
            "told": told["ended"], "late_p95": told["late_p95_seconds"]}

async def main():
    if what == "page":
        return await page(*arguments)
    if what == "watch":
        return await watch("wide")
    return await get(*arguments, *(["steady"] if what == "get-live" else []))

print(json.dumps(asyncio.run(main())))
"""


class Served(NamedTuple):
    """A server, and its process."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """The processor time that it has used."""
        ticks = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measures everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long the paced clients call")
    parser.add_argument("--unpaced-seconds", type=float, default=20, help="how long those without pause do")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--actions", type=int, default=ACTIONS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / ".flyte_nb"
        with served(home) as server:
            write(home, "runs", arguments.runs).wait()
            paging = answer(client(server, "page", arguments.runs))
            watcher = client(server, "watch")
            assert watcher.stdout is not None and watcher.stdout.readline() == "ready\n"
            write(home, "wide", arguments.actions).wait()
            watching = answer(watcher)
            minute = measure_minute(server, home, arguments.seconds)
            unpaced = calling(server, [client(server, "get", arguments.unpaced_seconds, 0) for _ in range(CLIENTS)])[0]
    figures = {"paging": paging, "watching": watching, "minute": minute, "unpaced": unpaced}
    print(json.dumps(figures, indent=1))


def measure_minute(server: Served, home: Path, seconds: float) -> dict[str, Any]:
    """Ten clients at once, while a run is recorded that all of them watch."""
    clients = [client(server, "get-live", seconds, A_SECOND) for _ in range(CLIENTS)]
    writer = write(home, "steady", seconds + 5)
    figures, answers = calling(server, clients)
    recorded = int(answer(writer)) + 1
    return {
        **figures,
        "recorded_actions": recorded,
        "lost_updates": sum(recorded - found["told"] for found in answers),
        "steps_back": sum(found["steps_back"] for found in answers),
        "last_phases": sorted({found["last"] for found in answers}),
        "told_late_p95_seconds": max(found["late_p95"] for found in answers),
    }


def calling(server: Served, clients: Sequence[subprocess.Popen[str]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures of clients that call, and what each of them said."""
    before = server.cpu_seconds()
    answers = [answer(one) for one in clients]
    used = server.cpu_seconds() - before
    taken = sorted(one for found in answers for one in found["taken"])
    figures = {
        "clients": len(clients),
        "calls": len(taken),
        "errors": sum(found["errors"] for found in answers),
        "median_seconds": statistics.median(taken),
        "p95_seconds": taken[int(len(taken) * 0.95)],
        "p99_seconds": taken[int(len(taken) * 0.99)],
        "server_ms": used / len(taken) * 1000,
        "clients_ms": sum(found["cpu"] for found in answers) / len(taken) * 1000,
    }
    return figures, answers


@contextmanager
def served(home: Path) -> Iterator[Served]:
    """A server of a store, while it runs."""
    home.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables(home)) as process:
        assert process.stdout is not None
        try:
            yield Served(process.stdout.readline().split(" at ")[1].split()[0], process.pid)
        finally:
            process.terminate()


def write(home: Path, *words: Any) -> subprocess.Popen[str]:
    """A process that runs tasks."""
    command = [sys.executable, "-c", WRITER, *map(str, words)]
    return subprocess.Popen(command, env=variables(home), text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def client(server: Served, *words: Any) -> subprocess.Popen[str]:
    """A process of Flyte's own SDK."""
    command = [sys.executable, "-W", "ignore", "-c", CLIENT, server.url, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> Any:
    """What a process said last, once it has ended."""
    said, _ = process.communicate()
    return json.loads(said.strip().splitlines()[-1])


def variables(home: Path) -> dict[str, str]:
    return {**os.environ, "FLYTE_NB_HOME": str(home)}


if __name__ == "__main__":
    main()
