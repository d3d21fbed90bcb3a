"""What the kernel declared is, in the process of the official SDK, what the SDK's own classes would have made of it.

The oracle is the SDK itself: it runs each translated task in its own local mode.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.remote.backend import translation
from flyte_nb.remote.backend.translation import translated
from flyte_nb.types.base import TypeTransformerFailedError
from tests.remote.backend import ways

Ask = Callable[[Any, Any], str]

DOUBLED = "('Twice a number.', {'x': 'the number.'})"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Runs a task with the official SDK."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.remote.backend.oracle"]
    project = Path(__file__).parents[3]
    folder = tmp_path_factory.mktemp("oracle")
    with (
        (folder / "stderr").open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=project, text=True
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        calls, answers = process.stdin, process.stdout

        def ask(task: Any, kwargs: Any) -> str:
            print(translated((task, kwargs)).hex(), file=calls, flush=True)
            return answers.readline().strip() or (folder / "stderr").read_text()[-3000:]

        yield ask
        calls.close()


def test_a_task_is_found_however_a_function_refers_to_it(ask: Ask) -> None:
    names = [task.short_name for task, _, _ in ways.ANSWERS]
    here = [flyte.run(task, **inputs).outputs()[0] for task, inputs, _ in ways.ANSWERS]
    there = [ask(task, inputs) for task, inputs, _ in ways.ANSWERS]
    assert dict(zip(names, here, strict=True)) == {task.short_name: answer for task, _, answer in ways.ANSWERS}
    assert dict(zip(names, there, strict=True)) == {task.short_name: f"({answer},)" for task, _, answer in ways.ANSWERS}


def test_values_of_the_users_own_classes_and_files_cross(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("from here")
    swapped = ask(ways.by_types, {"pair": ways.Pair(1), "colour": ways.Colour.RED})
    assert swapped == "(Pair(left=5, right=1), <Colour.RED: 'red'>, 1)"
    assert ask(ways.by_file, {"file": flyte.io.File(path=str(tmp_path / "text"))}) == "('from here',)"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("(task.name, task.short_name, task.retries.count)", "('inner.double', 'double', 2)"),
        ("(task.resources.cpu, task.resources.memory, task.env_vars)", "(1, '512Mi', {'LEVEL': '2'})"),
        ("(task.cache.behavior, task.cache.version_override)", "('override', '7')"),
        ("task.parent_env().tasks['inner.double'] is task", "True"),
        ("task.interface.inputs['x'][0], task.interface.outputs", "(<class 'int'>, {'o0': <class 'int'>})"),
        ("(task.interface.docstring.short_description, task.interface.docstring.input_descriptions)", DOUBLED),
    ],
)
def test_a_task_keeps_its_settings(ask: Ask, asked: str, told: str) -> None:
    assert ask(ways.double, asked) == told


def test_an_image_keeps_its_layers_and_an_environment_what_it_depends_on(ask: Ask) -> None:
    layers = ask(ways.by_global, "[(type(one).__name__, vars(one)) for one in task.image._layers]")
    assert "PipPackages" in layers
    assert "('rich',)" in layers
    base = ask(ways.by_global, "task.image.base_image == flyte.Image.from_debian_base().base_image")
    assert base == "True"
    assert ask(ways.by_global, "[one.name for one in task.parent_env().depends_on]") == "['inner']"


def test_every_public_name_is_the_sdks_too_or_known_to_be_ours_only(ask: Ask) -> None:
    missing = "[name for name in NAMES if not hasattr(__import__(name[0], fromlist=[name[1]]), name[1])]"
    public = sorted(translation._public_names().values())
    assert ("flyte", "map") in public
    assert ask(None, missing.replace("NAMES", repr(public))) == "[]"


def test_what_cannot_cross_is_named_with_who_reads_it_and_the_way_out() -> None:
    with pytest.raises(TypeTransformerFailedError, match=r"fork exists in flyte_nb only") as raised:
        translated(ways.uses_ours_only)
    assert "reached from uses_ours_only, ways.py, line" in str(raised.value)
    with pytest.raises(TypeTransformerFailedError, match=r"lock .*cannot pickle.*mode='local'"):
        translated((ways.double, {"x": threading.Lock()}))
