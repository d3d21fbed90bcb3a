"""`flyte-nb deploy`, `run deployed-task`, `get`, and notebooks as files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import flyte_nb as flyte
from flyte_nb.cli.main import cli
from flyte_nb.engine.session import end_session
from flyte_nb.remote import Trigger
from flyte_nb.remote.source import source

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
        ("input", "depth", 2),
        ("input", "name", "a"),
        ("output", "o0", 6),
    ]
    (only,) = json.loads(ask("get", "io", "last", "--outputs-only", "-o", "json").output)
    assert only["name"] == "o0"
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
            "There is no file nowhere.py. A deployed task: flyte-nb run deployed-task NAME",
        ),
        (["run", "--name", "a/b", "NOTEBOOK", "main", "--depth", "1"], "name must be up to 63 letters"),
        (["run", "NOTEBOOK"], "Say which task: flyte-nb run "),
        (["run", "deployed-task"], "flyte-nb run deployed-task TASK. Deployed: book.main."),
        (["run", "--version", "v1", "NOTEBOOK", "main"], "--version is of a deployed task"),
        (["run", "deployed-task", "book.main", "--version", "v9"], "is named 'v9'"),
        (["get", "trigger", "book.mian"], "did you mean book.main?"),
        (
            ["update", "trigger", "nightly", "book.main", "--activate"],
            "No trigger of task book.main is named 'nightly'",
        ),
        (["run", "--nmae", "x", "NOTEBOOK", "main"], "flyte-nb run has no option --nmae. Did you mean --name"),
        (["get", "logs", "last", "a0", "--attempt", "2"], "There are no runs yet"),
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


@pytest.mark.parametrize("words", [["run", "FILE", "main"], ["deploy", "FILE"], ["check", "FILE"]])
def test_a_file_that_is_not_there_is_answered_with_near_ones(notebook: Path, words: list[str]) -> None:
    missing = str(notebook).replace("my book", "my boko")
    done = ask(*[missing if word == "FILE" else word for word in words])
    assert done.exit_code == 2 and f"here is no file {missing}. Did you mean {notebook.name}?" in done.output


def test_code_that_is_gone_is_one_line(notebook: Path, flyte_nb_home: Path) -> None:
    assert ask("deploy", str(notebook), "--version", "v1").exit_code == 0
    end_session()
    for value in [path for path in (flyte_nb_home / "values").rglob("*") if path.is_file()]:
        value.unlink()
    done = ask("run", "deployed-task", "book.main", "--depth", "2")
    assert done.exit_code == 2 and "version v1, is no longer in the store. Deploy it from here under" in done.output
    assert ask("deploy", str(notebook), "--version", "v2").exit_code == 0
    assert ask("run", "deployed-task", "book.main", "--depth", "2").output.endswith("o0 = 6\n")


def test_the_version_of_a_deployed_task_is_an_option_where_it_is_no_input(notebook: Path) -> None:
    assert ask("deploy", str(notebook), "--version", "v1").exit_code == 0
    before = ask("run", "--version", "v1", "--label", "by=me", "deployed-task", "book.main", "--depth", "1")
    behind = ask("run", "deployed-task", "book.main", "--depth", "1", "--version", "v1", "--label", "by=me")
    assert [done.output.splitlines()[-1] for done in (before, behind)] == ["o0 = 3", "o0 = 3"]
    found = json.loads(ask("get", "run", "--with-label", "by=me", "--in-phase", "succeeded", "-o", "json").output)
    assert len(found) == 2
    assert ask("get", "run", "--created-before", "2020-01-31", "-o", "json").output == "[]\n"


def test_an_input_with_the_name_of_an_option_is_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "labelled.py"
    file.write_text(
        "import flyte_nb as flyte\nenv = flyte.TaskEnvironment('l')\n@env.task\n"
        "def named(label: str, version: str, file: flyte.io.File | None = None) -> str:\n"
        "    return f'{label} {version} {file and file.name}'\n"
    )
    done = ask("run", "--label", "a=b", str(file), "named", "--label", "x", "--version", "y", "--file", str(file))
    assert done.output.endswith('o0 = "x y labelled.py"\n') or done.output.endswith("o0 = 'x y labelled.py'\n")
    (row,) = json.loads(ask("get", "run", "-o", "json").output)
    assert row["labels"] == {"a": "b"}
    assert "A label of the run" not in ask("run", str(file), "named", "--help").output
    del sys.modules["labelled"]


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with a task that has a trigger."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "timed.py"
    file.write_text(
        "from datetime import UTC, datetime\nimport flyte_nb as flyte\nenv = flyte.TaskEnvironment('timed')\n"
        "@env.task(triggers=flyte.Trigger.hourly())\n"
        "def tick(trigger_time: datetime = datetime(2020, 1, 1, tzinfo=UTC), depth: int = 1) -> None: ...\n"
    )
    yield file
    sys.modules.pop("timed", None)


def test_triggers_are_created_with_what_flytes_own_command_line_takes(timed: Path) -> None:
    assert ask("deploy", str(timed)).exit_code == 0
    made = ask("create", "trigger", "timed.tick", "nightly", "--schedule", "0 2 * * *", "--timezone", "Asia/Tokyo")
    assert made.exit_code == 0 and "active  cron: 0 2 * * * (Asia/Tokyo)\nnext: " in made.output
    assert "17:00" in made.output
    others = ("--no-auto-activate", "--input", "depth=3", "--label", "team=risk", "--description", "Often.")
    made = ask("create", "trigger", "timed.tick", "often", "--fixed-rate", "10", *others)
    assert "paused  every 10 minutes" in made.output
    assert ask("create", "trigger", "timed.tick", "by-hand", "--input", "depth=4").exit_code == 0
    by_hand, hourly, nightly, often = source.triggers("timed.tick")
    assert (hourly.time_inputs, nightly.time_inputs, by_hand.time_inputs) == ([], ["trigger_time"], [])
    assert (often.settings, often.description) == ({"labels": {"team": "risk"}}, "Often.")
    assert json.loads(ask("get", "trigger", "timed.tick", "by-hand", "-o", "json").output)[0]["automation"] == "none"
    assert flyte.run(Trigger.get(name="by-hand", task_name="timed.tick")).inputs()["depth"] == 4


def test_a_trigger_that_cannot_be_is_one_line(timed: Path) -> None:
    assert ask("deploy", str(timed)).exit_code == 0
    for words, said in (
        (["timed.tikc", "x"], "No deployed task is named 'timed.tikc'; did you mean timed.tick?"),
        (["timed.tick", "x", "--schedule", "0 2 *"], "Invalid cron expression '0 2 *': 3 fields, expected 5"),
        (["timed.tick", "x", "--schedule", "@daily", "--timezone", "Mars"], "Unknown time zone 'Mars'"),
        (["timed.tick", "x", "--schedule", "@daily", "--fixed-rate", "3"], "Give one of --schedule and --fixed-rate"),
        (["timed.tick", "x", "--timezone", "UTC"], "--timezone is that of --schedule"),
        (["timed.tick", "x", "--input", "deph=3"], "no parameter 'deph'. Did you mean depth?"),
        (["timed.tick", "x", "--input", "depth=deep"], "depth must be int, got 'deep'"),
        (["timed.tick", "x", "--input", "depth"], "An input is given as KEY=VALUE, got 'depth'"),
        (["timed.tick", "x", "--trigger-time-var", "trigger_time"], "only available on schedule"),
        (["timed.tick", "x", "--version", "v9"], "No version of deployed task timed.tick is named 'v9'"),
    ):
        done = ask("create", "trigger", *words)
        assert done.exit_code == 2 and said in done.output and done.output.count("\n") == 1, done.output
    assert [row.name for row in source.triggers()] == ["hourly"]


def test_triggers_are_paused_resumed_and_deleted(timed: Path) -> None:
    timed.write_text(f"print('loading')\n{timed.read_text()}")
    (row,) = json.loads(ask("deploy", str(timed), "-o", "json").stdout)
    assert row["triggers"] == ["hourly"]
    assert "paused" in ask("update", "trigger", "hourly", "timed.tick", "--deactivate").output
    (row,) = json.loads(ask("get", "trigger", "timed.tick", "hourly", "-o", "json").output)
    assert (row["active"], row["next"]) == (False, None)
    assert "next: " in ask("update", "trigger", "hourly", "timed.tick", "--activate").output
    assert ask("delete", "trigger", "hourly", "timed.tick").output == "Trigger hourly of timed.tick is deleted.\n"
    assert ask("get", "trigger", "timed.tick").output == "Task timed.tick has no triggers.\n"


def test_a_file_that_is_no_notebook_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{}")
    done = ask("run", str(broken), "main")
    assert done.exit_code == 2 and "broken.ipynb is not a notebook: KeyError: 'cells'" in done.output
