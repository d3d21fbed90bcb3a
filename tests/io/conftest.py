"""What the tests of files share: code that runs inside a task, as far as files can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from flyte_nb.authoring.context import Controller, Scope, current_scope
from flyte_nb.models import ActionID, RawDataPath, TaskContext
from flyte_nb.types.blobs import MemoryBlobs


class OneTask:
    """The part of a controller that files ask: where this run puts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def task_context(self, scope: Scope) -> TaskContext:
        return TaskContext(
            action=ActionID(name="a0"),
            version="na",
            raw_data_path=RawDataPath(path=str(self.folder / "raw")),
            output_path=str(self.folder / "outputs"),
            run_base_dir=str(self.folder / "run"),
            report=None,
        )


@contextmanager
def inside_task(folder: Path) -> Iterator[None]:
    token = current_scope.set(Scope(cast("Controller", OneTask(folder)), None))
    try:
        yield
    finally:
        current_scope.reset(token)


@pytest.fixture
def task(tmp_path: Path) -> Any:
    """`with task: ...` is inside a task."""
    return inside_task(tmp_path)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()
