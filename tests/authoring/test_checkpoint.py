"""Saving and loading checkpoints."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import pytest

from flyte_nb.authoring.checkpoint import Checkpoint, latest_checkpoint


def pair(tmp_path: Path) -> tuple[Checkpoint, Checkpoint]:
    """What saves, and what an attempt later loads."""
    place = str(tmp_path / "deep" / "checkpoint")
    return Checkpoint(place), Checkpoint(str(tmp_path / "next"), place)


def test_bytes_come_back_as_a_payload(tmp_path: Path) -> None:
    earlier, later = pair(tmp_path)
    earlier.save_sync(b"state")
    path = later.load_sync()
    assert path == later.path / "payload"
    assert path.read_bytes() == b"state"


def test_a_file_comes_back_as_a_payload(tmp_path: Path) -> None:
    earlier, later = pair(tmp_path)
    (tmp_path / "model").write_text("weights")
    earlier.save_sync(tmp_path / "model")
    path = later.load_sync()
    assert path is not None
    assert path.read_text() == "weights"


def test_a_folder_comes_back_as_a_folder(tmp_path: Path) -> None:
    earlier, later = pair(tmp_path)
    (tmp_path / "run" / "sub").mkdir(parents=True)
    (tmp_path / "run" / "sub" / "last.ckpt").write_text("1")
    earlier.save_sync(str(tmp_path / "run"))
    path = later.load_sync()
    assert path == later.path
    assert latest_checkpoint(path) == path / "sub" / "last.ckpt"


def test_both_ways_can_be_awaited(tmp_path: Path) -> None:
    earlier, later = pair(tmp_path)

    async def task() -> bytes:
        await earlier.save(b"state")
        path = await later.load()
        assert path is not None
        return path.read_bytes()

    assert asyncio.run(task()) == b"state"


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    earlier, later = pair(tmp_path)
    assert not earlier.prev_exists()
    assert earlier.load_sync() is None
    assert later.prev_exists()
    assert later.load_sync() is None


def test_a_later_save_replaces_the_earlier_one_and_a_load_happens_once(tmp_path: Path) -> None:
    earlier, later = pair(tmp_path)
    earlier.save_sync(b"1")
    earlier.save_sync(b"2")
    path = later.load_sync()
    assert path is not None
    assert path.read_bytes() == b"2"
    earlier.save_sync(b"3")
    assert later.load_sync() == path
    assert path.read_bytes() == b"2"
    assert os.listdir(tmp_path / "deep") == ["checkpoint"]


def test_what_is_not_there_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Checkpoint source path does not exist"):
        pair(tmp_path)[0].save_sync(tmp_path / "missing")


def test_an_object_store_is_refused_and_a_file_address_taken(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="local folders"):
        Checkpoint("s3://bucket/x").save_sync(b"")
    Checkpoint(f"file://{tmp_path}/x").save_sync(b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


def test_the_workspace_goes_with_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = Checkpoint(str(tmp_path / "x"))
    workspace = checkpoint.path
    assert workspace.is_dir()
    del checkpoint
    gc.collect()
    assert not workspace.exists()


def test_the_latest_checkpoint_is_the_newest_or_what_the_key_says(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for name, time in (("1/last.ckpt", 200), ("2/last.ckpt", 100)):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text("")
        os.utime(path, (time, time))
    assert latest_checkpoint(tmp_path) == tmp_path / "1" / "last.ckpt"
    assert latest_checkpoint(tmp_path, key=lambda path: path.parent.name) == tmp_path / "2" / "last.ckpt"
    assert latest_checkpoint(tmp_path, "*/none") is None
