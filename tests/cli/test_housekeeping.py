"""`flyte-nb abort | prune | export | import`: what a shell sees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flyte_nb.cli.main import cli
from flyte_nb.store.database import Database
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from tests.processes import until

PROGRAM = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()"]
PROJECT = Path(__file__).resolve().parents[2]
TASKS = """
import asyncio
import flyte_nb as flyte

env = flyte.TaskEnvironment("keep")

@env.task
async def double(x: int) -> int:
    return 2 * x

@env.task
async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keep.py"
    path.write_text(TASKS)
    return path


@pytest.fixture
def other_home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "other"
    yield path
    Database.of(Home(path)).close()


def start(*words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen([*PROGRAM, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ask(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def run_double(file: Path, x: int) -> str:
    done = start("run", str(file), "double", "--x", str(x))
    done.communicate()
    assert done.returncode == 0
    return Store.open().runs(limit=1)[0].name


def test_abort_ends_the_run_of_another_program(file: Path) -> None:
    running = start("run", str(file), "wait", "--seconds", "3600")
    until(lambda: Store.open().runs(phase="running"))
    run = Store.open().runs(limit=1)[0].name
    told = ask("abort", "run", "last", "--reason", "too slow")
    assert (told.exit_code, told.output) == (0, f"Run {run} is aborted.\n")
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert f"⊘ keep.wait  {run}" in out or run in out
    again = ask("abort", run)
    assert (again.exit_code, again.output) == (0, f"Run {run} is over already: aborted.\n")


def test_abort_of_no_run_is_one_line() -> None:
    told = ask("abort", "nothing")
    assert told.exit_code == 2
    assert told.output == "Error: No run is named 'nothing': there are none yet.\n"


def test_export_and_import_move_a_run(
    file: Path, tmp_path: Path, other_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_double(file, 21)
    archive = tmp_path / "run.zip"
    assert ask("export", run, str(archive)).output.startswith(f"Run {run} is in {archive} (")
    again = ask("export", run, str(archive))
    assert (again.exit_code, "exists already" in again.output) == (1, True)
    monkeypatch.setenv("FLYTE_NB_HOME", str(other_home))
    assert ask("import", str(archive)).output == f"Run {run} of keep.double, succeeded: %flyte show {run}\n"
    assert run in ask("show", run).output
    archive.write_bytes(b"something else")
    damaged = ask("import", str(archive))
    assert damaged.exit_code == 1
    assert damaged.output.startswith(f"Error: {archive} is not a whole archive of a run: ")


def test_prune_deletes_what_it_says(file: Path) -> None:
    first, second = run_double(file, 1), run_double(file, 2)
    assert ask("prune", "--keep", "1", "--dry-run").output.startswith(f"Would delete 1 run ({first});")
    assert ask("prune", "--keep", "1").output.startswith("Deleted 1 run; the store shrank from")
    assert [row.name for row in Store.open().runs()] == [second]
    told = ask("prune", "--older-than", "ages")
    assert (told.exit_code, "such as 7d, 12h or 30m, got 'ages'" in told.output) == (2, True)
