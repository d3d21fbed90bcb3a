"""Runs that move from store to store: whole or not at all, and nothing that an archive says is trusted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.store.archive import Manifest
from flyte_nb.store.database import Database
from flyte_nb.store.errors import StoreError, StoreVersionError, StoreWarning
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    ErrorRecord,
    Event,
    LogWritten,
    ReportWritten,
    RunEnded,
    RunLabelled,
    RunStarted,
    TaskDeclared,
)
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.queries import Store
from flyte_nb.store.retention import TABLES
from flyte_nb.store.transfer import export_run, import_run
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blob
from flyte_nb.types.trees import blob_leaf, pack, tagged, unpack

Record = Callable[..., None]

LARGE = b"large" * 50_000
AT = 1_700_000_000_000_000_000


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Home]:
    """A second store."""
    home = Home(tmp_path / "other")
    yield home
    Database.of(home).close()


def everything(home: Home, run: str = "r1") -> list[Event]:
    """A run that has a bit of all that a run can have."""
    values = ValueStore(home.ensure())
    inner = values.put([LARGE, b"inner"])
    tree = values.put([pack([blob_leaf(Blob(inner, 250_000, "pickle5", {"kind": "opaque", "text": "inner"}))])])
    code = values.put([b"code" * 1000])
    folder = home.data / run
    (folder / "checkpoints" / run / "a0").mkdir(parents=True)
    (folder / "checkpoints" / run / "a0" / "1").write_bytes(b"saved")
    (folder / "model.bin").write_bytes(b"model")
    (folder / "link").symlink_to("/etc/passwd")
    file = tagged("previewed", [{"kind": "file", "text": "model.bin"}, {"path": str(folder / "model.bin")}])
    outputs = pack([blob_leaf(Blob(tree, 300, "tree", {"kind": "tree", "text": "tree"})), file])
    error = ErrorRecord("ValueError", "user", "unlucky", "Traceback ...", "cell 3, line 7")
    return [
        RunStarted(
            run, AT, "shop.main", {"team": "red"}, {"note": "x"}, "shop.ipynb", "c1", "r0", {"o": [1]}, "shop", code
        ),
        TaskDeclared(
            run, "shop.main", 0, "own", "deep", "def main(x): ...", [("x", "int")], [("o0", "list"), ("o1", "File")],
            {"retries": 3}, b"types", "main", "cell 1, line 1", "process", "a memory limit",
        ),
        ActionStarted(run, "a0", "", "task", "shop.main", 0, 0, AT, pack([3]), "g", "ab", None, {"tenant": "x"}),
        ActionStarted(run, "a1", "a0", "trace", "shop.step", -1, 1, AT + 1, pack(["x"]), "", "cd", [("s", "str")]),
        AttemptEnded(run, "a0", 1, "failed", AT + 1, AT + 2, error),
        LogWritten(run, "a0", 1, AT + 2, "stdout", "first\nsecond"),
        ReportWritten(run, "a0", 2, AT + 3, "<h1>report</h1>"),
        ActionEnded(run, "a1", 1, "failed", AT + 1, AT + 4, None, error, "", "a note", "kernel"),
        ActionEnded(
            run, "a0", 2, "succeeded", AT + 3, AT + 9, outputs, None, f"cache:{run}/a9", "", "shop worker 2", AT + 2
        ),
        RunEnded(run, AT + 10, "succeeded"),
        RunLabelled(run, AT + 11, {"best": "yes", "team": None}),
    ]  # fmt: skip


def rows(home: Home, run: str) -> dict[str, list[Any]]:
    """Everything that the tables hold of a run, but for the journal that it came from."""
    with Database.of(home).session() as cursor:
        columns = {table: "* EXCLUDE (journal)" if table == "runs" else "*" for table in TABLES}
        queries = {table: f"SELECT {columns[table]} FROM store.{table} WHERE run = ? ORDER BY ALL" for table in TABLES}
        return {table: cursor.execute(query, [run]).fetchall() for table, query in queries.items()}


@pytest.fixture
def archive(home: Home, journal: Journal, record: Record, tmp_path: Path) -> Path:
    record(journal, *everything(home))
    path = tmp_path / "run.zip"
    export_run(home, "r1", path)
    return path


def rewritten(archive: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive with other members."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist()}
    change(members)
    path = archive.with_name("changed.zip")
    with zipfile.ZipFile(path, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return path


def manifest_with(**changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members["run.json"] = json.dumps({**json.loads(members["run.json"]), **changes}).encode()

    return change


def assert_untouched(home: Home) -> None:
    assert Store(home).runs() == []
    assert not list(home.data.glob("*"))
    assert list(ValueStore(home).stored()) == []
    assert not list(home.path.glob(".import-*"))


def test_a_run_arrives_with_all_its_rows_values_and_files(home: Home, other: Home, archive: Path) -> None:
    assert import_run(other, archive) == "r1"
    sent, arrived = rows(home, "r1"), rows(other, "r1")
    file = unpack(Store(other).action("r1", "a0").outputs or b"")[1]
    assert str(other.data / "r1" / "model.bin").encode() in file.data
    for table in ("actions", "action_values"):  # they hold the path of the file, which is another now
        assert len(sent.pop(table)) == len(arrived.pop(table)) > 0
    assert sent == arrived
    assert all(arrived.values())
    assert Store(other).integrity() == []
    assert len(list(ValueStore(other).stored())) == 3
    assert (other.data / "r1" / "model.bin").read_bytes() == b"model"
    assert (other.data / "r1" / "checkpoints" / "r1" / "a0" / "1").read_bytes() == b"saved"
    assert not (other.data / "r1" / "link").exists()


def test_without_files_every_row_is_equal(home: Home, other: Home, archive: Path, tmp_path: Path) -> None:
    export_run(home, "r1", tmp_path / "rows.zip", with_files=False)
    import_run(other, tmp_path / "rows.zip")
    assert rows(other, "r1") == rows(home, "r1")
    assert not (other.data / "r1" / "model.bin").exists()


def test_what_was_imported_can_be_exported_again(home: Home, other: Home, archive: Path, tmp_path: Path) -> None:
    import_run(other, archive)
    export_run(other, "r1", tmp_path / "again.zip")
    third = Home(tmp_path / "third")
    import_run(third, tmp_path / "again.zip")
    assert (third.data / "r1" / "model.bin").read_bytes() == b"model"
    assert Store(third).integrity() == []
    Database.of(third).close()


def test_a_run_whose_name_is_taken_is_numbered(home: Home, other: Home, archive: Path) -> None:
    assert [import_run(other, archive) for _ in range(3)] == ["r1", "r1-2", "r1-3"]
    second = Store(other).run("r1-2")
    assert (second.parent_run, second.labels, second.action_count) == ("r0", {"best": "yes"}, 2)
    assert Store(other).action("r1-2", "a0").source == "cache:r1-2/a9"
    assert str(other.data / "r1-2" / "model.bin").encode() in (Store(other).action("r1-2", "a0").outputs or b"")
    assert (other.data / "r1-2" / "checkpoints" / "r1-2" / "a0" / "1").read_bytes() == b"saved"
    assert import_run(home, archive) == "r1-2"


def test_a_live_run_is_not_exported(home: Home, journal: Journal, record: Record, tmp_path: Path) -> None:
    record(journal, *everything(home)[:-2])
    with pytest.raises(StoreError, match=r"Run r1 is live; nothing was exported\. Wait for its end, or abort it"):
        export_run(home, "r1", tmp_path / "run.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_a_file_that_exists_is_not_replaced(home: Home, archive: Path) -> None:
    content = archive.read_bytes()
    with pytest.raises(StoreError, match=r"run\.zip exists already; nothing was exported"):
        export_run(home, "r1", archive)
    assert archive.read_bytes() == content


def test_a_file_that_cannot_be_written_is_one_clear_error(home: Home, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/run\.zip cannot be written: No such file or directory"):
        export_run(home, "r1", tmp_path / "nowhere" / "run.zip")


def test_missing_values_are_said_and_the_rest_is_exported(
    home: Home, other: Home, archive: Path, tmp_path: Path
) -> None:
    for digest, _ in list(ValueStore(home).stored()):
        ValueStore(home).path(digest).unlink()
    with pytest.warns(StoreWarning, match="1 values of run r1 are no longer in"):
        export_run(home, "r1", tmp_path / "less.zip")
    assert import_run(other, tmp_path / "less.zip") == "r1"


def test_an_archive_cut_or_changed_anywhere_is_refused_and_nothing_is_imported(other: Home, archive: Path) -> None:
    content = archive.read_bytes()
    damaged = archive.with_name("damaged.zip")
    places = range(0, len(content), len(content) // 25)
    for at in places:
        damaged.write_bytes(content[:at])
        with pytest.raises(StoreError, match="is not a whole archive of a run"):
            import_run(other, damaged)
    assert_untouched(other)
    refused = 0
    for at in places:
        damaged.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            import_run(other, damaged)
        except StoreError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > len(places) // 2
    # A byte that means nothing, such as one of a member's time, harms nothing.
    assert len(Store(other).runs()) == len(places) - refused
    assert Store(other).integrity() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (manifest_with(version=2), r"has version 2; this flyte_nb reads up to 1\. Nothing was imported\. Upgrade"),
        (manifest_with(format="other"), "is something else"),
        (manifest_with(run="../../r1"), "'../../r1' is no name of a run"),
        (manifest_with(run=""), "'' is no name of a run"),
        (manifest_with(values=["../../x"]), "'../../x' is no digest"),
        (manifest_with(files=["../x"]), "'../x' is no path inside a folder"),
        (manifest_with(files=["/etc/x"]), "'/etc/x' is no path inside a folder"),
        (manifest_with(files=["a/../../x"]), "is no path inside a folder"),
        (manifest_with(files=["a\\..\\x"]), "is no path inside a folder"),
        (manifest_with(files=[]), "what it holds is not what it lists"),
        (manifest_with(files=7), "run.json: Expected `array`"),
        (lambda members: members.pop("run.json"), "it has no run.json"),
        (lambda members: members.pop("events"), "what it holds is not what it lists"),
        (lambda members: members.update({"files/../../evil": b""}), "what it holds is not what it lists"),
        (lambda members: members.update({"events": b""}), "its events are not those of one run"),
        (lambda members: members.update({"events": members["events"][:-9]}), "its events are not those of one run"),
        (lambda members: members.update({"run.json": b"[]"}), "is something else"),
    ],
)  # fmt: skip
def test_an_archive_that_says_anything_else_is_refused(
    other: Home, archive: Path, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    with pytest.raises((StoreError, StoreVersionError), match=message):
        import_run(other, rewritten(archive, change))
    assert_untouched(other)
    assert not (other.path.parent / "evil").exists()


def test_a_value_that_is_not_what_its_name_says_is_refused(other: Home, archive: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.startswith("values/") and len(members[name]) > 10_000)
        members[name] = members[name][:-100] + bytes(100)

    with pytest.raises(StoreError, match=r"the value [0-9a-f]{64} is not what it says"):
        import_run(other, rewritten(archive, change))
    assert_untouched(other)


def test_an_import_that_fails_midway_leaves_nothing_but_waste(
    other: Home, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr("flyte_nb.store.transfer.place_journal", full)
    with pytest.raises(StoreError, match="no space left"):
        import_run(other, archive)
    assert Store(other).runs() == []
    assert not list(other.data.glob("*"))
    monkeypatch.undo()
    assert import_run(other, archive) == "r1"
    assert Store(other).integrity() == []


def test_a_missing_file_is_one_clear_error(other: Home, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.zip cannot be imported: No such file or directory"):
        import_run(other, tmp_path / "none.zip")


def test_the_manifest_says_what_there_is(archive: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        manifest = json.loads(members.read("run.json"))
    assert set(manifest) == set(Manifest.__struct_fields__)
    assert manifest["files"] == ["model.bin", "checkpoints/r1/a0/1"]
