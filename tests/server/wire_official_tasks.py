"""Tasks of Flyte's own SDK that the server executes: copied into the folder of the client, which sends them."""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import flyte
import flyte.errors
import flyte.report
from flyte.io import File

secrets = [flyte.Secret("key", group="shop"), flyte.Secret("shop-key", as_env_var="MINE")]
in_variables = flyte.TaskEnvironment("variables", secrets=secrets)
in_files = flyte.TaskEnvironment("files", secrets=flyte.Secret("shop-key", mount=Path("/etc/flyte/secrets")))
env = flyte.TaskEnvironment("off", depends_on=[in_files])


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


@env.task
def surroundings() -> dict[str, str]:
    """What a process finds around it; something goes on for longer than its task."""
    atexit.register(print, "at the very end")
    threading.Thread(target=lambda: (time.sleep(0.1), print("before the end")), daemon=False).start()
    names = ("MINE", "FLYTECTL_CONFIG", "RUN_NAME")
    return {
        **{name: os.environ.get(name, "") for name in names},
        "folder": "/".join(Path.cwd().parts[-4:]),
        "beside": "found" if importlib.util.find_spec("beside") else "",
        "hash randomization": str(sys.flags.hash_randomization),
        "leads its session": str(os.getpid() == os.getsid(0)),
    }


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


@env.task(report=True)
def reporting(folder: str) -> None:
    flyte.report.replace("half of it", do_flush=True)
    while not Path(folder, "seen").exists():
        time.sleep(0.01)
    flyte.report.replace("the whole", do_flush=True)


@in_variables.task
def confiding() -> bool:
    print("the key is", os.environ["SHOP_KEY"])
    return os.environ["SHOP_KEY"] == os.environ["MINE"]


@in_files.task
async def mounting() -> str:
    return "never called"


@env.task
async def asking_for_a_file() -> str:
    return await mounting()


@env.task(retries=1)
def flaky(folder: str) -> int:
    been = Path(folder, "been")
    if been.exists():
        raise ValueError("again")
    been.touch()
    subprocess.Popen(["sleep", "1000"], start_new_session=True)  # it holds the pipes for output
    os._exit(3)


@env.task
def leaving() -> int:
    sys.exit("no reason to stay")


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


SERIAL = flyte.Cache(behavior="override", version_override="1", serialize=True, ignored_inputs=("depth",))


@env.task(cache=SERIAL)
async def lasting(depth: int) -> float:
    """Asks for what has the very key that it computes, and takes long enough for others to ask for it."""
    if depth:
        await lasting(depth=depth - 1)
    await asyncio.sleep(0.2)
    return time.time()


@env.task
async def simultaneous() -> list[float]:
    return list(await asyncio.gather(*(lasting(depth=1) for _ in range(3))))


@env.task
async def moments() -> list[float]:
    return [await moment(), await moment()]
