"""notebooks/recovery.ipynb, executed from top to bottom in a kernel of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOK = PROJECT / "notebooks" / "recovery.ipynb"
MIME = "application/vnd.flyte.run+json"


def runs_of(notebook: Any) -> list[dict[str, Any]]:
    """The runs that a notebook's cells show, in their order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]


def text_of(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(output["data"].get("text/plain", "") for output in outputs if "data" in output)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with fresh outputs."""
    folder = tmp_path_factory.mktemp("recovery")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("PYTHONPATH", str(PROJECT))
        variables.setenv("FLYTE_NB_HOME", str(folder / "home"))
        NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    return notebook


def test_the_killed_run_is_recovered_and_the_edited_one_forked(executed: Any) -> None:
    recovered, forked, more = runs_of(executed)
    assert [run["lineage"] for run in (recovered, forked, more)] == ["recovers", "forks", "forks"]
    assert [run["phase"] for run in (recovered, forked, more)] == ["succeeded"] * 3
    assert recovered["parent_run"] == "night" and recovered["counts"]["recovered"] >= 3
    assert forked["parent_run"] == recovered["run"] and forked["counts"] == {"recovered": 5, "succeeded": 3}
    assert more["counts"]["recovered"] == 5 and more["counts"]["succeeded"] == 9


def test_the_killed_run_is_listed_with_the_way_to_go_on(executed: Any) -> None:
    assert "Go on: %flyte recover night" in text_of(executed)


def test_the_plan_says_what_the_fork_does(executed: Any) -> None:
    assert "2 actions run again, 6 are reused" in text_of(executed)
    assert "research.compose" in text_of(executed) and "its code changed" in text_of(executed)


def test_the_notebook_is_saved_with_its_outputs() -> None:
    saved = nbformat.read(NOTEBOOK, as_version=4)
    assert [run["lineage"] for run in runs_of(saved)] == ["recovers", "forks", "forks"]
