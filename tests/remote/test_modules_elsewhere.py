"""Tasks whose module another process has: deployed and run there, called, listed and read here, without it."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.remote import Run, Task

PROJECT = Path(__file__).resolve().parents[2]
MODULE = """
from dataclasses import dataclass
from enum import Enum
import flyte_nb as flyte
from orchard.growing import grown

class Size(Enum):
    SMALL = "s"

@dataclass
class Tree:
    height: float = 1.5

class Seed:
    pass

env = flyte.TaskEnvironment("orchard")

@env.task
async def water(litres: int) -> int:
    return grown(litres)

@env.task
async def plant(tree: Tree = Tree(), size: Size = Size.SMALL, note: str = "n", days: int = 2) -> Tree:
    return Tree(grown(days) * tree.height)

@env.task
async def sow(seed: Seed, tree: Tree) -> Seed:
    return seed
"""
SCRIPT = """
import flyte_nb as flyte
from orchard import trees
flyte.deploy(trees.env, version="v1")
print(flyte.run(trees.sow, trees.Seed(), trees.Tree(2.0)).name)
"""

env = flyte.TaskEnvironment("garden")
water = Task.get("orchard.water", auto_version="latest")
plant = Task.get("orchard.plant", auto_version="latest")


@env.task
async def waters_and_plants(times: int) -> float:
    watered = await asyncio.gather(*[water(litres=number) for number in range(times)])
    tree = await plant(days=1)
    return float(sum(watered) + tree.height)


@env.task
async def waters_each(times: int) -> list[int]:
    return [given async for given in flyte.map.aio(water, range(times))]


@env.task
def waters_each_in_turn(times: int) -> list[int]:
    return list(flyte.map(functools.partial(water), range(times), return_exceptions=False))


@pytest.fixture(scope="module")
def sown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store of another process's, and the name of its run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "orchard").mkdir()
    (folder / "orchard" / "__init__.py").touch()
    (folder / "orchard" / "growing.py").write_text("def grown(x):\n    return 3 * x\n")
    (folder / "orchard" / "trees.py").write_text(MODULE)
    environment = {**os.environ, "FLYTE_NB_HOME": str(folder / "store"), "PYTHONPATH": f"{PROJECT}:{folder}"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return folder / "store", done.stdout.split()[-1]


@pytest.fixture(autouse=True)
def here(sown: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FLYTE_NB_HOME", str(sown[0]))
    yield
    end_session()
    assert not [name for name in sys.modules if name.startswith("orchard")]


def test_many_first_calls_at_once_load_the_deployed_code_once() -> None:
    assert flyte.run(waters_and_plants, 20).outputs()[0] == 3 * 190 + 4.5


@pytest.mark.parametrize("isolation", ["kernel", "process"])
@pytest.mark.parametrize("task", [waters_each, waters_each_in_turn])
def test_a_deployed_task_is_mapped(task: Any, isolation: Any) -> None:
    run = flyte.with_runcontext(isolation=isolation).run(task, 3)
    assert run.outputs()[0] == [0, 3, 6]
    assert {action.group for action in run.actions("water")} == {"orchard.water_map"}


def test_a_deployed_task_is_mapped_in_a_run_only() -> None:
    with pytest.raises(flyte.errors.RemoteTaskUsageError, match="are called in a running task"):
        list(flyte.map(water, [1]))


def test_a_deployed_task_says_what_it_takes() -> None:
    details = plant.fetch()
    assert details.signature == (
        "orchard.plant(tree: Tree = Tree(height=1.5), size: Size = <Size.SMALL: 's'>, note: str = 'n', days: int = 2)"
        " -> Tree"
    )
    tree = details.interface.inputs["tree"][0]
    assert flyte.run(details, tree=tree(height=2.0)).outputs()[0].height == 12.0


def test_values_of_classes_that_are_not_here_are_plain_data_or_say_why_they_cannot_be_read(
    sown: tuple[Path, str],
) -> None:
    run = Run(sown[1])
    assert run.inputs()["tree"] == {"height": 2.0}
    said = "<cannot be read here: No module named 'orchard'>"
    assert (run.inputs()["seed"], run.outputs()[0]) == (said, said)
