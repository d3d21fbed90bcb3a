"""The public face: Flyte's names, loaded when they are used, each documented."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import flyte_nb
from flyte_nb.engine.session import end_session

PROJECT = Path(__file__).resolve().parent.parent
OWN = {"__version__", "version"}
"""Names that the root defines itself."""


def described(value: Any) -> bool:
    return bool((inspect.getdoc(value) or "").strip())


def test_all_is_sorted_and_names_nothing_twice() -> None:
    assert list(flyte_nb.__all__) == sorted(set(flyte_nb.__all__))


def test_every_name_has_one_home() -> None:
    named = Counter(name for names in flyte_nb.NAMES.values() for name in names.split())
    assert {name for name, count in named.items() if count > 1} == set()
    assert set(flyte_nb.HOMES) == set(flyte_nb.__all__) - OWN


@pytest.mark.parametrize("name", flyte_nb.__all__)
def test_every_name_resolves_to_what_its_home_defines(name: str) -> None:
    value = getattr(flyte_nb, name)
    if name not in OWN:
        assert value is getattr(importlib.import_module(flyte_nb.HOMES[name]), name)
        assert name in importlib.import_module(flyte_nb.HOMES[name]).__all__


@pytest.mark.parametrize("name", sorted(flyte_nb.SUBMODULES))
def test_every_submodule_is_importable_documented_and_an_attribute(name: str) -> None:
    module = importlib.import_module(f"flyte_nb.{name}")
    assert getattr(flyte_nb, name) is module
    assert described(module)
    assert module.__all__


@pytest.mark.parametrize("name", ["", *sorted(flyte_nb.SUBMODULES)], ids=lambda name: name or "flyte_nb")
def test_every_public_class_and_function_is_documented(name: str) -> None:
    module = importlib.import_module(f"flyte_nb.{name}" if name else "flyte_nb")
    values = {name: getattr(module, name) for name in module.__all__}
    undocumented = [
        name
        for name, value in values.items()
        if (inspect.isclass(value) or callable(value)) and not described(value) and not hasattr(value, "__origin__")
    ]
    assert undocumented == []


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'flyte_nb' has no attribute 'TaskEnviroment'"):
        _ = flyte_nb.TaskEnviroment


def test_a_misspelt_name_is_answered_with_the_near_one_where_errors_are_printed() -> None:
    check = "import flyte_nb; flyte_nb.TaskEnviroment"
    done = subprocess.run([sys.executable, "-c", check], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert "Did you mean: 'TaskEnvironment'?" in done.stderr


def test_the_last_run_is_found_anew_each_time() -> None:
    assert flyte_nb.last_run is None
    assert "last_run" not in flyte_nb.__all__, "else a star import would open the store"
    environment = flyte_nb.TaskEnvironment("face")

    @environment.task
    async def one() -> int:
        return 1

    names = [flyte_nb.run(one).name for _ in range(2)]
    assert flyte_nb.last_run is not None and flyte_nb.last_run.name == names[-1]
    end_session()
    assert flyte_nb.last_run.name == names[-1], "and in the store, when this process has none in memory"


def test_dir_names_everything() -> None:
    assert {*flyte_nb.__all__, *flyte_nb.SUBMODULES, "last_run"} <= set(dir(flyte_nb))


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    check = "import sys, flyte_nb; print(*sorted(name for name in sys.modules if name.startswith('flyte_nb')))"
    done = subprocess.run([sys.executable, "-c", check], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["flyte_nb"]


def test_star_import_gives_flytes_names() -> None:
    check = "from flyte_nb import *; print(TaskEnvironment.__name__, callable(run), Cache.__name__)"
    done = subprocess.run([sys.executable, "-c", check], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["TaskEnvironment", "True", "Cache"]
