"""Measures the store under several processes and with a long history: `python benchmarks/store.py`. Prints JSON.

sharing    four kernels run 1,000 actions each, several times, while a fifth process queries without pause, on one
           store, and the same five processes each on a store of its own; rounds take turns, so that a busy machine
           slows both; `cpu` is the processor time of the kernels
turns      the same with two that query: how long each keeps the database from the other
history    a summary over 1,000,000 actions, `%flyte runs` over 10,000 runs, and what it costs to prune half of them
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

import flyte_nb as flyte
from flyte_nb.notebook.magics.commands import list_runs
from flyte_nb.store.database import Database
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from flyte_nb.store.retention import Keep, prune

KERNELS = 4
ACTIONS = 1_000
RUNS = 10
PAUSE_SECONDS = 0.5
AT_ONCE = 50
HISTORY_RUNS = 10_000
HISTORY_ACTIONS = 1_000_000
REPEATS = 9
SUMMARY = """SELECT task, phase, count(*) AS actions, avg(duration_seconds) AS mean, max(duration_seconds) AS longest
    FROM actions GROUP BY ALL ORDER BY ALL"""

env = flyte.TaskEnvironment("bench")


@env.task
async def step(number: int) -> int:
    return number


@env.task
async def fan_out(count: int) -> int:
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*[step(number) for number in range(first, first + AT_ONCE)])
    return count


# ---- What the other processes do: each prints one line of JSON. They begin together, on a line of input.


def run_kernel() -> dict[str, Any]:
    """One kernel."""
    flyte.run(fan_out, AT_ONCE)
    durations, cpu_durations = [], []
    wait_for_start()
    for _ in range(RUNS):
        begun, cpu_begun = time.perf_counter(), time.process_time()
        flyte.run(fan_out, ACTIONS)
        durations.append(time.perf_counter() - begun)
        cpu_durations.append(time.process_time() - cpu_begun)
        time.sleep(PAUSE_SECONDS)
    return {"seconds": statistics.median(durations), "cpu_seconds": statistics.median(cpu_durations)}


def ask_without_pause() -> dict[str, Any]:
    """The process that queries, until a line of input says that the kernels are done."""
    store = Store.open()
    store.sql(SUMMARY)  # imports duckdb and pandas
    durations = []
    wait_for_start()
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
    with turns_taken() as turns:
        while not done.is_set():
            begun = time.perf_counter()
            store.sql(SUMMARY)
            durations.append(time.perf_counter() - begun)
    return {"queries": durations, "turns": turns}


ROLES: dict[str, Callable[[], dict[str, Any]]] = {"kernel": run_kernel, "ask": ask_without_pause}


def wait_for_start() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


@contextmanager
def turns_taken() -> Iterator[list[float]]:
    """Seconds for which this process kept the database from another that waited for it, one for each turn."""
    turns: list[float] = []
    asked_at = 0.0
    session, release = Database.session, Database._release_lock

    def timed_session(database: Database) -> Any:
        nonlocal asked_at
        asked_at = time.perf_counter()
        return session(database)

    def timed_release(database: Database) -> None:
        taken_at = max(asked_at, taken.get(database, 0.0))
        release(database)
        if database._gave_way:
            turns.append(time.perf_counter() - taken_at)

    taken: dict[Database, float] = {}
    take = Database._take_lock

    def timed_take(database: Database) -> None:
        take(database)
        taken[database] = time.perf_counter()

    Database.session, Database._release_lock, Database._take_lock = timed_session, timed_release, timed_take  # type: ignore[method-assign]
    try:
        yield turns
    finally:
        Database.session, Database._release_lock, Database._take_lock = session, release, take  # type: ignore[method-assign]


# ---- The figures.


def sharing(rounds: int) -> dict[str, Any]:
    """Kernels on one store against kernels on stores of their own."""
    together, apart, queries = [], [], []
    for _ in range(rounds):
        kernels, asked = run_together(askers=1, shared=True)
        together += kernels
        queries += asked[0]["queries"]
        kernels, _ = run_together(askers=1, shared=False)
        apart += kernels
    return {
        **{f"kernel_{name}_one_store": round(median(together, name), 3) for name in ("seconds", "cpu_seconds")},
        **{f"kernel_{name}_own_stores": round(median(apart, name), 3) for name in ("seconds", "cpu_seconds")},
        "ratio": round(median(together, "seconds") / median(apart, "seconds"), 3),
        "cpu_ratio": round(median(together, "cpu_seconds") / median(apart, "cpu_seconds"), 3),
        "queries": len(queries),
        "query_ms": spread(queries),
    }


def median(kernels: list[dict[str, Any]], name: str) -> float:
    return statistics.median(kernel[name] for kernel in kernels)


def turns(rounds: int) -> dict[str, Any]:
    """How long a process keeps the database while another waits for it."""
    taken, queries = [], []
    for _ in range(rounds):
        _, asked = run_together(askers=2, shared=True)
        taken += [seconds for process in asked for seconds in process["turns"]]
        queries += [seconds for process in asked for seconds in process["queries"]]
    return {"turns": len(taken), "turn_ms": spread(taken), "query_ms": spread(queries)}


def run_together(*, askers: int, shared: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Four kernels and some that query, begun together; what each measured. Checks that everything was recorded."""
    with tempfile.TemporaryDirectory() as folder:
        roles = ["ask"] * askers + ["kernel"] * KERNELS
        homes = [Home(Path(folder, "shared" if shared else str(number))) for number in range(len(roles))]
        processes = [start(role, home) for role, home in zip(roles, homes, strict=True)]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            tell(process)
        kernels = [answer_of(process) for process in processes[askers:]]
        for process in processes[:askers]:
            tell(process)
        asked = [answer_of(process) for process in processes[:askers]]
        stores = [Store(home) for home in set(homes)]
        recorded = sum(run.action_count for store in stores for run in store.runs())
        assert recorded == KERNELS * (RUNS * (ACTIONS + 1) + AT_ONCE + 1), f"{recorded} actions were recorded"
        assert not any(store.integrity() for store in stores)
        for store in stores:
            store.close()
    return kernels, asked


def start(role: str, home: Home) -> subprocess.Popen[str]:
    environment = {**os.environ, "FLYTE_NB_HOME": str(home.path)}
    command = [sys.executable, __file__, "--role", role]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def answer_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    measured: dict[str, Any] = json.loads(process.stdout.readline())
    process.communicate()
    return measured


def history(rounds: int) -> dict[str, Any]:
    """Questions over a long history, each in its own turn: opened, folded, asked, closed."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder, "store"))
        os.environ["FLYTE_NB_HOME"] = str(home.path)
        fill(home)
        store = Store(home)

        def ask_runs() -> None:
            list_runs(limit=20, phase=[], task=None, label=[], notebook=False)

        figures = {
            "summary_ms": spread(timed(lambda: store.sql(SUMMARY), store)),
            "runs_ms": spread(timed(ask_runs, store)),
            "database_mb": round(home.database.stat().st_size / 1e6, 1),
        }
        begun = time.perf_counter()
        prune(home, Keep(newest=HISTORY_RUNS // 2))
        figures["prune_half_seconds"] = round(time.perf_counter() - begun, 2)
        figures["database_mb_pruned"] = round(home.database.stat().st_size / 1e6, 1)
        store.close()
    return figures


def timed(ask: Callable[[], object], store: Store) -> list[float]:
    """Durations of a question that finds the database closed."""
    durations = []
    for _ in range(REPEATS):
        store.close()
        begun = time.perf_counter()
        ask()
        durations.append(time.perf_counter() - begun)
    return durations


def fill(home: Home) -> None:
    """10,000 runs of 100 actions each, labelled and failed here and there."""
    each = HISTORY_ACTIONS // HISTORY_RUNS
    with Database.of(home.ensure()).alone() as connection:
        connection.execute(
            f"""
            INSERT INTO store.runs (run, journal, task, environment, phase, started_ns, ended_ns, notebook, cell,
                parent_run, annotations, options, action_count)
            SELECT 'r' || i, 'j', 'shop.main', 'shop', CASE WHEN i % 9 = 0 THEN 'failed' ELSE 'succeeded' END,
                1700000000000000000 + i * 1000000000, 1700000000000000000 + i * 1000000000 + 500000000, 'shop.ipynb',
                'c', '', '{{}}', '{{}}', {each}
            FROM range({HISTORY_RUNS}) t(i);
            INSERT INTO store.labels SELECT 'r' || i, 1, 'team', 'risk' FROM range({HISTORY_RUNS}) t(i) WHERE i % 3 = 0;
            INSERT INTO store.actions (run, action, parent, kind, task, spec, sequence, group_name, position, queued_ns,
                started_ns, ended_ns, attempt, phase, source, note, isolation, inputs, outputs)
            SELECT 'r' || (i // {each}), 'a' || (i % {each}), CASE WHEN i % {each} = 0 THEN '' ELSE 'a0' END, 'task',
                'shop.task' || (i % 7), 0, i, '', md5(i::VARCHAR), 1700000000000000000 + i, 1700000000000000000 + i,
                1700000000000000000 + i + (i * 7919) % 1000003, 1,
                CASE WHEN i % 97 = 0 THEN 'failed' ELSE 'succeeded' END, '', '', 'kernel', '\\x91\\x01'::BLOB,
                '\\x91\\x02'::BLOB
            FROM range({HISTORY_ACTIONS}) t(i);
            CHECKPOINT;
            """
        )


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    ordered = sorted(seconds) or [0.0]
    at = {"median": len(ordered) // 2, "p99": len(ordered) * 99 // 100, "max": len(ordered) - 1}
    return {name: round(ordered[place] * 1e3, 2) for name, place in at.items()}


FIGURES = {"sharing": sharing, "turns": turns, "history": history}


def main() -> None:
    """Measures everything, or the figures named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", nargs="*", help=f"any of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        print(json.dumps(ROLES[arguments.role]()), flush=True)
        return
    if unknown := set(arguments.figures) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    results = {name: FIGURES[name](arguments.rounds) for name in arguments.figures or FIGURES}
    print(json.dumps({"duckdb": duckdb.__version__, "rounds": arguments.rounds, **results}, indent=1))


if __name__ == "__main__":
    main()
