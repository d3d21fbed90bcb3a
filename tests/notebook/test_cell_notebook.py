"""The notebook that teaches cells as tasks, executed as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

MIME = "application/vnd.flyte.run+json"
PROJECT = Path(__file__).resolve().parents[2]


def text_of(cell: Any) -> str:
    printed = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    shown = [output.data.get("text/plain", "") for output in cell.outputs if output.output_type == "execute_result"]
    return printed + "".join(shown)


def test_the_notebook_runs_from_top_to_bottom_and_says_what_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "home"))
    notebook = nbformat.read(PROJECT / "notebooks" / "cells_as_tasks.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()
    said = {cell.source.splitlines()[0]: text_of(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert said["%%flyte run --cache auto"].startswith("Unchanged, so it did not run again")
    assert said["%%flyte run --memory 1Gi --name fitted"].startswith("slope ")
    assert "frame" in said["%flyte explain resampled"] and "study.resampled" in said["%flyte explain resampled"]
    assert "±" in said['r = %flyte map bootstrap draw=range(20) table=frame[["x", "y"]] --concurrency 8']
    assert float(said["r = %flyte wait"]) == pytest.approx(3, abs=0.5)


def test_the_notebook_is_saved_with_its_outputs() -> None:
    path = PROJECT / "notebooks" / "cells_as_tasks.ipynb"
    notebook = nbformat.read(path, as_version=4)
    drawn = [output.data[MIME]["phase"] for cell in notebook.cells for output in shown_by(cell) if MIME in output.data]
    assert drawn == ["succeeded"] * 6


def shown_by(cell: Any) -> list[Any]:
    return [output for output in cell.get("outputs", []) if "data" in output]
