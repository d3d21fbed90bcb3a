"""Tasks that take steps, and fail at their first attempt in every way."""
# ruff: noqa: ASYNC240  (they look at files on purpose)

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import flyte_nb as flyte

kernel = flyte.TaskEnvironment("replaying")
cold = flyte.TaskEnvironment("replaying_cold", env_vars={"COLD": "1"})
pool = flyte.TaskEnvironment("replaying_pool", reusable=flyte.ReusePolicy(replicas=1, concurrency=4))


def note(witness: str, line: str) -> None:
    with open(witness, "a") as file:
        file.write(f"{line}\n")


@flyte.trace
async def ask(witness: str, x: int) -> int:
    note(witness, f"asked {x}")
    await asyncio.sleep(0)
    return x * 10


@flyte.trace
def compute(witness: str, x: int) -> int:
    note(witness, f"computed {x}")
    return x * 2


@flyte.trace
async def stream(witness: str, x: int) -> AsyncIterator[int]:
    note(witness, f"streamed {x}")
    yield x
    yield x + 1


@flyte.trace
def count(witness: str, n: int) -> Iterator[int]:
    note(witness, f"counted {n}")
    yield from range(n)


def fail(witness: str, way: str) -> None:
    """Fails in a way, at the first attempt."""
    if Path(witness).read_text().count("began") > 1:
        return
    if way == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif way == "raises":
        raise ValueError("at first")
    elif way == "takes too much memory":
        held = []
        for _ in range(30):
            held.append(b"x" * 10_000_000)
            time.sleep(0.005)


async def steps(witness: str, way: str) -> list[Any]:
    note(witness, "began")
    result: list[Any] = [await ask(witness, 1), compute(witness, 2)]
    result += [[item async for item in stream(witness, 3)], list(count(witness, 4))]
    fail(witness, way)
    if way == "is too slow" and Path(witness).read_text().count("began") == 1:
        await asyncio.sleep(60)
    return result


@kernel.task
async def in_the_kernel(witness: str, way: str) -> list[Any]:
    return await steps(witness, way)


@cold.task
async def in_a_process(witness: str, way: str) -> list[Any]:
    return await steps(witness, way)


@pool.task
async def in_a_pool(witness: str, way: str) -> list[Any]:
    return await steps(witness, way)


@cold.task
def in_a_thread_of_a_process(witness: str, way: str) -> list[Any]:
    note(witness, "began")
    result: list[Any] = [10, compute(witness, 2), [3, 4], list(count(witness, 4))]
    fail(witness, way)
    if way == "is too slow" and Path(witness).read_text().count("began") == 1:
        time.sleep(60)
    return result


@flyte.trace
async def fails_once(witness: str) -> int:
    if not Path(witness).exists():
        note(witness, "failed")
        raise ValueError("at first")
    note(witness, "succeeded")
    return 1


async def survives_its_step(witness: str) -> int:
    try:
        return await fails_once(witness)
    except ValueError:
        await asyncio.sleep(60)
        raise


@kernel.task
async def fails_in_the_kernel(witness: str) -> int:
    return await survives_its_step(witness)


@cold.task
async def fails_in_a_process(witness: str) -> int:
    return await survives_its_step(witness)


async def reads_clocks(witness: str) -> None:
    now = await flyte.durable.now.aio()
    note(witness, f"{await flyte.durable.time.aio()} {now.isoformat()}")
    if len(Path(witness).read_text().splitlines()) == 1:
        await asyncio.sleep(60)


@kernel.task
async def clocks_in_the_kernel(witness: str) -> None:
    await reads_clocks(witness)


@cold.task
async def clocks_in_a_process(witness: str) -> None:
    await reads_clocks(witness)


@kernel.task
async def sleeps(witness: str) -> float:
    """How long its second attempt takes."""
    began = time.monotonic()
    await flyte.durable.sleep.aio(0.9)
    if not Path(witness).exists():
        note(witness, "slept")
        await asyncio.sleep(60)
    return time.monotonic() - began


@flyte.trace
async def make_lock(witness: str) -> asyncio.Lock:
    note(witness, "made")
    return asyncio.Lock()


@kernel.task
async def gets_a_lock(witness: str) -> str:
    lock = await make_lock(witness)
    if len(Path(witness).read_text().splitlines()) == 1:
        await asyncio.sleep(60)
    return type(lock).__name__


@kernel.task
async def saves(witness: str) -> str:
    checkpoint = flyte.ctx().checkpoint
    attempt = flyte.ctx().attempt_number
    saved: Path | None = await checkpoint.load()
    if attempt == 0:
        await checkpoint.save(f"saved by attempt {attempt}".encode())
    if attempt < 2:
        raise ValueError("the third attempt goes on from what the first saved")
    assert saved is not None
    return saved.read_text()
