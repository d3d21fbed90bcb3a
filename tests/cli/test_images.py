from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from flyte_nb.cli.main import cli
from flyte_nb.executors.images.virtualenv import Virtualenvs
from tests.executors.environments import build_default


def flyte_nb(*words: str) -> str:
    return CliRunner().invoke(cli, words).output


def test_images_are_listed_and_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_IMAGES", str(tmp_path / "images"))
    assert "No images are built yet" in flyte_nb("images")
    virtualenvs = Virtualenvs()
    built = build_default(virtualenvs, "train")
    virtualenvs.close()
    listing = flyte_nb("images").splitlines()
    assert listing[0].split() == ["IMAGE", "DIGEST", "SIZE", "LAST", "USED", "ENVIRONMENTS", "LAYERS"]
    assert listing[1].startswith(f"flyte  {built.digest}") and "train" in listing[1]
    assert "takes a length of time such as 7d" in flyte_nb("images", "prune", "--older-than", "soon")
    assert flyte_nb("images", "prune").startswith("0 images removed")
    assert flyte_nb("images", "prune", "--all").startswith("1 image removed")
