"""Tasks whose processes die, in every way and at every moment."""
# ruff: noqa: ASYNC110, ASYNC220, ASYNC240  (they block on purpose, and wait for other processes)

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import flyte_nb as flyte

cold = flyte.TaskEnvironment("crashing", env_vars={"IN_WORKER": "1"})
warm = flyte.TaskEnvironment("healing", reusable=flyte.ReusePolicy(replicas=1))
shared = flyte.TaskEnvironment("crowded", reusable=flyte.ReusePolicy(replicas=1, concurrency=16))
two = flyte.TaskEnvironment("two", reusable=flyte.ReusePolicy(replicas=2, concurrency=4))


class DiesWhenRead:
    """Kills the process of a worker that decodes it."""

    def __init__(self) -> None:
        self.kernel = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        if os.getpid() != state["kernel"]:
            os._exit(11)
        vars(self).update(state)


class DiesWhenWritten:
    """Kills the process of a worker that encodes it."""

    def __reduce__(self) -> Any:
        os._exit(12)


def segfault() -> None:
    ctypes.string_at(0)


def close_everything() -> None:
    os.closerange(3, 100)
    time.sleep(3600)


WAYS: dict[str, Any] = {
    "SIGSEGV": segfault,
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGABRT": os.abort,
    "exit code 7": lambda: os._exit(7),
    "lost its connection": close_everything,
}


@cold.task
async def dies(way: str) -> int:
    print("last words", flush=True)
    WAYS[way]()
    return 1


@cold.task
def dies_in_a_thread(way: str) -> int:
    print("last words", flush=True)
    WAYS[way]()
    return 1


@warm.task
async def dies_warm(way: str) -> int:
    WAYS[way]()
    return 1


@warm.task(retries=2)
async def dies_twice(folder: str) -> list[int]:
    """The processes of its attempts; the third survives."""
    Path(folder, str(os.getpid())).touch()
    pids = [int(path.name) for path in Path(folder).iterdir()]
    if len(pids) < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return pids


@warm.task
async def lives() -> int:
    return os.getpid()


@cold.task
async def reads(value: DiesWhenRead) -> int:
    return 1


@cold.task
async def returns() -> DiesWhenWritten:
    return DiesWhenWritten()


@cold.task
async def raises() -> int:
    error = ValueError("with a passenger")
    error.passenger = DiesWhenWritten()  # type: ignore[attr-defined]
    raise error


@cold.task
async def calls_with_a_deadly_input() -> int:
    return await takes(DiesWhenWritten())


@cold.task
async def takes(value: DiesWhenWritten) -> int:
    return 1


@cold.task
async def dies_while_it_prints(lines: int) -> int:
    for line in range(lines):
        print(f"line {line}")
    os.write(2, b"and natively\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@cold.task
async def dies_after_a_flood(lines: int) -> int:
    for line in range(lines):
        print(f"line {line}")
    print("the last", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@cold.task
async def dies_with_a_huge_result() -> list[str]:
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, _kill_soon)
    return [str(number) * 10 for number in range(3_000_000)]


def _kill_soon() -> None:
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


@cold.task
async def parent_of_one_that_dies(way: str) -> str:
    try:
        await dies(way)
    except flyte.errors.RuntimeSystemError as error:
        return error.code
    return "no error"


@warm.task
async def parent_that_dies_while_it_waits(folder: str) -> int:
    if not Path(folder, "died").exists():
        Path(folder, "died").touch()
        subprocess.Popen([sys.executable, "-c", _KILLER.format(pid=os.getpid(), folder=folder)])
    return await waits_until_killed(folder)


_KILLER = """
import os, time
while not os.path.exists({folder!r} + "/child"):
    time.sleep(0.01)
os.kill({pid}, 9)
"""


@cold.task
async def waits_until_killed(folder: str) -> int:
    if not Path(folder, "child").exists():
        Path(folder, "child").touch()
        await asyncio.sleep(3600)
    return 5


# ---------------------------------------------------------------- crowds


@shared.task
async def kills_its_worker(folder: str, crowd: int) -> int:
    """Once all others are inside, at its first call."""
    while len(list(Path(folder).glob("*-1"))) < crowd:
        await asyncio.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@shared.task
async def is_innocent(folder: str, i: int) -> int:
    attempt = flyte.ctx().attempt_number + 1
    Path(folder, f"{i}-{attempt}").touch()
    if attempt == 1:
        await asyncio.sleep(3600)
    return i


@cold.task
async def crowd(folder: str, n: int) -> list[Any]:
    calls = [is_innocent(folder, i) for i in range(n)]
    answers = await asyncio.gather(*calls, kills_its_worker(folder, n), return_exceptions=True)
    return [answer.code if isinstance(answer, flyte.errors.BaseRuntimeError) else answer for answer in answers]


@two.task(retries=3)
async def works(i: int) -> int:
    total = 0
    for x in range(20):
        total += x
        await asyncio.sleep(0.001)
    return i


@two.task(retries=3)
async def works_with_child(i: int) -> int:
    return await works(i)


@cold.task(retries=3)
def works_cold(i: int) -> int:
    time.sleep(0.01)
    return i


plain = flyte.TaskEnvironment("unharmed")


@plain.task
async def many(n: int) -> list[Any]:
    kinds: list[Any] = [works, works_with_child, works_cold.aio]
    calls = [kinds[i % 3](i) for i in range(n)]
    return [
        answer.code if isinstance(answer, flyte.errors.BaseRuntimeError) else answer
        for answer in await asyncio.gather(*calls, return_exceptions=True)
    ]


@two.task
async def trivial(i: int) -> int:
    return i


@plain.task
async def a_thousand() -> int:
    answers = await asyncio.gather(*[trivial(i) for i in range(1000)])
    return len(set(answers))


# ---------------------------------------------------------------- memory


@cold.task
def hog(megabytes: int) -> int:
    held = []
    for _ in range(megabytes // 10):
        held.append(b"x" * 10_000_000)
        time.sleep(0.002)
    return len(held)


@cold.task
async def asks_for_more(megabytes: int) -> int:
    limited = hog.override(resources=flyte.Resources(memory="150Mi"))
    try:
        return int(await limited.aio(megabytes))
    except flyte.errors.OOMError:
        return 1000 + int(await limited.override(resources=flyte.Resources(memory="1Gi")).aio(megabytes))
