"""Measures recovery and traces: `python benchmarks/recovery.py`. Prints JSON.

    recovery    reusing 10,000 finished actions, against the figure of 15 us each plus 300 ms; `floor` is what the
                program takes of it by itself: to gather as many coroutines that do nothing
    traces      one after another, and 1,000 at once, against the bare append + fsync of as many bytes
    keeping     what keeping a run's code costs at each run

Each figure is the median of several rounds in one process, which has a store of its own. `cpu` is the processor time of
the same: on a busy machine it grows less than the time on the clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flyte_nb as flyte
from flyte_nb.engine.session import end_session, session
from flyte_nb.store.queries import Store

ACTIONS = 10_000
STEPS = 1_000
ROUNDS = 5

env = flyte.TaskEnvironment("recovery")


class Taken(NamedTuple):
    """What something took."""

    seconds: float
    cpu_seconds: float


class Clock:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def taken(self) -> Taken:
        return Taken(time.perf_counter() - self._began, time.process_time() - self._cpu_began)


@env.task
async def leaf(x: int) -> int:
    """Does nothing."""
    return x


@flyte.trace
async def step(x: int) -> int:
    """Does nothing, on record."""
    return x


@env.task
async def fan_out(n: int, began: float) -> int:
    """As many children as asked for."""
    return sum(await asyncio.gather(*[leaf(x) for x in range(n)]))


@env.task
async def one_after_another(n: int) -> tuple[float, float]:
    """What as many steps take, each awaited."""
    clock = Clock()
    for x in range(n):
        await step(x)
    return tuple(clock.taken())


@env.task
async def at_once(n: int, at_a_time: int) -> tuple[float, float]:
    """What as many steps take, so many of them at a time."""
    clock = Clock()
    for first in range(0, n, at_a_time):
        await asyncio.gather(*[step(x) for x in range(first, first + at_a_time)])
    return tuple(clock.taken())


async def nothing(x: int) -> int:
    """No action."""
    return x


async def gather_nothing(n: int) -> None:
    """What `fan_out` does but for its actions."""
    await asyncio.gather(*[nothing(x) for x in range(n)])


def main() -> None:
    """Measures everything."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLYTE_NB_HOME"] = f"{folder}/store"
        figures = {"recovery": recovery(), "traces": traces(Path(folder)), "keeping": keeping()}
        end_session()
    print(json.dumps(figures, indent=1))


def recovery() -> dict[str, float]:
    """Of a run whose root runs again and finds all its children finished, read from the store."""
    recovered, flat, floor = [], [], []
    for number in range(ROUNDS):
        Store.open().runs(limit=1)  # so that nobody has to read what the last round recorded
        name = f"recovered-{number}"
        flyte.with_runcontext(name=name).run(fan_out, ACTIONS, 0.0)
        end_session()  # so that it is read from the store, as in another kernel
        flat.append(timed(partial(flyte.run, fan_out, 1, 0.0)))
        recovered.append(timed(partial(flyte.rerun, name, recover=True, began=1.0)))
        floor.append(timed(lambda: asyncio.run(gather_nothing(ACTIONS))))
    median = middle(recovered)
    return {
        "actions": ACTIONS,
        "seconds": round(median.seconds, 3),
        "cpu_seconds": round(median.cpu_seconds, 3),
        "target_seconds": round(ACTIONS * 15e-6 + 0.3, 3),
        "us_per_action": round((median.seconds - middle(flat).seconds) / ACTIONS * 1e6, 1),
        "floor_seconds": round(middle(floor).seconds, 3),
    }


def traces(folder: Path) -> dict[str, float]:
    """Steps against what the disk itself needs; both take turns."""
    alone, bare, crowd = [], [], []
    for number in range(ROUNDS):
        alone.append(Taken(*flyte.run(one_after_another, STEPS // 2).outputs()))
        bare.append(timed(partial(appends, folder / f"bare {number}", STEPS // 2)))
        crowd.append(Taken(*flyte.run(at_once, 10 * STEPS, STEPS).outputs()))
    return {
        "us_per_step": us_each(middle(alone).seconds, STEPS // 2),
        "cpu_us_per_step": us_each(middle(alone).cpu_seconds, STEPS // 2),
        "us_per_append_and_fsync": us_each(middle(bare).seconds, STEPS // 2),
        "cpu_us_per_append_and_fsync": us_each(middle(bare).cpu_seconds, STEPS // 2),
        "ratio": round(middle(alone).seconds / middle(bare).seconds, 2),
        "per_second_with_1000_at_once": round(10 * STEPS / middle(crowd).seconds),
        "per_cpu_second_with_1000_at_once": round(10 * STEPS / middle(crowd).cpu_seconds),
    }


def appends(file: Path, count: int) -> None:
    """As many appends of 300 bytes, each with an fsync."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(count):
        os.write(descriptor, b"x" * 300)
        os.fsync(descriptor)
    os.close(descriptor)


def keeping() -> dict[str, float]:
    """A run's code that has not changed since the last run."""
    keeper = session().code
    keeper.keep(fan_out)
    taken = timed(lambda: [keeper.keep(fan_out) for _ in range(STEPS)])
    return {"us_per_run": us_each(taken.seconds, STEPS)}


def timed(call: Callable[[], Any]) -> Taken:
    """What a call takes."""
    clock = Clock()
    call()
    return clock.taken()


def middle(rounds: Iterable[Taken]) -> Taken:
    """The medians."""
    return Taken(*map(statistics.median, zip(*rounds, strict=True)))


def us_each(seconds: float, count: int) -> float:
    """Microseconds of one."""
    return round(seconds / count * 1e6, 1)


if __name__ == "__main__":
    main()
