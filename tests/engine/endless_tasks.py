"""Tasks in processes that do not end by themselves, and parents that live with that."""
# ruff: noqa: ASYNC220, ASYNC240, ASYNC251  (they block on purpose, and wait for other processes)

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import flyte_nb as flyte
from tests.engine.process_tasks import adds, cold, computes, only, until_exists


def began(folder: str, name: str) -> None:
    """Says that a task runs, and in which process."""
    path = Path(folder, f"{name}.new")
    path.write_text(str(os.getpid()))
    path.rename(Path(folder, name))


@cold.task
async def waits(folder: str, name: str = "began") -> int:
    began(folder, name)
    try:
        await asyncio.sleep(3600)
    finally:
        Path(folder, f"{name}-ended").touch()
    return 1


@cold.task
async def spins(folder: str) -> int:
    began(folder, "began")
    while True:
        pass


@cold.task
def spins_sync(folder: str) -> int:
    began(folder, "began")
    while True:
        pass


@cold.task
def sleeps_in_c(folder: str) -> int:
    began(folder, "began")
    time.sleep(3600)
    return 1


@cold.task
async def blocks_in_c(folder: str) -> int:
    began(folder, "began")
    time.sleep(3600)
    return 1


@cold.task
async def refuses(folder: str) -> int:
    began(folder, "began")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@only.task
def sleeps_warm(folder: str) -> int:
    began(folder, "began")
    threading.Event().wait()
    return 1


@cold.task
async def starts_programs(folder: str) -> int:
    plain_child = subprocess.Popen(["sleep", "3600"])
    daemon = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    Path(folder, "children").write_text(f"{plain_child.pid} {daemon.pid}")
    began(folder, "began")
    await asyncio.sleep(3600)
    return 1


@cold.task
async def leaves_programs_running(folder: str) -> int:
    for name in ("one", "two"):
        program = subprocess.Popen(["sleep", "3600"], start_new_session=name == "two")
        Path(folder, name).write_text(str(program.pid))
    return 1


@cold.task
async def traces_and_waits(folder: str) -> int:
    squared = computes(3)
    await waits(folder)
    return squared


@cold.task
async def waits_for_child(folder: str) -> int:
    return await waits(folder)


@cold.task
def waits_for_child_sync(folder: str) -> int:
    return sleeps_in_c(folder)


ENDLESS: dict[str, Any] = {
    "async": waits,
    "async loop": spins,
    "sync loop": spins_sync,
    "sync in C": sleeps_in_c,
    "async in C": blocks_in_c,
    "refuses": refuses,
    "warm, in C": sleeps_warm,
    "parent": waits_for_child,
    "sync parent": waits_for_child_sync,
    "programs": starts_programs,
}


@cold.task
async def cancels_a_child(folder: str) -> str:
    child = asyncio.create_task(waits(folder))
    await until_exists(Path(folder, "began"))
    child.cancel()
    try:
        await child
    except asyncio.CancelledError:
        return "cancelled"
    return "not cancelled"


@cold.task
async def times_out(folder: str) -> str:
    try:
        async with asyncio.timeout(None) as bound:
            child = asyncio.ensure_future(waits(folder))
            await until_exists(Path(folder, "began"))
            bound.reschedule(asyncio.get_running_loop().time())
            await child
    except TimeoutError:
        return "timed out"
    return "in time"


@cold.task
async def fails_once_others_run(folder: str) -> int:
    await until_exists(Path(folder, "began"))
    raise ValueError("unlucky")


@cold.task
async def groups_tasks(folder: str) -> str:
    codes: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits(folder))
            group.create_task(fails_once_others_run(folder))
    except* flyte.errors.RuntimeUserError as errors:
        codes += [error.code for error in errors.exceptions if isinstance(error, flyte.errors.RuntimeUserError)]
    return str(codes)


@cold.task
async def leaves_a_child_running(folder: str) -> str:
    asyncio.create_task(waits(folder))  # noqa: RUF006
    await until_exists(Path(folder, "began"))
    return "left"


@cold.task
async def survives_its_childs_abort(folder: str) -> str:
    try:
        await waits(folder)
    except flyte.errors.ActionAbortedError as error:
        return f"aborted: {error}"
    return "not aborted"


@cold.task
async def waits_for_two(folder: str) -> list[int]:
    return list(await asyncio.gather(waits(folder, "left"), waits(folder, "right")))


@cold.task
async def survives_the_abort_of_a_tree(folder: str) -> str:
    try:
        await waits_for_two(folder)
    except flyte.errors.ActionAbortedError:
        return "aborted"
    return "not aborted"


@cold.task
async def keeps_one_of_two(folder: str) -> list[Any]:
    stuck = asyncio.create_task(sleeps_in_c.aio(folder))
    kept = asyncio.create_task(adds(2))
    answers = await asyncio.gather(stuck, kept, return_exceptions=True)
    return [type(answer).__name__ if isinstance(answer, Exception) else answer for answer in answers]


@cold.task
async def survives_the_abort_of_one_that_waits() -> str:
    try:
        await adds(1)
    except flyte.errors.ActionAbortedError:
        return "aborted"
    return "not aborted"


@only.task
async def goes_on_without_a_stuck_child(folder: str) -> int:
    stuck = asyncio.ensure_future(sleeps_warm.aio(folder))
    await until_exists(Path(folder, "began"))
    stuck.cancel()
    await asyncio.wait([stuck])
    await asyncio.sleep(0.1)  # it would be ended meanwhile
    return os.getpid()
