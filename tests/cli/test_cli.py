from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flyte_nb.cli.main import cli

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()"]
TASKS = """
import asyncio
import flyte_nb as flyte
import helper

env = flyte.TaskEnvironment("train")

@env.task
async def fit(depth: int, rates: list[float] = [0.1]) -> int:
    print("fitting", depth)
    if depth > 8:
        raise ValueError("too deep")
    return helper.twice(depth)

@env.task
async def search(depths: list[int]) -> list[int]:
    return list(await asyncio.gather(*[fit(depth) for depth in depths]))

@env.task
async def wait(seconds: float) -> None:
    print("waiting", flush=True)
    await asyncio.sleep(seconds)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    path = tmp_path / "train.py"
    path.write_text(TASKS)
    return path


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a file loaded in this process leaves behind is gone after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in {"train", "helper"} - before:
        sys.modules.pop(name, None)


def program(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run([*PROGRAM, *words], env=env, capture_output=True, text=True, check=False, timeout=60)


def ask(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def test_run_prints_the_tree_and_the_outputs(file: Path) -> None:
    done = program("run", str(file), "search", "--depths", "[1, 2]", "--label", "team=risk")
    assert done.returncode == 0, done.stderr
    *printed, head, first, second, outputs = done.stdout.splitlines()
    assert sorted(printed) == ["fitting 1", "fitting 2"]
    assert head.startswith("✓ train.search  r") and head.endswith("3 actions")
    assert first.startswith("├─ ✓ train.fit  depth=1") and second.startswith("└─ ✓ train.fit  depth=2")
    assert outputs == "o0 = [2, 4]"
    assert done.stderr == ""


def test_a_failed_run_exits_with_one_and_shows_where(file: Path) -> None:
    done = program("run", str(file), "train.fit", "--depth=9")
    assert done.returncode == 1
    assert "✗ train.fit" in done.stdout and "ValueError: too deep (train.py, line 12)" in done.stdout
    assert done.stderr.startswith("Traceback") and done.stderr.rstrip().endswith("ValueError: too deep")
    assert "flyte_nb" not in done.stderr


def test_runs_are_found_again_by_another_process(file: Path) -> None:
    assert program("run", str(file), "search", "--depths", "[1, 2]", "--label", "team=risk").returncode == 0
    assert program("run", str(file), "fit", "--depth", "9").returncode == 1
    listed = ask("runs").output.splitlines()
    assert listed[0].split() == ["RUN", "TASK", "PHASE", "STARTED", "DURATION", "ACTIONS", "ERROR"]
    assert [line.split()[1:3] for line in listed[1:]] == [["train.fit", "failed"], ["train.search", "succeeded"]]
    (only,) = ask("runs", "--label", "team=risk", "--task", "search").output.splitlines()[1:]
    assert only.split()[0] == listed[2].split()[0]
    assert ask("runs", "--phase", "running").output == "No runs fit.\n"
    assert ask("show", "last").output.startswith("✗ train.fit")
    assert sorted(ask("logs", only.split()[0]).output.splitlines()) == ["fitting 1", "fitting 2"]
    assert ask("sql", "SELECT phase FROM runs WHERE task = 'train.fit'").output.split() == ["phase", "failed"]
    assert "train.py" in ask("sql", "SELECT notebook FROM runs LIMIT 1").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "--depth", "deep"], "Error: train.fit: depth must be int, got 'deep'"),
        (["fit", "--dept", "3"], "no parameter 'dept'. Did you mean depth?"),
        (["fit"], "train.fit needs depth. It takes depth: int, rates: list[float] = [0.1]."),
        (["fit", "3"], "'3': inputs are given by name."),
        (["fitt"], "No task is named 'fitt'. Did you mean"),
        (["helper"], "'helper' is of type module, not a task."),
    ],
)
@pytest.mark.usefixtures("forgotten")
def test_bad_input_is_one_message_and_nothing_is_recorded(file: Path, words: list[str], said: str) -> None:
    done = ask("run", str(file), *words)
    assert done.exit_code == 2 and said in done.output
    assert ask("runs").output == "No runs yet: flyte-nb run FILE TASK\n"


def test_a_file_that_cannot_be_loaded_says_where(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\nraise OSError('no disk')\n")
    done = program("run", str(broken), "fit")
    assert done.returncode == 2
    assert "broken.py cannot be loaded" in done.stderr and "line 2" in done.stderr and "OSError: no disk" in done.stderr
    assert "importlib" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(["show", "nowhere"], 2), (["logs", "nowhere"], 2), (["sql", "DROP TABLE runs"], 1), (["sql", "SELEC"], 1)],
)
def test_what_cannot_be_answered_is_one_line(words: list[str], code: int) -> None:
    done = ask(*words)
    assert done.exit_code == code
    assert done.output.startswith("Error: ") and done.output.count("\n") == 1


def test_stop_ends_the_run_as_aborted(file: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    words = [*PROGRAM, "run", str(file), "wait", "--seconds", "30"]
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "■ train.wait" in output
    assert ask("runs").output.splitlines()[1].split()[2] == "aborted"


def test_a_terminal_gets_one_line_that_gives_way_to_output(file: Path) -> None:
    controller, terminal = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "120"}
    words = [*PROGRAM, "run", str(file), "wait", "--seconds", "0.9"]
    with subprocess.Popen(words, env=env, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        drawn = b""
        while True:
            try:
                drawn += os.read(controller, 65536)
            except OSError:  # the terminal closes with its last writer
                break
    os.close(controller)
    text = drawn.decode()
    assert process.returncode == 0
    assert "\x1b[2K◐ train.wait" in text and "0/1" in text
    assert text.rindex("◐") < text.rindex("\x1b[2K") < text.index("✓ train.wait")


def test_starting_up_loads_nothing_heavy() -> None:
    heavy = {"IPython", "ipywidgets", "duckdb", "pydantic", "pandas"}
    check = f"import sys, flyte_nb.cli.main; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
