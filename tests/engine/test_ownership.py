"""Whose code a module is, found without importing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyte_nb.engine.code.ownership import find_file


def test_a_module_in_folders_without_init_files_is_found_while_none_of_them_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "outermost" / "inner" / "innermost" / "helpers.py"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert find_file("outermost.inner.innermost.helpers") == str(file)
    assert find_file("outermost.inner.missing") is None
