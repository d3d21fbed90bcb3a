"""`flyte.io.Dir`: by reference, walked and listed in order, sync and async."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from flyte_nb.io import Dir, EmptyDir
from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.registry import transformer_for

Task = AbstractContextManager[None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("b.txt", "a.csv", "inner/c.txt", "inner/deep/d.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


async def test_files_are_walked_in_order(folder: Path) -> None:
    found: Dir[str] = Dir(path=str(folder))
    everything = ["a.csv", "b.txt", "c.txt", "d.txt"]
    assert [file.name for file in found.walk_sync()] == everything
    assert [file.name async for file in found.walk()] == everything
    assert [file.name async for file in found.walk(max_depth=2)] == everything[:3]
    assert [file.name for file in found.walk_sync(file_pattern="*.txt")] == everything[1:]
    assert [file.name for file in found.list_files_sync()] == everything[:2]
    assert [file.name for file in await found.list_files()] == everything[:2]


async def test_a_file_is_found_by_name(folder: Path) -> None:
    found: Dir[str] = Dir(path=str(folder))
    file = await found.get_file("inner/c.txt")
    assert file is not None and file.path == str(folder / "inner" / "c.txt")
    assert found.get_file_sync("missing") is None
    assert await found.exists()


async def test_a_local_folder_is_copied_into_the_runs_data(task: Task, folder: Path, tmp_path: Path) -> None:
    with task:
        copied: Dir[str] = await Dir.from_local(folder)
        fresh: Dir[str] = Dir.new_remote("fresh")
    assert Path(copied.path).is_relative_to(tmp_path / "raw") and copied.name == "data"
    assert len(list(copied.walk_sync())) == 4
    assert fresh.exists_sync() and fresh.name == "fresh"


async def test_a_folder_is_downloaded_where_one_wants_it(folder: Path, tmp_path: Path) -> None:
    found: Dir[str] = Dir(path=str(folder))
    assert await found.download() == str(folder)
    assert await found.download(tmp_path / "copy") == str(tmp_path / "copy")
    copied: Dir[str] = Dir(path=str(tmp_path / "copy"))
    assert len(list(copied.walk_sync())) == 4


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Directory not found: "):
        Dir.from_local_sync(tmp_path / "missing")


def test_the_empty_folder_holds_nothing_and_crosses(blobs: MemoryBlobs) -> None:
    transformer = transformer_for(Dir)
    received = transformer.decode(transformer.encode(Dir.empty(), blobs), blobs)
    assert received.is_empty and not received.exists_sync() and received.list_files_sync() == []
    assert isinstance(Dir.empty(), EmptyDir)


def test_a_folder_crosses_by_reference_and_shows_its_files(blobs: MemoryBlobs, folder: Path) -> None:
    transformer = transformer_for(Dir[str])
    tree = transformer.encode(Dir(path=str(folder), hash="h"), blobs)
    received = transformer.decode(tree, blobs)
    assert (received.path, received.hash, received.name) == (str(folder), "h", "data")
    preview = preview_of_tree(tree)
    assert (preview["kind"], preview["files"][0], preview["size_bytes"]) == ("dir", "a.csv", 37)


def test_a_kind_of_folder_that_demands_more_than_crosses_is_one_clear_error(blobs: MemoryBlobs, folder: Path) -> None:
    class Labelled(Dir[str]):
        label: str

    transformer = transformer_for(Labelled)
    tree = transformer.encode(Labelled(path=str(folder), label="cats"), blobs)
    with pytest.raises(TypeTransformerFailedError, match=r"Labelled cannot be rebuilt(.|\n)*label"):
        transformer.decode(tree, blobs)
