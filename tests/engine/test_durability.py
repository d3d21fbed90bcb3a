"""Nothing acknowledged is lost: a process killed at any moment leaves every step that it was told of in the store."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flyte_nb.store.queries import Store
from flyte_nb.store.rows import ActionRow
from flyte_nb.types.trees import unpack

PROJECT = Path(__file__).resolve().parents[2]
STEPS = 60
FEW, MANY = 4, 150

# A kill may come within the write of a frame that nobody has been told of yet; the fold then says so.
a_tail_may_be_torn = pytest.mark.filterwarnings("ignore:.*torn when its process ended")

PROGRAM = f"""
import asyncio, os, sys
import flyte_nb as flyte

env = flyte.TaskEnvironment("killed")
acknowledged = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def tell(kind, number, result):
    os.write(acknowledged, f"{{kind}} {{number}} {{result}}\\n".encode())
    os.fsync(acknowledged)
    print(number, flush=True)

@env.task
async def step(number: int) -> int:
    return number * number

@env.task
def step_in_a_thread(number: int) -> int:
    return number + 1

@flyte.trace
async def traced(number: int) -> int:
    return -number

@env.task
async def lane(first: int) -> int:
    for number in range(first, {STEPS}, 3):
        result = await step(number)
        tell("step", number, result)
        result = await step_in_a_thread.aio(number)
        tell("step_in_a_thread", number, result)
        result = await traced(number)
        tell("traced", number, result)
    return first

@env.task
async def main() -> int:
    for first in await asyncio.gather(lane(0), lane(1), lane(2)):
        tell("lane", first, first)
    return 0

flyte.with_runcontext(name="killed").run(main)
"""


def killed_after(acknowledgements: int, folder: Path) -> list[tuple[str, int, int]]:
    """The steps that a run had been told of when it was killed, right after so many acknowledgements."""
    told = folder / "acknowledged"
    program = [sys.executable, "-c", PROGRAM, str(told)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT)
    assert process.stdout is not None
    for _ in range(acknowledgements):
        if not process.stdout.readline():
            break
    process.kill()
    _, errors = process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0), errors
    lines = [line.split() for line in told.read_text().splitlines()]
    return [(kind, int(number), int(result)) for kind, number, result in lines]


def found(row: ActionRow) -> tuple[str, int, int]:
    assert row.phase == "succeeded"
    assert row.outputs is not None
    return row.task.removeprefix("killed."), int(unpack(row.inputs)[0]), int(unpack(row.outputs)[0])


def assert_nothing_is_lost(seed: int, folder: Path) -> None:
    acknowledged = killed_after(random.Random(seed).randrange(1, 3 * STEPS), folder)
    assert acknowledged
    store = Store.open()
    run = store.run("killed")
    actions = store.actions("killed")
    recorded = [found(row) for row in actions if row.phase == "succeeded"]
    assert set(acknowledged) <= set(recorded)
    assert len(recorded) == len(set(recorded))
    assert {row.phase for row in actions} <= {"succeeded", "aborted"}
    assert run.phase == "aborted"
    assert run.error is not None
    assert "ended" in run.error.message


@a_tail_may_be_torn
@pytest.mark.parametrize("seed", range(FEW))
def test_every_acknowledged_step_survives_a_kill(seed: int, tmp_path: Path) -> None:
    assert_nothing_is_lost(seed, tmp_path)


@a_tail_may_be_torn
@pytest.mark.long
@pytest.mark.parametrize("seed", range(FEW, FEW + MANY))
def test_every_acknowledged_step_survives_a_kill_at_many_moments(seed: int, tmp_path: Path) -> None:
    assert_nothing_is_lost(seed, tmp_path)
