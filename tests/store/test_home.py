"""The home: where it is, and what happens when it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyte_nb.store.errors import StoreError, StoreVersionError
from flyte_nb.store.home import STORE_VERSION, Home
from flyte_nb.store.migrations import MIGRATIONS
from flyte_nb.store.queries import Store


@pytest.mark.parametrize("mark", [".flyte_nb", "pyproject.toml", ".git"])
def test_the_home_stands_in_the_projects_root(mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYTE_NB_HOME")
    deep = tmp_path / "project" / "notebooks" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "project" / mark).mkdir()
    monkeypatch.chdir(deep)
    assert Home.find().path == tmp_path / "project" / ".flyte_nb"


def test_the_environment_variable_and_the_argument_go_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "variable"))
    assert Home.find().path == tmp_path / "variable"
    assert Home.find(tmp_path / "argument").path == tmp_path / "argument"


def test_finding_a_home_creates_nothing(tmp_path: Path) -> None:
    Home.find(tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_home_ignores_itself_in_git(home: Home) -> None:
    assert (home.ensure().path / ".gitignore").read_text() == "*\n"
    home.ensure()


def test_a_newer_home_is_refused_and_left_untouched(home: Home) -> None:
    home.ensure()
    Store(home).runs()
    Store(home).close()
    home.version.write_text("99\n")
    before = {path: path.stat().st_mtime_ns for path in home.path.rglob("*")}
    with pytest.raises(StoreVersionError, match=r"has version 99.*Upgrade flyte_nb"):
        home.ensure()
    with pytest.raises(StoreVersionError):
        Store(home).runs()
    assert {path: path.stat().st_mtime_ns for path in home.path.rglob("*")} == before


def test_a_version_that_is_no_number_is_refused(home: Home) -> None:
    home.ensure().version.write_text("<html>")
    with pytest.raises(StoreVersionError, match="<html>"):
        home.ensure()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/home cannot be used: Not a directory .* Set FLYTE_NB_HOME"):
        Home(tmp_path / "file" / "home").ensure()


def test_every_version_has_its_migration() -> None:
    assert sorted(MIGRATIONS) == list(range(1, STORE_VERSION + 1))
