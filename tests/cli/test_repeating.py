"""`flyte-nb rerun`, `recover` and `fork`, after a run whose process was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()"]
TASKS = """
import os, signal
from pathlib import Path
import flyte_nb as flyte

env = flyte.TaskEnvironment("flow")

@flyte.trace
async def step(x: int) -> int:
    print("step", x)
    return x

@env.task
async def part(x: int) -> int:
    print("part", x)
    return x * 2

@env.task
async def whole(n: int, mark: str = "") -> int:
    total = await step(0) + sum([await part(x) for x in range(n)])
    if mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return total
"""


def program(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run([*PROGRAM, *words], env=env, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flow.py"
    path.write_text(TASKS)
    return path


@pytest.fixture
def killed(file: Path, tmp_path: Path) -> str:
    """The name of a run that was killed after its two parts."""
    assert program("run", str(file), "whole", "--n", "2", "--mark", str(tmp_path / "mark")).returncode == -9
    return program("runs").stdout.splitlines()[1].split()[0]


def test_a_killed_run_is_listed_with_the_way_to_go_on(killed: str) -> None:
    assert f"Go on: flyte-nb recover {killed}" in program("runs").stdout
    assert program("recover", killed).returncode == 0
    assert "Go on" not in program("runs").stdout


def test_recover_goes_on_where_the_run_stopped_without_its_file(killed: str, file: Path) -> None:
    file.unlink()
    done = program("recover", killed)
    assert done.returncode == 0, done.stderr
    head, step, first, second, outputs = done.stdout.splitlines()
    assert head.startswith("✓ flow.whole") and f"recovers {killed}" in head
    assert (
        step.startswith("├─ ↺ step  x=0")
        and first.startswith("├─ ↺ flow.part  x=0")
        and f"recovered from {killed}/" in first
    )
    assert second.startswith("└─ ↺ flow.part  x=1") and outputs == "o0 = 2"
    assert program("sql", "SELECT notebook FROM runs").stdout.split()[1:] == ["flow.py", "flow.py"]


def test_rerun_executes_the_recorded_code_with_other_inputs(killed: str, file: Path) -> None:
    file.write_text("broken")
    done = program("rerun", killed, "--n", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == ["step 0", "part 0", "part 1", "part 2"] and done.stdout.endswith("o0 = 6\n")


def test_rerun_begins_with_an_action(killed: str) -> None:
    action = program("sql", "SELECT action FROM actions WHERE task = 'flow.part' ORDER BY action").stdout.split()[1]
    done = program("rerun", killed, "--action", action[:8], "--x", "21")
    assert done.stdout.endswith("o0 = 42\n"), done.stderr


def test_fork_takes_the_file_as_it_stands_and_tells_before(killed: str, file: Path) -> None:
    file.write_text(TASKS.replace("return total", "return total + 100"))
    plan = program("fork", killed, str(file), "whole", "--dry-run")
    assert "1 action runs again, 3 are reused" in plan.stdout and "its code changed" in plan.stdout
    done = program("fork", killed, str(file), "whole")
    assert f"forks {killed}" in done.stdout and done.stdout.count("↺") == 3 and done.stdout.endswith("o0 = 102\n")


def test_what_is_forced_runs_again(killed: str) -> None:
    action = program("sql", "SELECT action FROM actions WHERE task = 'flow.part' ORDER BY action").stdout.split()[1]
    done = program("rerun", killed, "--recover", "--force-rerun-action", action[:8])
    assert done.stdout.count("↺") == 2 and done.stdout.endswith("o0 = 2\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rerun", "nowhere"], "No run is named 'nowhere'"),
        (["rerun", "last", "--n", "many"], "flow.whole: n must be int, got 'many'"),
        (["rerun", "last", "--m", "1"], "flow.whole has no parameter 'm'"),
        (["rerun", "last", "--action", "zz"], "is named 'zz'"),
        (["recover", "last", "--force", "zz"], "is named 'zz'"),
        (["rerun", "last", "--force", "zz"], "--force is of a recovery"),
        (["recover", "last", "3"], "'3': inputs are given by name"),
        (["fork", "last", "FILE", "holes"], "No task is named 'holes'. Did you mean whole"),
    ],
)
def test_bad_input_is_one_line(killed: str, file: Path, words: list[str], said: str) -> None:
    done = program(*[str(file) if word == "FILE" else word for word in words])
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
