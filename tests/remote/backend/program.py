"""A program of Flyte's, as text: the same is run by Flyte's own client and by flyte_nb, and both publish it."""

from __future__ import annotations

__all__ = ["OURS", "PROGRAM"]

PROGRAM = '''
import asyncio
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone

import flyte
from flyte.io import File

env = flyte.TaskEnvironment("pub", cache="disable")
cached = flyte.TaskEnvironment("kept", cache=flyte.Cache("override", version_override="1"))
TRIES = []


@dataclass
class Basket:
    fruit: str
    count: int = 1


@flyte.trace
async def lookup(x: int) -> str:
    return "t" * x


@cached.task
async def square(x: int) -> int:
    return x * x


@env.task
async def fill(basket: Basket, at: datetime, notes: dict[str, float] | None = None) -> Basket:
    return Basket(basket.fruit * 2, basket.count + 1)


@env.task(retries=2)
async def flaky(x: int) -> int:
    TRIES.append(x)
    if len(TRIES) < 2:
        raise ValueError("once")
    return x


@env.task
async def broken(x: int) -> int:
    raise ValueError(f"cannot sell {x}")


@env.task
async def inner(n: int) -> list[int]:
    return [await square(x=x) for x in range(n)]


@env.task
async def files() -> File:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("content")
        file.flush()
        return await File.from_local(file.name)


@env.task
async def waits() -> int:
    await asyncio.sleep(600)
    return 0


@env.task(report=True)
async def main(n: int = 2, label: str | None = None) -> tuple[list[int], str]:
    """Tries everything."""
    await flyte.report.replace.aio("<b>hi</b>", do_flush=True)
    with flyte.group("fills"):
        await fill(basket=Basket("fig"), at=datetime(2024, 1, 2, tzinfo=timezone.utc), notes={"a": 0.5})
    await flaky(x=3)
    try:
        await broken(x=7)
    except Exception:
        pass
    return await inner(n=n), await lookup(2)
'''
OURS = PROGRAM.replace("import flyte\nfrom flyte.", "import flyte_nb as flyte\nfrom flyte_nb.")
