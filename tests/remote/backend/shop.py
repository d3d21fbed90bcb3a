"""Tasks that a server deploys and runs for the tests of backends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import flyte_nb as flyte

env = flyte.TaskEnvironment("shop")
here = flyte.TaskEnvironment("here")


@dataclass
class Basket:
    fruit: str
    count: int = 1


@flyte.trace
async def taxed(price: int) -> int:
    return price + 1


@env.task
async def price(item: int) -> int:
    print(f"pricing {item}")
    return 10 * item


@env.task
async def total(n: int, baskets: list[Basket] | None = None) -> int:
    """Adds up prices."""
    return sum([await price(item) for item in range(n)]) + await taxed(0)


@env.task
async def filled(basket: Basket) -> Basket:
    return Basket(basket.fruit * 2, basket.count + 1)


@env.task(retries=1)
async def broken(x: int) -> int:
    raise ValueError(f"cannot sell {x}")


@env.task
async def slow() -> int:
    await asyncio.sleep(600)
    return 0


def deployed(name: str) -> flyte.remote.LazyEntity:
    return flyte.remote.Task.get(f"shop.{name}", auto_version="latest")


@here.task
async def caller(n: int) -> int:
    return await deployed("total")(n=n) + await deployed("price")(item=1)


@here.task
async def calls_broken(x: int) -> str:
    try:
        await deployed("broken")(x=x)
    except flyte.errors.RuntimeUserError as error:
        return f"{error.code}: {error}"
    return "it worked"


@here.task
async def calls_slow() -> int:
    return int(await deployed("slow")())
