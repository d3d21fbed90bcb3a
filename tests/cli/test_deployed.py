"""`flyte-nb deploy`, `run deployed-task`, `get`, and notebooks as files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flyte_nb.cli.main import cli

CELLS = [
    "%load_ext flyte_nb\nimport flyte_nb as flyte\nenv = flyte.TaskEnvironment('book')\n!ls",
    "def scaled(x):\n    return x * K\ntry:\n    from nowhere import K\nexcept ImportError:\n    K = 3\n"
    "raise SystemError('a notebook that was left half-way')",
    "%%flyte task\nnothing",
    "@env.task\nasync def main(depth: int, name: str = 'a') -> int:\n"
    '    """Mains.\n\n    Args:\n        depth: how deep.\n    """\n    return scaled(depth)\nflyte.run(main, 3)',
]


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "my book.ipynb"
    cells = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in CELLS]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Book"]}, *cells]}))
    yield path
    sys.modules.pop("my_book", None)


def ask(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def test_a_task_of_a_notebook_runs_with_the_definitions_it_needs_and_nothing_else(notebook: Path) -> None:
    done = ask("run", "--name", "nightly", str(notebook), "main", "--depth", "4")
    assert done.exit_code == 0 and done.output.endswith("o0 = 12\n"), done.output
    (row,) = json.loads(ask("get", "run", "-o", "json").output)
    assert (row["run"], row["task"], row["phase"]) == ("nightly", "book.main", "succeeded")


def test_a_task_shows_its_inputs_as_options(notebook: Path) -> None:
    shown = ask("run", str(notebook), "main", "--help").output
    assert "  Mains.\n" in shown
    assert "  --depth int        how deep. [required]\n" in shown and "  --name str         [default: 'a']\n" in shown


def test_what_was_deployed_is_shown_and_run(notebook: Path) -> None:
    assert "book.main  v1       deployed" in ask("deploy", str(notebook), "--version", "v1").output
    assert "unchanged" in ask("deploy", str(notebook), "env", "--version", "v1").output
    (row,) = json.loads(ask("get", "task", "-o", "json").output)
    assert (row["task"], row["version"]) == ("book.main", "v1")
    assert "book.main(depth: int, name: str = 'a') -> int" in ask("get", "task", "book.main", "v1").output
    done = ask("run", "deployed-task", "book.main:v1", "--depth", "2")
    assert done.exit_code == 0 and done.output.endswith("o0 = 6\n"), done.output
    values = json.loads(ask("get", "io", "last", "-o", "json").output)
    assert [(one["direction"], one["name"], one["value"]) for one in values] == [
        ("input", "depth", "2"),
        ("input", "name", "'a'"),
        ("output", "o0", "6"),
    ]
    (action,) = json.loads(ask("get", "action", "last", "-o", "json").output)
    assert (action["action"], action["phase"]) == ("a0", "succeeded")
    assert ask("get", "logs", "last", "-o", "json").output == "[]\n"
    assert ask("get", "trigger").output == "No triggers are deployed.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "deployed-task", "book.mian"], "No deployed task is named 'book.mian'. Did you mean book.main?"),
        (["run", "deployed-task", "book.main:v9"], "No version of deployed task book.main is named 'v9'"),
        (
            ["run", "nowhere.py", "main"],
            "There is no file nowhere.py. A deployed task runs with: flyte-nb run deployed",
        ),
        (["deploy", "NOTEBOOK", "envs"], "my book.ipynb has no environment 'envs'. Did you mean env"),
        (["get", "task", "book.mian"], "No deployed task is named 'book.mian'; did you mean book.main?"),
        (["get", "run", "nowhere"], "No run is named 'nowhere'"),
        (["run", "NOTEBOOK", "mian", "--depth", "1"], "No task is named 'mian'."),
    ],
)
def test_bad_input_is_one_line(notebook: Path, words: list[str], said: str) -> None:
    assert ask("deploy", str(notebook), "--version", "v1").exit_code == 0
    done = ask(*[str(notebook) if word == "NOTEBOOK" else word for word in words])
    assert done.exit_code == 2 and said in done.output and done.output.count("\n") == 1


def test_a_file_that_is_no_notebook_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{}")
    done = ask("run", str(broken), "main")
    assert done.exit_code == 2 and "broken.ipynb is not a notebook: KeyError: 'cells'" in done.output
