"""The tasks whose runs the tests of the server read."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel

import flyte_nb as flyte

env = flyte.TaskEnvironment("shop")
GO_ON = threading.Event()


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclasses.dataclass
class Inner:
    a: int = 1


@dataclasses.dataclass
class Order:
    x: int
    y: float = 1.0
    note: str | None = None
    items: list[int] = dataclasses.field(default_factory=list)
    inner: Inner | None = None
    counts: dict[str, int] = dataclasses.field(default_factory=dict)


class Model(BaseModel):
    depth: int
    at: datetime | None = None


class Pair(NamedTuple):
    left: int
    right: str


@flyte.trace
async def lookup(x: int) -> str:
    return "t" * x


@env.task
async def square(x: int) -> int:
    print("square", x)
    return x * x


@env.task(report=True)
async def total(n: int = 3) -> tuple[int, str]:
    """Adds squares."""
    print("adding")
    await flyte.report.replace.aio("<b>done</b>", do_flush=True)
    with flyte.group("squares"):
        squares = [await square(i) for i in range(n)]
    return sum(squares), await lookup(3)


@env.task
async def everything(
    flag: bool = True,
    number: int = 5,
    ratio: float = 0.5,
    text: str = "a<b>",
    at: datetime = datetime(2024, 1, 2, tzinfo=UTC),
    day: date = date(2024, 1, 2),
    span: timedelta = timedelta(seconds=90),
    order: Order = Order(1, inner=Inner(2)),  # noqa: B008
    model: Model = Model(depth=3),  # noqa: B008
    pair: Pair = Pair(1, "b"),  # noqa: B008
    two: tuple[int, str] = (1, "b"),
    color: Color = Color.BLUE,
    maybe: int | None = None,
    either: int | str = "q",
    numbers: list[float] = [1.0, 2.0],  # noqa: B006
    counts: dict[str, int] = {"a": 1},  # noqa: B006
    by_number: dict[int, str] = {1: "x"},  # noqa: B006
    loose: dict = {"q": [1]},  # noqa: B006
    some: set[int] = {1, 2},  # noqa: B006
    raw: bytes = b"xyz",
    anything: Any = (1, [2]),
) -> int:
    return number


@env.task
async def failing(x: int) -> int:
    raise ValueError("no luck")


@env.task
def waiting(x: int) -> int:
    """Waits until it is told to go on."""
    print("waiting")
    while not GO_ON.wait(0.01):
        pass
    print("went on")
    return x


@env.task
async def nested(depth: int) -> int:
    """Calls itself; the last waits to be ended."""
    if depth == 0:
        await asyncio.Event().wait()
    return 1 + await nested(depth - 1)


@env.task
async def many(n: int) -> int:
    """Calls another, then waits to be ended."""
    for x in range(n):
        await square(x)
    await asyncio.Event().wait()
    return n


@env.task
async def gated(n: int) -> int:
    """Waits until it is told to go on, then calls another."""
    await asyncio.to_thread(GO_ON.wait)
    return sum([await square(x) for x in range(n)])
