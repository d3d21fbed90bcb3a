"""Forks: the code as it stands, and of the earlier run whatever the edit does not touch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.engine.cells import Kernels

MIDDLES, LEAVES = 27, 36
CELLS = """
env = flyte.TaskEnvironment("levels")
RATE = 2

def scaled(x):
    return x * RATE

class Shift:
    by = 1
    def of(self, x):
        return x + self.by

@env.task
async def leaf(x: int) -> int:
    return x + 1

@env.task
async def scales(x: int) -> int:
    return scaled(x)

@env.task
async def shifts(x: int) -> int:
    return Shift().of(x)

@env.task
async def middle(m: int) -> int:
    kinds = [leaf, scales, shifts]
    return sum(await asyncio.gather(*[kinds[m % 3](x) for x in range(36)]))

@env.task
async def main(n: int) -> int:
    return sum(await asyncio.gather(*[middle(m) for m in range(n)]))
"""
TELL = """
def tell(run):
    return [run.outputs()[0], [[action.task_name, action.phase.value] for action in run.actions()]]

answers = {}
"""
EDITS = {
    "nothing": ("", ""),
    "comment": ("    return x + 1\n", "    # says nothing\n    return  (x + 1)\n"),
    "leaf": ("    return x + 1\n\n@env", "    return x + 10\n\n@env"),
    "middle": ("return sum(await asyncio.gather(*[kinds", "return 1 + sum(await asyncio.gather(*[kinds"),
    "root": ("return sum(await asyncio.gather(*[middle", "return 1 + sum(await asyncio.gather(*[middle"),
    "helper": ("    return x * RATE", "    return x * RATE + 0"),
    "constant": ("RATE = 2", "RATE = 3"),
    "class": ("    by = 1", "    by = 2"),
    "settings": ('TaskEnvironment("levels")', 'TaskEnvironment("levels", resources=flyte.Resources(cpu=1))'),
}
"""What is replaced by what."""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of three levels and 1,000 actions, forked after each edit."""
    cells = [TELL, CELLS, f"flyte.with_runcontext(name='levels').run(main, {MIDDLES})"]
    for name, (old, new) in EDITS.items():
        assert old in CELLS
        cells += [CELLS.replace(old, new, 1), f"answers[{name!r}] = tell(flyte.fork('levels', main))"]
    cells += [CELLS, f"answers['inputs'] = tell(flyte.fork('levels', main, n={MIDDLES + 1}))", "answer(answers)"]
    return Kernels(tmp_path_factory.mktemp("forks")).run(*cells)


def executed(fork: Any) -> dict[str, int]:
    """How often each task ran."""
    return dict(Counter(task.removeprefix("levels.") for task, phase in fork[1] if phase == "succeeded"))


THIRD = MIDDLES // 3


@pytest.mark.parametrize(
    ("edit", "again"),
    [
        ("nothing", {}),
        ("comment", {}),
        ("settings", {}),
        ("leaf", {"main": 1, "middle": MIDDLES, "leaf": THIRD * LEAVES}),
        ("helper", {"main": 1, "middle": MIDDLES, "scales": THIRD * LEAVES}),
        ("constant", {"main": 1, "middle": MIDDLES, "scales": THIRD * LEAVES}),
        ("class", {"main": 1, "middle": MIDDLES, "shifts": THIRD * LEAVES}),
        ("middle", {"main": 1, "middle": MIDDLES}),
        ("root", {"main": 1}),
        ("inputs", {"main": 1, "middle": 1, "leaf": LEAVES}),
    ],
)
def test_an_edit_runs_again_what_it_touches_and_what_contains_that(
    edit: str, again: dict[str, int], forks: Any
) -> None:
    assert executed(forks[edit]) == again


def test_the_results_are_those_of_the_code_as_it_stands(forks: Any) -> None:
    total = sum(range(LEAVES))
    leaf, scales, shifts = total + LEAVES, 2 * total, total + LEAVES
    before = THIRD * (leaf + scales + shifts)
    expected = {
        "nothing": before,
        "leaf": before + THIRD * 9 * LEAVES,
        "constant": before + THIRD * total,
        "class": before + THIRD * LEAVES,
        "middle": before + MIDDLES,
        "root": before + 1,
        "inputs": before + leaf,
    }
    assert {name: forks[name][0] for name in expected} == expected


def test_leaves_that_a_middle_does_not_reach_spare_it(tmp_path: Path) -> None:
    cells = """
env = flyte.TaskEnvironment("spared")

@env.task
async def one(x: int) -> int:
    note("one")
    return x

@env.task
async def other(x: int) -> int:
    note("other")
    return x

@env.task
async def calls_one(x: int) -> int:
    note("calls_one")
    return await one(x)

@env.task
async def calls_other(x: int) -> int:
    note("calls_other")
    return await other(x)

@env.task
async def main() -> int:
    note("main")
    return await calls_one(1) + await calls_other(2)
"""
    kernels = Kernels(tmp_path)
    kernels.run(cells, "flyte.with_runcontext(name='spared').run(main)")
    kernels.noted()
    edited = cells.replace('note("one")\n    return x', 'note("one")\n    return x + 1')
    assert kernels.run(edited, "answer(flyte.fork('spared', main).outputs()[0])") == 4
    assert kernels.noted() == ["main", "calls_one", "one"]


def test_a_reused_value_is_of_the_notebooks_own_class(tmp_path: Path) -> None:
    cells = """
env = flyte.TaskEnvironment("own")

class Plain:
    def __init__(self, x):
        self.x = x

@env.task
async def makes(x: int) -> Plain:
    note("makes")
    return Plain(x)

@env.task
async def main() -> bool:
    note("main")
    return type(await makes(1)) is Plain
"""
    kernels = Kernels(tmp_path)
    kernels.run(cells, "flyte.with_runcontext(name='own').run(main)")
    edited = cells.replace("return type", "return 1 == 1 and type")
    assert kernels.run(edited, "answer(flyte.fork('own', main).outputs()[0])") is True
    assert kernels.noted() == ["main", "makes", "main"]


def test_a_run_that_ran_out_of_memory_is_forked_with_more(tmp_path: Path) -> None:
    cells = """
env = flyte.TaskEnvironment("memory")
small = flyte.TaskEnvironment("hungry", resources=flyte.Resources(memory="100Mi"))

@env.task
async def prepares(x: int) -> int:
    note("prepares")
    return x

@small.task
def hungry(x: int) -> int:
    import time
    note("hungry")
    held = []
    for _ in range(20):
        held.append(b"x" * 10_000_000)
        time.sleep(0.005)
    return x + len(held)

@env.task
async def main() -> int:
    note("main")
    return await hungry.aio(await prepares(1))
"""
    kernels = Kernels(tmp_path)
    run = """
try:
    flyte.with_runcontext(name="memory").run(main)
except flyte.errors.OOMError as error:
    answer(error.run.phase.value)
"""
    assert kernels.run(cells, run) == "failed"
    kernels.noted()
    more = cells.replace("100Mi", "1Gi")
    assert kernels.run(more, "answer(flyte.fork('memory', main).outputs()[0])") == 21
    assert kernels.noted() == ["main", "hungry"]


def test_forced_actions_run_again_in_a_fork(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    told = kernels.run(
        TELL,
        CELLS,
        """
first = flyte.with_runcontext(name="forced").run(main, 3)
name = next(action.name for action in first.actions() if action.task_name == "levels.scales")
answer(tell(flyte.fork("forced", main, force_rerun_actions=[name])))
""",
    )
    assert executed(told) == {"main": 1, "middle": 1, "scales": 1}
