"""Whole notebooks, executed as `jupyter nbconvert --execute` does, and shells that are no kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

MIME = "application/vnd.flyte.run+json"
PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((PROJECT / "notebooks").glob("*.ipynb"))
FOLDERS_OF_MACHINES = ("/tmp/", "/root/", "/home/")
"""Where systems keep what belongs to one machine or user: what a saved notebook must not show."""
TASKS = """
import flyte_nb as flyte
env = flyte.TaskEnvironment("saved")
@env.task
async def double(x: int) -> int:
    return 2 * x
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_notebook_is_valid_and_names_no_folder_of_a_machine(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    assert not [folder for folder in FOLDERS_OF_MACHINES if folder in path.read_text()]


def test_a_notebook_saves_its_runs_drawn_without_loading_the_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (TASKS, "flyte.run(double, x=2)", "flyte.run")]
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    drawn, named = notebook.cells[1].outputs
    assert set(drawn.data) == {MIME, "text/html", "text/plain"}
    assert drawn.data[MIME]["phase"] == "succeeded" and drawn.data[MIME]["live"] is False
    assert "✓ succeeded" in drawn.data["text/html"]
    assert set(named.data) == {"text/plain"}
    nbformat.validate(notebook)


def test_an_executed_notebook_carries_no_widget_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD"):
        monkeypatch.delenv(name, raising=False)
    wait = "import asyncio\n@env.task\nasync def wait() -> None:\n    await asyncio.sleep(1.6)\nr = flyte.run(wait)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (TASKS, wait)])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert "widgets" not in notebook.metadata
    assert len(nbformat.writes(notebook)) < 10_000


def test_a_terminal_shell_has_the_magics_and_draws_nothing(tmp_path: Path) -> None:
    script = tmp_path / "typed.ipy"
    script.write_text(
        f"%load_ext flyte_nb\n{TASKS}\nr = %flyte run double --x 21\nprint(r, r.outputs()[0])\n%flyte run double\n"
    )
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "IPYTHONDIR": str(tmp_path)}
    words = [sys.executable, "-m", "IPython", "--colors=NoColor", "--no-banner", str(script)]
    done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "saved.double · succeeded" in done.stdout and done.stdout.rstrip().splitlines()[-1].endswith(" 42"), done
    assert "UsageError: saved.double needs x" in done.stdout + done.stderr
