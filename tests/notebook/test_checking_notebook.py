"""notebooks/checking.ipynb, executed from top to bottom in a kernel of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from flyte_nb.checking.problem import KINDS

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOK = PROJECT / "notebooks" / "checking.ipynb"


def checks_of(notebook: Any) -> list[str]:
    """What the checks of a notebook's cells show, in their order."""
    cells = [cell for cell in notebook.cells if cell.source.startswith("%flyte check")]
    return [cell.outputs[0]["data"]["text/plain"] for cell in cells]


def test_the_notebook_shows_each_class_of_mistakes_and_how_it_is_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "home"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    saved = checks_of(notebook)
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    before, after = checks_of(notebook)
    for kind in KINDS:
        assert f"[{kind}, in " in before and f"[{kind}, in " in saved[0]
    assert after == saved[1] and after.startswith("✓ forecast.forecast: no mistakes in 4 tasks")
