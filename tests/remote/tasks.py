"""Tasks for the tests of runs: short ones that succeed, fail, speak, and wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from threading import Event

import flyte_nb as flyte

env = flyte.TaskEnvironment("shop")
started, release = Event(), Event()


@env.task
async def price(item: str, count: int = 1) -> float:
    print(f"{item} costs")
    return len(item) * float(count)


@env.task
async def basket(items: list[str]) -> float:
    print("basket of", len(items))
    with flyte.group("prices"):
        return sum(await asyncio.gather(*[price(item) for item in items]))


@env.task
async def markets(items: list[str]) -> float:
    """Two baskets, and something beside them."""
    return sum([await basket(items), await basket(items), await price("sum")])


@env.task
async def both(x: int) -> tuple[int, list[int]]:
    return x, [x, x]


@env.task
async def sold_out(item: str) -> float:
    raise LookupError(f"no {item} left")


@env.task
async def buys_what_is_sold_out() -> float:
    await price("pear")
    return await sold_out("apple")


@env.task(retries=flyte.RetryStrategy(1, flyte.Backoff(base=timedelta(0))))
async def speaks_twice() -> int:
    number = flyte.ctx().attempt_number
    print(f"attempt {number}")
    if number == 0:
        raise ValueError("once")
    return number


@env.task(report=True)
async def reports() -> int:
    flyte.report.log("<b>sold: 3</b>")
    await flyte.report.flush.aio()
    return 3


@env.task
async def waits() -> int:
    started.set()
    while not release.is_set():  # noqa: ASYNC110 - set by another thread
        await asyncio.sleep(0.001)
    return 1


@env.task
async def runs_another() -> str:
    return (await flyte.run.aio(price, "fig")).name


@env.task
async def what_it_sees() -> dict[str, str]:
    context = flyte.ctx()
    assert context.run_start_time is not None
    return {
        "run": context.action.run_name or "",
        "start": context.run_start_time.isoformat(),
        "raw_data_path": context.raw_data_path.path,
        "run_base_dir": context.run_base_dir,
        "team": flyte.get_custom_context().get("team", ""),
    }
