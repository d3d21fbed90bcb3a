"""The home: where it is, and what happens when it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyte_nb.store import mounts
from flyte_nb.store.errors import StoreError, StoreVersionError, StoreWarning
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


def test_a_project_on_a_network_disk_is_recorded_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/export {tmp_path}/far nfs4 rw 0 0\n")
    (tmp_path / "far" / "project" / ".git").mkdir(parents=True)
    monkeypatch.setattr(mounts, "MOUNTS", table)
    monkeypatch.delenv("FLYTE_NB_HOME")
    monkeypatch.chdir(tmp_path / "far" / "project")
    with pytest.warns(StoreWarning, match=r"on a network file system.*Set FLYTE_NB_HOME"):
        first = Home.find()
    with pytest.warns(StoreWarning):
        assert Home.find() == first
    assert not first.path.is_relative_to(tmp_path / "far")
    assert Home.find(tmp_path / "far").path == tmp_path / "far"


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/mnt/a b/c", "nfs"),
        ("/mnt/a b/c/local/x", None),
        ("/mnt/other", None),
        ("/mnt/a bc", None),
        ("/mnt/win", "9p"),
    ],
)
def test_the_innermost_mount_counts(folder: str, kind: str | None) -> None:
    table = "d / ext4 rw 0 0\ns:/x /mnt/a\\040b nfs rw 0 0\nd /mnt/a\\040b/c/local xfs rw 0 0\nC: /mnt/win 9p rw 0 0\n"
    assert mounts.network_type(Path(folder), table) == kind
