"""Tasks that wait for answers, in a module that workers import."""

from __future__ import annotations

import asyncio

import flyte_nb as flyte

here = flyte.TaskEnvironment("here")
cold = flyte.TaskEnvironment("cold", env_vars={"PLACE": "cold"})
only = flyte.TaskEnvironment("only", reusable=flyte.ReusePolicy(replicas=1))


async def ask(name: str = "publish", timeout: float | None = None) -> bool:
    condition = await flyte.new_condition.aio(name, prompt="Publish it?", description="AUC 0.9", timeout=timeout)
    return await condition.wait.aio()


def ask_number(name: str = "threshold") -> float:
    return flyte.new_condition(name, prompt="From which score on?", data_type=float).wait()


@here.task
async def publish() -> bool:
    return await ask()


@cold.task
async def publish_cold() -> bool:
    return await ask()


@only.task
async def publish_only() -> bool:
    return await ask()


@here.task
def threshold() -> float:
    return ask_number()


@cold.task
def threshold_cold() -> float:
    return ask_number()


@here.task
def threshold_on_another_loop() -> int:
    async def wait() -> int:
        condition = await flyte.new_condition.aio("count", data_type=int)
        return await condition.wait.aio()

    return asyncio.run(wait())


async def in_vain(seconds: float) -> str:
    try:
        return str(await ask(timeout=seconds))
    except flyte.errors.ConditionTimedoutError as error:
        return str(error)


@here.task
async def in_time(seconds: float) -> str:
    return await in_vain(seconds)


@cold.task
async def in_time_cold(seconds: float) -> str:
    return await in_vain(seconds)


@here.task
async def blocks() -> bool:
    return flyte.new_condition("publish").wait()


@here.task
async def twice() -> tuple[bool, float]:
    with flyte.group("review"):
        both = await asyncio.gather(ask(), threshold_cold.aio())
    return both[0], both[1]


@only.task
async def quick() -> int:
    return 1


@here.task
async def beside() -> tuple[bool, int]:
    """The one worker of `only` has a place for `quick` while `publish_only` waits for its answer."""
    waiting = asyncio.ensure_future(publish_only())
    await asyncio.sleep(0)
    answer = await quick()
    return await waiting, answer


attempts: list[str] = []


@here.task(retries=1)
async def tries_again() -> str:
    """Asks in each of its two attempts."""
    attempts.append(str(await ask()))
    if len(attempts) == 1:
        raise ValueError("again")
    return " ".join(attempts)


@here.task
async def goes_on() -> str:
    try:
        return str(await ask())
    except flyte.errors.ActionAbortedError as error:
        return str(error)
