"""Notebooks whose code is shipped, and workers that it is shipped to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flyte_nb.engine.code.shipping import Shipper
from tests.engine.shipping_worker import CodeWorker, Notebook


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return Notebook(main)


@pytest.fixture(scope="module")
def worker() -> Iterator[CodeWorker]:
    with CodeWorker(Shipper()) as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which modules are imported; what was imported is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def fresh_worker(folder: Path) -> Iterator[CodeWorker]:
    """A worker that looks for modules in that folder, too."""
    with CodeWorker(Shipper()) as started:
        yield started
