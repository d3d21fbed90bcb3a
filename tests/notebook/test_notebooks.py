"""Whole notebooks, executed as `jupyter nbconvert --execute` does, and shells that are no kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.notebook.conftest import ANSI

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


def executed(name: str, folder: Path) -> dict[str, str]:
    """What the cells of a shipped notebook say, by their first lines."""
    notebook = nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()
    return {cell.source.split("\n")[0]: text_of(cell) for cell in notebook.cells if cell.cell_type == "code"}


def text_of(cell: Any) -> str:
    texts = {"stream": lambda one: one.text, "error": lambda one: "\n".join(one.traceback)}
    shown = [texts.get(one.output_type, lambda one: one.data.get("text/plain", ""))(one) for one in cell.outputs]
    return ANSI.sub("", "\n".join(shown))


def test_the_notebook_on_runs_and_results_says_what_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    said = executed("runs_and_results", tmp_path)
    assert said["%flyte run price?"].startswith("prices.price: The price of an item.\n  item: str")
    assert "'cherry': 6.0" in said["run.outputs()"]
    assert said['plum = found["basket/price[1]"]'].startswith("({'item': 'plum', 'discount': 0.0}, 4.0, 'succeeded'")
    assert said["failed = flyte.last_run"] == "('failed', 'ZeroDivisionError', 3.0, 'prices.refund')"
    assert "prices.price  green      5" in said["%%flyte sql"]


def test_the_notebook_on_deployed_tasks_says_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    said = executed("remote", tmp_path)
    assert said["import subprocess"].endswith("'ok'")
    assert "score(item: str, factor: float = 1.0) -> float  version v1" in said["import flyte_nb as flyte"]
    assert said['shop = flyte.TaskEnvironment("shop")'].endswith("16.0")
    assert said['flyte.run(score, item="pear").outputs()[0]'].endswith("3.0")
    expected = "('scoring.score', {'item': 'apple', 'factor': 1.0}, 2.0, 'scoring apple')"
    assert said['theirs = flyte.remote.Run.get("theirs")'] == expected
    nightly = said['nightly = flyte.remote.Trigger.get(name="nightly", task_name="scoring.score")']
    assert "active  cron: 30 2 * * * (Europe/Berlin)" in nightly and nightly.count(":30") == 5
    assert said['flyte.remote.Trigger.update("nightly", "scoring.score", active=False)'] == "False"


def test_the_notebook_on_debugging_says_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    said = executed("debugging", tmp_path)
    assert "in pipeline/normalize (action" in said["%flyte run pipeline --rows 1"]
    assert said["values, sum(values)"] == "([0], 0)"
    assert "normalized = await normalize(values)" in said["%flyte debug last pipeline"]
    assert "loading" not in said["%flyte debug last pipeline"], "what had finished is not executed again"
    assert said["%flyte debug last normalize values=[1, 3]"].endswith("[0.25, 0.75]")
    assert said["%flyte debug last weigh grams=[1, 2, 3, 4000]"].endswith("'4.0 kg'")
    assert said["run = %flyte fork last"].endswith("(0.0, 'recovered')")


def test_the_notebook_on_people_says_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    said = executed("human_in_the_loop", tmp_path)
    assert "'Publish the model with a score of 0.96?',\n bool)" in said["import time"]
    assert "'perhaps' is no answer: answer yes or no" in said["try:"]
    assert "bool): Publish the model with a score of 0.96?" in said["%flyte signal last"]
    assert said["%flyte signal last publish yes"].rstrip().endswith("is answered: yes")
    assert said['asked(run, "threshold").signal(0.85)'] == "'published, acts from 0.85 on'"
    assert "kept back: Condition 'publish' was not signaled within 0.2 seconds." in said["@env.task"]
    assert "'publish': 'recovered',\n 'threshold': 'succeeded'" in said["print(recovered.outputs()[0])"]


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
