"""`flyte_nb.testing`: a fresh store for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.testing import reset

env = flyte.TaskEnvironment("fresh")


@env.task
async def one() -> int:
    return 1


def test_reset_forgets_what_was_recorded(tmp_path: Path) -> None:
    home = tmp_path / "store"
    reset(home)
    flyte.run(one)
    assert len(list(flyte.remote.Run.listall())) == 1
    reset(home)
    assert list(flyte.remote.Run.listall()) == []
    flyte.run(one)
    assert len(list(flyte.remote.Run.listall())) == 1


def test_reset_deletes_nothing_but_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="not a store"):
        reset(tmp_path)
    assert (tmp_path / "thesis.txt").exists()
