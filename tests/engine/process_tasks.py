"""Tasks that run in processes of each kind, in a module that workers import."""
# ruff: noqa: ASYNC110, ASYNC221, ASYNC240  (they block on purpose, and wait for other processes)

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import flyte_nb as flyte

plain = flyte.TaskEnvironment("plain")
cold = flyte.TaskEnvironment("cold", env_vars={"PLACE": "cold"})
warm = flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy(replicas=2))
shared = flyte.TaskEnvironment("shared", reusable=flyte.ReusePolicy(replicas=1, concurrency=8))
only = flyte.TaskEnvironment("only", reusable=flyte.ReusePolicy(replicas=1))
other = flyte.TaskEnvironment("other", reusable=flyte.ReusePolicy(replicas=1))


async def until_exists(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.005)


# ---------------------------------------------------------------- where code runs


@plain.task
async def pid_in_kernel() -> int:
    return os.getpid()


@cold.task
async def pid_cold() -> int:
    return os.getpid()


@cold.task
def pid_cold_sync() -> int:
    return os.getpid()


@warm.task
async def pid_warm() -> int:
    return os.getpid()


@only.task
async def pid_only() -> int:
    return os.getpid()


@only.task
async def folder_only() -> tuple[str, int]:
    return os.getcwd(), os.getpid()


@shared.task
async def pid_shared() -> int:
    await asyncio.sleep(0.01)
    return os.getpid()


KINDS: dict[str, Any] = {"kernel": pid_in_kernel, "cold": pid_cold, "warm": pid_warm}


@cold.task
async def calls_async(kind: str) -> tuple[int, int]:
    return os.getpid(), await KINDS[kind]()


@cold.task
def calls_sync(kind: str) -> tuple[int, int]:
    return os.getpid(), asyncio.run(_awaited(KINDS[kind]))


async def _awaited(task: Any) -> int:
    return int(await task())


@cold.task
def doubles_cold(x: int) -> int:
    return 2 * x


@warm.task
def doubles_warm(x: int) -> int:
    return 2 * x


@plain.task
def doubles_in_kernel(x: int) -> int:
    return 2 * x


@warm.task
def sums_of_sync_children(n: int) -> int:
    return sum(doubles_warm(x) + doubles_cold(x) + doubles_in_kernel(x) for x in range(n))


@only.task
async def adds(x: int, y: int = 1) -> int:
    return x + y


@cold.task
async def gathers(n: int) -> list[int]:
    return list(await asyncio.gather(*[adds(x) for x in range(n)]))


@cold.task
async def maps(n: int) -> list[int]:
    return [value async for value in flyte.map.aio(doubles_warm, range(n))]


@cold.task
def maps_sync(n: int) -> list[int]:
    return list(flyte.map(doubles_warm, range(n)))


# ---------------------------------------------------------------- state of a worker

model: int | None = None
loads = 0


def load_model() -> int:
    global model, loads
    if model is None:
        loads += 1
        model = 42
    return model


@only.task
async def predicts(x: int) -> tuple[int, int, int]:
    return x + load_model(), loads, os.getpid()


@cold.task
async def predicts_cold(x: int) -> tuple[int, int, int]:
    return x + load_model(), loads, os.getpid()


inside = most_inside = 0


@shared.task
async def meets(n: int, i: int) -> int:
    """Returns once `n` calls have been inside at the same time, and how many were at most."""
    global inside, most_inside
    inside += 1
    most_inside = max(most_inside, inside)
    while most_inside < n:
        await asyncio.sleep(0.001)
    inside -= 1
    return most_inside


@plain.task
async def crowds(n: int) -> list[int]:
    return list(await asyncio.gather(*[meets(min(n, 8), i) for i in range(n)]))


# ---------------------------------------------------------------- depth


@only.task
async def descends(depth: int) -> int:
    return 0 if depth == 0 else 1 + await descends(depth - 1)


@only.task
def descends_sync(depth: int) -> int:
    return 0 if depth == 0 else 1 + descends_sync(depth - 1)


@only.task
async def zigs(depth: int) -> int:
    return 0 if depth == 0 else 1 + await zags(depth - 1)


@other.task
async def zags(depth: int) -> int:
    return 0 if depth == 0 else 1 + await zigs(depth - 1)


@only.task
async def fans(depth: int) -> int:
    if depth == 0:
        return 1
    return sum(await asyncio.gather(*[fans.override(short_name=f"fan{i}")(depth - 1) for i in range(3)]))


greedy = flyte.TaskEnvironment("greedy", resources=flyte.Resources(cpu=2), reusable=flyte.ReusePolicy(replicas=1))
greedy_cold = flyte.TaskEnvironment("greedy_cold", resources=flyte.Resources(cpu=2), env_vars={"PLACE": "cold"})


@greedy.task
async def descends_greedily(depth: int) -> int:
    return 0 if depth == 0 else 1 + await descends_greedily(depth - 1)


@greedy_cold.task
async def descends_in_fresh_processes(depth: int) -> int:
    return 0 if depth == 0 else 1 + await descends_in_fresh_processes(depth - 1)


# ---------------------------------------------------------------- what is recorded


@flyte.trace
async def asks(question: str) -> str:
    await asyncio.sleep(0)
    return question.upper()


@flyte.trace
def computes(x: int) -> int:
    return x * x


@flyte.trace
def counts_to(n: int) -> Iterator[int]:
    yield from range(n)


@flyte.trace
async def streams(words: list[str]) -> AsyncIterator[str]:
    for word in words:
        yield word


@flyte.trace
async def breaks(word: str) -> str:
    raise KeyError(word)


@cold.task
async def traces() -> list[Any]:
    said = await asks("why")
    squared = computes(3)
    counted = list(counts_to(3))
    words = [word async for word in streams(["a", "b"])]
    try:
        await breaks("x")
    except KeyError as error:
        words.append(f"caught {error}")
    return [said, squared, counted, words]


@only.task
def traces_in_a_thread() -> int:
    return computes(5) + sum(counts_to(4))


@only.task(retries=1)
async def traces_then_fails_once(folder: str) -> int:
    """Its first attempt fails after a child and a trace."""
    child = await adds(1)
    squared = computes(child)
    first = Path(folder, "failed")
    if not first.exists():
        first.touch()
        raise ValueError("once")
    return squared


@cold.task
async def groups() -> int:
    with flyte.group("outer"):
        one = await adds(1)
        two = computes(one)
    return one + two


@cold.task
async def sees_context() -> dict[str, Any]:
    ctx = flyte.ctx()
    assert ctx is not None
    return {
        "run": ctx.action.run_name,
        "action": ctx.action.name,
        "attempt": ctx.attempt_number,
        "custom": dict(ctx.custom_context),
        "group": ctx.group_data.name if ctx.group_data is not None else None,
        "raw_data": bool(ctx.raw_data_path.path),
        "in_task": ctx.is_in_cluster() if hasattr(ctx, "is_in_cluster") else None,
        "mode": ctx.mode,
    }


@cold.task
async def hands_down() -> tuple[dict[str, Any], dict[str, Any]]:
    with flyte.custom_context(colour="blue"), flyte.group("here"):
        return await sees_context(), {"mine": dict(flyte.ctx().custom_context)}


@cold.task(report=True)
async def reports() -> None:
    await flyte.report.replace.aio("<b>half</b>")
    await flyte.report.flush.aio()
    flyte.report.get_tab("more").log("<i>whole</i>")


@cold.task(retries=1)
async def resumes(folder: str) -> int:
    checkpoint = flyte.ctx().checkpoint
    assert checkpoint is not None
    before = await checkpoint.load()
    if before is None:
        await checkpoint.save(b"7")
        raise ValueError("after the checkpoint")
    return int(Path(before).read_bytes())


@cold.task
async def prints() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    flyte.logger.warning("to the log")
    os.write(1, b"natively\n")
    subprocess.run(["echo", "from a child"], check=True)


@cold.task
async def prints_and_logs() -> None:
    print("one", end="")
    print(" line")
    flyte.logger.warning("to the log")
    print("to stderr", file=sys.stderr)
    flyte.logger.info("not shown")


@cold.task
async def displays() -> None:
    from IPython.display import HTML, display

    print("before")
    display(HTML("<b>here</b>"))  # type: ignore[no-untyped-call]
    print("after")


@cold.task
async def prints_slowly(folder: str) -> None:
    print("first")
    await until_exists(Path(folder, "go"))
    print("last")


@cold.task
async def runs_nested(x: int) -> int:
    run = await flyte.run.aio(adds, x)
    return int(run.outputs()[0])


@cold.task
def runs_nested_sync(x: int) -> int:
    return int(flyte.run(adds, x).outputs()[0])


@cold.task(cache="auto")
async def cached(x: int) -> int:
    return os.getpid()


@cold.task
async def calls_cached() -> tuple[int, int]:
    return await cached(1), await cached(1)


@only.task
async def overrides(folder: str) -> list[Any]:
    fails_twice = fails_until.override(retries=2)
    tries = await fails_twice(folder, 3)
    apart = await pid_only.override(reusable="off")()
    larger = await limit.override(resources=flyte.Resources(memory="300Mi"), reusable="off")()
    kept = adds.override(cache="auto")
    return [tries, apart != os.getpid(), larger, await kept(40), await kept(40)]


@only.task
async def fails_until(folder: str, times: int) -> int:
    tried = len(list(Path(folder).glob("try*"))) + 1
    Path(folder, f"try{tried}").touch()
    if tried < times:
        raise ValueError(f"try {tried}")
    return tried


@only.task
async def limit() -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY


# ---------------------------------------------------------------- errors


@cold.task
async def fails_at_once() -> int:
    raise ValueError("unlucky")


@cold.task
async def returns_something_else() -> int:
    return "text"  # type: ignore[return-value]
