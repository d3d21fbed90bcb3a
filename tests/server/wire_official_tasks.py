"""Tasks of Flyte's own SDK that the server executes: copied into the folder of the client, which sends them."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import time
from pathlib import Path

import flyte
import flyte.errors
import flyte.report
from flyte.io import File

env = flyte.TaskEnvironment("off")


@dataclasses.dataclass
class Order:
    x: int
    note: str = ""


@flyte.trace
async def lookup(x: int) -> str:
    return "t" * x


@env.task
async def square(x: int) -> int:
    print("square of", x)
    return x * x


@env.task
async def doubled(x: int) -> int:
    return 2 * await square(x=x)


@env.task
async def failing(x: int) -> int:
    raise ValueError(f"no luck with {x}")


async def written(text: str) -> File:
    file: File = File.new_remote()
    async with file.open("wb") as opened:
        await opened.write(text.encode())
    return file


@env.task(report=True)
async def everything(order: Order, file: File) -> tuple[Order, File, str]:
    """Calls others at once, catches what one raises, reads a file and writes one."""
    await flyte.report.replace.aio("<b>all of it</b>", do_flush=True)
    with flyte.group("squares"):
        squares = await asyncio.gather(*(square(x=i) for i in (2, 3)))
    try:
        await failing(x=order.x)
    except flyte.errors.RuntimeUserError as error:
        caught = f"{error.code}: {error}"
    async with file.open("rb") as opened:
        text = bytes(await opened.read()).decode()
    return Order(sum(squares), await lookup(3)), await written(text.upper()), caught


@env.task(retries=1)
def flaky(folder: str) -> int:
    been = Path(folder, "been")
    if been.exists():
        raise ValueError("again")
    been.touch()
    subprocess.Popen(["sleep", "1000"], start_new_session=True)  # it holds the pipes for output
    os._exit(3)


@env.task(timeout=1)
def slow() -> int:
    time.sleep(100)
    return 1


@env.task
async def sleeping() -> int:
    print("asleep")
    await asyncio.sleep(100)
    return 1


@env.task
async def waiting() -> int:
    return await sleeping()


@env.task
async def nested(depth: int) -> int:
    return 1 + await nested(depth=depth - 1)


@env.task
async def asking() -> bool:
    condition = await flyte.new_condition.aio("go", prompt="go on?", data_type=bool)
    return bool(await condition.wait.aio())


@env.task(cache=flyte.Cache(behavior="override", version_override="1"))
async def moment() -> float:
    return time.time()


@env.task
async def moments() -> list[float]:
    return [await moment(), await moment()]
