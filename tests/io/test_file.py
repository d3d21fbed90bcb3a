"""`flyte.io.File`: by reference, sync and async, with Flyte's errors."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pydantic import BaseModel

from flyte_nb.io import File, HashFunction, HashMethod
from flyte_nb.io.hashing import HashlibAccumulator
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.registry import transformer_for
from flyte_nb.types.trees import identity_of, pack

Task = AbstractContextManager[None]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("one\ntwo\n")
    return path


def test_outside_a_task_there_is_no_place_for_a_new_file() -> None:
    with pytest.raises(ValueError, match="Raw data path has not been set in the context"):
        File.new_remote()
    with pytest.raises(ValueError, match=r"File.named_remote\(\) requires an active task execution context"):
        File.named_remote("x")


async def test_a_new_file_is_written_and_read(task: Task, tmp_path: Path) -> None:
    with task:
        file: File[str] = File.new_remote("out.txt")
    assert file.name == "out.txt" and Path(file.path).is_relative_to(tmp_path / "raw")
    assert not await file.exists()
    async with file.open("wb") as writer:
        assert await writer.write(b"one\ntwo\n") == 8
    async with file.open("rb") as reader:
        assert await reader.read() == b"one\ntwo\n"
        assert await reader.seek(0) == await reader.tell() == 0
    async with file.open("r") as reader:
        assert [line async for line in reader] == ["one\n", "two\n"]
    with file.open_sync("r") as text:
        assert text.read() == "one\ntwo\n"
    assert await file.exists() and file.exists_sync()


async def test_a_file_is_closed_when_its_block_fails(task: Task) -> None:
    with task:
        file: File[str] = File.new_remote()
    with pytest.raises(KeyError):
        async with file.open("w") as writer:
            raise KeyError
    assert writer.closed


def test_a_named_file_is_the_same_in_every_attempt(task: Task, tmp_path: Path) -> None:
    with task:
        assert File.named_remote("x.csv").path == str(tmp_path / "run" / "x.csv")


def test_a_local_file_is_copied_into_the_runs_data(task: Task, notes: Path) -> None:
    with task:
        file: File[str] = asyncio.run(File.from_local(notes))
    notes.unlink()
    with file.open_sync() as reader:
        assert reader.read() == b"one\ntwo\n"
    assert file.name == "notes.txt"


def test_outside_a_task_a_local_file_stays_where_it_is(notes: Path, tmp_path: Path) -> None:
    assert File.from_local_sync(notes).path == str(notes)
    copied: File[str] = File.from_local_sync(notes, remote_destination=str(tmp_path / "there" / "x.txt"))
    assert Path(copied.path).read_text() == "one\ntwo\n" and copied.name == "notes.txt"
    with pytest.raises(ValueError, match="File not found: "):
        File.from_local_sync(tmp_path / "missing")


async def test_a_file_is_downloaded_where_one_wants_it(notes: Path, tmp_path: Path) -> None:
    file: File[str] = File(path=str(notes))
    assert await file.download() == file.download_sync(notes) == str(notes)
    assert await file.download(tmp_path / "a" / "b.txt") == str(tmp_path / "a" / "b.txt")
    assert await file.download(f"{tmp_path}/folder/") == str(tmp_path / "folder" / "notes.txt")


def test_a_hash_is_computed_while_a_file_is_written_or_copied(task: Task, notes: Path) -> None:
    expected = hashlib.md5(b"one\ntwo\n").hexdigest()
    with task:
        written: File[str] = File.new_remote(hash_method=HashlibAccumulator.from_hash_name("md5"))
        copied: File[str] = File.from_local_sync(notes, hash_method=HashlibAccumulator.from_hash_name("md5"))
        known: File[str] = File.from_local_sync(notes, hash_method="known")
    with written.open_sync("wb") as writer:
        writer.write(b"one\n")
        writer.writelines([b"two\n"])
    assert written.hash == copied.hash == expected
    assert known.hash == "known"
    assert isinstance(HashFunction.from_fn(str), HashMethod)


def test_a_file_crosses_by_reference(blobs: MemoryBlobs, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(notes.parent)
    transformer = transformer_for(File)
    tree = transformer.encode(File(path="notes.txt", format="txt"), blobs)
    received = transformer.decode(tree, blobs)
    assert (type(received), received.path, received.name, received.format) == (File, str(notes), "notes.txt", "txt")
    preview = preview_of_tree(tree)
    assert (preview["kind"], preview["path"], preview["size_bytes"]) == ("file", str(notes), 8)
    with pytest.raises(TypeError, match=r"Expected value of type .*File'> but got 'x'"):
        transformer.encode("x", blobs)


def test_a_hashed_file_counts_by_its_hash(blobs: MemoryBlobs) -> None:
    transformer = transformer_for(File[bytes])
    one, same, other = (
        identity_of(pack([transformer.encode(File.from_existing_remote(path, known), blobs)]))
        for path, known in [("/a", "h"), ("/b", "h"), ("/b", None)]
    )
    assert one == same != other
    assert transformer.decode(transformer.encode(File.from_existing_remote("/a", "h"), blobs), blobs).hash == "h"


def test_files_are_fields_of_models_and_dataclasses(blobs: MemoryBlobs) -> None:
    for owner in (OfPydantic, OfDataclass):
        transformer = transformer_for(owner)
        received = transformer.decode(transformer.encode(owner(file=File(path="/a/b")), blobs), blobs)
        assert isinstance(received.file, File) and received.file.path == "/a/b"


class OfPydantic(BaseModel):
    file: File[str]


@dataclasses.dataclass
class OfDataclass:
    file: File[str]


def test_a_remote_file_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ImportError, match=r"s3://bucket/key is not on this machine; .* pip install fsspec s3fs"):
        File.from_existing_remote("s3://bucket/key").exists_sync()
