"""Tasks that refer to other tasks, traces, environments and modules in every way that Python has; each root calls its
`double` through one of them, and returns what the name says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import flyte_nb as flyte
import flyte_nb.io
from flyte_nb import TaskEnvironment, group
from flyte_nb import map as each
from flyte_nb.errors import RuntimeUserError
from tests.remote.backend import helpers
from tests.remote.backend.helpers import tripled

inner = TaskEnvironment("inner", resources=flyte.Resources(cpu=1, memory="512Mi"), env_vars={"LEVEL": "2"})
env = TaskEnvironment("outer", depends_on=[inner], image=flyte.Image.from_debian_base().with_pip_packages("rich"))


@inner.task(retries=flyte.RetryStrategy(2), cache=flyte.Cache("override", version_override="7"))
async def double(x: int) -> int:
    """Twice a number.

    Args:
        x: the number.
    """
    return 2 * x


@inner.task
def half(x: int) -> int:
    return x // 2


@flyte.trace
async def step(x: int) -> int:
    return x + 1


@dataclass
class Pair:
    left: int
    right: int = 5

    async def doubled(self) -> int:
        return await double(self.left) + await double(self.right)


class Colour(Enum):
    RED = "red"


BY_NAME = {"double": double, "more": [double, (step,)]}
PARTIAL = functools.partial(double, 4)


async def helper(x: int) -> int:
    return await double(x)


def closed_over() -> Any:
    called = double

    @env.task
    async def closure(x: int) -> int:
        return await called(x)

    return closure


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs) + await double(1)

    return wrapper


@env.task
async def by_global(x: int) -> int:
    return await double(x)


closure = closed_over()


@env.task
async def by_container(x: int) -> int:
    task, (trace,) = BY_NAME["more"]
    return await BY_NAME["double"](x) + await task(x) + await trace(x)


@env.task
async def by_default(x: int, *, called: Any = 0) -> int:
    async def inside(y: int, task: Any = double) -> int:
        return await task(y)

    return await inside(x)


@env.task
async def by_class(x: int) -> int:
    return await Pair(x).doubled()


@env.task
async def by_helper(x: int) -> int:
    return await helper(x) + await PARTIAL()


@env.task
async def by_comprehension(x: int) -> list[int]:
    return [await double(i) for i in range(x)]


@env.task
async def by_override(x: int) -> int:
    return await double.override(short_name="twice", retries=3)(x)


@env.task
@decorated
async def by_decorator(x: int) -> int:
    return await double(x)


@env.task
async def by_module(x: int) -> int:
    return await helpers.quadrupled(x) + tripled(x) + helpers.deeper.SEVEN


@env.task
async def by_inner_import(x: int) -> int:
    import flyte_nb as other
    from tests.remote.backend.helpers import quadrupled

    with other.group("inside"):
        return await quadrupled(x)


@env.task
async def by_face(x: int) -> int:
    with group("grouped"), flyte.group("again"):
        results = [found async for found in each.aio(double, [x, x + 1])]
    assert flyte.ctx() is not None
    try:
        raise RuntimeUserError("Mine", "it was")
    except flyte.errors.RuntimeUserError as error:
        assert error.code == "Mine"
    return sum(results) + len(Colour.RED.value)


@env.task
async def by_itself(x: int) -> int:
    return 0 if x == 0 else x + await by_itself(x - 1)


@env.task
async def ping(x: int) -> int:
    return x if x <= 0 else await pong(x - 1)


@env.task
async def pong(x: int) -> int:
    return await ping(x - 1)


@env.task
def by_sync(x: int) -> int:
    return half(x) + flyte.Resources(cpu=2).cpu


@env.task
async def by_types(pair: Pair, colour: Colour, when: str | None = None) -> tuple[Pair, Colour, int]:
    return Pair(pair.right, pair.left), colour, env.name.count("o")


@env.task
async def by_file(file: flyte_nb.io.File) -> str:
    async with file.open("rb") as opened:
        return bytes(await opened.read()).decode()


FORK = flyte.fork


@env.task
async def uses_ours_only(x: int) -> int:
    return len(str(FORK)) + x


ANSWERS: list[tuple[Any, dict[str, Any], Any]] = [
    (by_global, {"x": 4}, 8),
    (closure, {"x": 4}, 8),
    (by_container, {"x": 4}, 21),
    (by_default, {"x": 4}, 8),
    (by_class, {"x": 4}, 18),
    (by_helper, {"x": 4}, 16),
    (by_comprehension, {"x": 3}, [0, 2, 4]),
    (by_override, {"x": 4}, 8),
    (by_decorator, {"x": 4}, 10),
    (by_module, {"x": 4}, 16 + 12 + 7),
    (by_inner_import, {"x": 4}, 16),
    (by_face, {"x": 4}, 8 + 10 + 3),
    (by_itself, {"x": 3}, 6),
    (ping, {"x": 3}, -1),
    (by_sync, {"x": 9}, 6),
]
"""Task, inputs, and what it returns here and there."""
