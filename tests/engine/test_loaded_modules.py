"""Modules of the user's own that were loaded are held against their files."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte_nb.engine.code.loaded_modules import LoadedModules
from flyte_nb.engine.code.module_files import imported_files

NAME = "shelves_of_books"
TEXT = """from contextlib import contextmanager
from functools import cache

@contextmanager
def opened(place):
    yield place

@cache
def counted(place):
    return 1

def sold(item):
    return [one for one in (item, lambda: item)]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / f"{NAME}.py"
    file.write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module(NAME)
    yield file
    del sys.modules[NAME]


def text_beside_the_file() -> str | None:
    (found,) = imported_files([NAME], "").values()
    return LoadedModules().version(NAME, found)[1]


def test_a_module_with_decorators_of_other_modules_is_as_its_file_says(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert text_beside_the_file() is None
    assert not caplog.records


def test_a_module_that_was_edited_before_it_was_first_looked_at_is_told_of(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(TEXT.replace("(item, ", "(item, item, "))
    with caplog.at_level(logging.WARNING):
        text_beside_the_file()
    assert f"Module {NAME} was edited after it was imported" in caplog.text
