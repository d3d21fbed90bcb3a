from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte_nb.executors.images.virtualenv import Virtualenvs
from flyte_nb.notebook.magics.commands import execute
from flyte_nb.remote.errors import CommandError
from flyte_nb.store.table import Table
from tests.executors.environments import build_default


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where images are kept in these tests."""
    monkeypatch.setenv("FLYTE_NB_IMAGES", str(tmp_path / "images"))
    return tmp_path / "images"


@pytest.fixture
def used() -> Iterator[Virtualenvs]:
    """The default image, built and in use by the Flyte environment `train`."""
    virtualenvs = Virtualenvs()
    build_default(virtualenvs, "train")
    yield virtualenvs
    virtualenvs.close()


def test_images_are_a_table(used: Virtualenvs, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    capsys.readouterr()
    table = execute({}, "images")
    assert isinstance(table, Table)
    assert (table["image"], table["environments"], table["in_use"]) == (["flyte"], ["train"], [True])
    assert table["size_mb"][0] > 1
    assert f"in {folder}, files that images share counted once." in capsys.readouterr().out


def test_prune_keeps_images_in_use_and_says_so(used: Virtualenvs, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    digest = used.built()[0].digest
    execute({}, "images prune --all")
    assert f"0 images removed, 0 kB freed. 1 image kept, for a kernel that lives uses them: flyte ({digest[:8]})." in (
        capsys.readouterr().out
    )
    used.close()
    execute({}, "images prune --older-than 1h")
    assert len(used.built()) == 1
    capsys.readouterr()
    execute({}, "images prune --all")
    assert capsys.readouterr().out.startswith("1 image removed, ")
    execute({}, "images")
    assert "No images are built yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("images list", "%flyte images lists, %flyte images prune removes; got 'list'."),
        ("images --all", "--all and --older-than say what to remove: %flyte images prune"),
        ("images prune --older-than soon", "--older-than takes a length of time such as 7d, 12h or 30m, got 'soon'"),
        ("images prune --all --older-than 7d", "--all and --older-than exclude each other."),
    ],
)
def test_bad_options_are_one_clear_message(line: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        execute({}, line)
    assert said in str(caught.value)
