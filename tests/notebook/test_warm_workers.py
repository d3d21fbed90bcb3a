"""notebooks/warm_workers.ipynb, executed from top to bottom in a kernel of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from flyte_nb.executors.images.virtualenv import Virtualenvs
from tests.executors.environments import build_default

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOK = PROJECT / "notebooks" / "warm_workers.ipynb"
MIME = "application/vnd.flyte.run+json"


def runs_of(notebook: Any) -> dict[str, dict[str, Any]]:
    """The runs that a notebook's cells show, by task; of a task that ran several times the last."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    documents = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    return {document["task"]: document for document in documents}


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with fresh outputs; skipped where nothing can be downloaded."""
    folder = tmp_path_factory.mktemp("warm")
    virtualenvs = Virtualenvs(folder / "images")
    build_default(virtualenvs)
    virtualenvs.close()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("PYTHONPATH", str(PROJECT))
        variables.setenv("FLYTE_NB_HOME", str(folder / "home"))
        variables.setenv("FLYTE_NB_IMAGES", str(folder / "images"))
        NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    return notebook


def test_every_run_of_the_notebook_ends_as_it_says(executed: Any) -> None:
    runs = runs_of(executed)
    assert {task: run["phase"] for task, run in runs.items()} == {
        "driver.score_all": "succeeded",
        "driver.careful": "succeeded",
        "driver.stubborn": "aborted",
        "speech.say": "succeeded",
    }
    assert runs["driver.careful"]["counts"] == {"succeeded": 2, "failed": 1}
    assert runs["driver.stubborn"]["counts"] == {"aborted": 3}
    assert runs["speech.say"]["details"]["a0"]["isolation"] == "virtualenv"


def test_the_models_are_loaded_once_a_worker(executed: Any) -> None:
    printed = "".join(
        output["text"] for cell in executed.cells for output in cell.get("outputs", []) if "text" in output
    )
    assert 1 <= printed.count("loads the model") <= 2


def test_the_notebook_is_saved_with_its_outputs() -> None:
    saved = nbformat.read(NOTEBOOK, as_version=4)
    assert set(runs_of(saved)) == {"driver.score_all", "driver.careful", "driver.stubborn", "speech.say"}
