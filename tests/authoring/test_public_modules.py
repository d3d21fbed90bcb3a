"""notify, storage, artifacts and extend."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from flyte_nb import artifacts, extend, notify, storage
from flyte_nb.models import ActionPhase

FAILED = ActionPhase.FAILED


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: notify.Email(on_phase=FAILED, recipients=()), "At least one recipient must be specified"),
        (lambda: notify.Email(on_phase=ActionPhase.RUNNING, recipients=("a",)), "is not supported"),
        (lambda: notify.Email(on_phase=(), recipients=("a",)), "At least one phase must be specified"),
        (lambda: notify.Slack(on_phase=FAILED, webhook_url=""), "webhook_url is required"),
        (lambda: notify.Teams(on_phase=FAILED, webhook_url=""), "webhook_url is required"),
        (lambda: notify.Webhook(on_phase=FAILED, url=""), "url is required"),
        (lambda: notify.NamedRule(""), "Rule name must not be empty"),
        (lambda: notify.NamedDelivery(on_phase=FAILED, name=""), "Delivery config name must not be empty"),
    ],
)
def test_a_notification_nobody_would_get_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_notification_has_phases_and_a_text() -> None:
    email = notify.Email(on_phase=[FAILED, ActionPhase.ABORTED], recipients=["a"])  # type: ignore[arg-type]
    assert (email.on_phase, email.recipients) == ((FAILED, ActionPhase.ABORTED), ("a",))
    assert "{{.Run.Name}}" in email.subject
    slack = notify.Slack(on_phase=FAILED, webhook_url="u")
    assert slack.on_phase == (FAILED,)
    assert slack.message is not None
    assert notify.Slack(on_phase=FAILED, webhook_url="u", blocks=({},)).message is None
    assert notify.Teams(on_phase=FAILED, webhook_url="u").message == notify.SUMMARY
    webhook = notify.Webhook(on_phase=FAILED, url="u")
    assert webhook.body is not None
    assert webhook.body["run"] == "{{.Run.Name}}"


def test_files_and_folders_are_copied(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "f.txt").write_text("1")

    async def copies() -> list[str]:
        target = f"file://{tmp_path}/out/f.txt"
        await storage.put(str(tmp_path / "in" / "sub" / "f.txt"), target)
        assert await storage.exists(target)
        fetched = await storage.get(target, tmp_path / "in")
        folder = await storage.get(str(tmp_path / "in"), tmp_path / "copy", recursive=True)
        return [fetched, str(Path(folder) / "sub" / "f.txt")]

    for path in asyncio.run(copies()):
        assert Path(path).read_text() == "1"
    assert not storage.exists_sync(str(tmp_path / "none"))
    assert storage.join("a", "b") == "a/b"


def test_bytes_are_streamed(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    async def stream() -> list[bytes]:
        path = await storage.put_stream(chunks(), to_path=str(tmp_path / "deep" / "x"))
        assert await storage.put_stream(b"abcd", to_path=str(tmp_path / "y")) == str(tmp_path / "y")
        return [chunk async for chunk in storage.get_stream(path, chunk_size=3)]

    assert asyncio.run(stream()) == [b"abc", b"d"]
    assert (tmp_path / "y").read_bytes() == b"abcd"


def test_an_object_store_is_told_apart_and_refused() -> None:
    assert [storage.is_remote(path) for path in ("s3://b", "/a", "file:///a", Path("a"))] == [True, False, False, False]
    with pytest.raises(ValueError, match="s3://b is in an object store"):
        storage.exists_sync("s3://b")


def test_random_paths_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = storage.get_random_local_path("deep/x.txt")
    assert path.name == "x.txt"
    assert path.parent.is_dir()
    assert not path.exists()
    assert storage.get_random_local_directory().is_dir()


def test_settings_of_object_stores_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_AWS_ENDPOINT", "http://minio")
    monkeypatch.setenv("FLYTE_STORAGE_RETRIES", "7")
    monkeypatch.setenv("FLYTE_STORAGE_BACKOFF_SECONDS", "2")
    s3 = storage.S3.auto(region="eu")
    assert (s3.endpoint, s3.region, s3.retries, s3.backoff) == ("http://minio", "eu", 7, timedelta(seconds=2))
    assert storage.GCS.auto().retries == 7
    assert storage.ABFS.auto().account_name is None


class Payload:
    pass


def test_an_artifact_is_a_labelled_copy() -> None:
    metadata = artifacts.Metadata(name="weights", partitions={"day": date(2026, 1, 1), "region": "us"})
    value = Payload()
    labelled = artifacts.new(value, metadata)
    assert artifacts.metadata_of(labelled) is metadata
    assert artifacts.metadata_of(value) is None
    with pytest.raises(TypeError, match="values of type 'int' cannot be artifacts"):
        artifacts.new(3, metadata)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parents": ("v",) * 33}, "at most 32 parents, got 33"),
        ({"parents": ("v", "")}, r"parents\[1\] is an empty version string"),
        ({"partitions": {"": "a"}}, "Partition keys must be non-empty"),
        ({"partitions": {"a": None}}, "Partition 'a' is None"),
        (
            {"partitions": {"a": date(2026, 1, 1), "b": artifacts.TimePartition(date(2026, 1, 1), "week")}},
            "both 'a' and 'b' hold times",
        ),
    ],
)
def test_impossible_metadata_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        artifacts.Metadata(name="a", **settings)


def test_time_partitions_are_times() -> None:
    with pytest.raises(ValueError, match="Unknown time partition granularity 'year'"):
        artifacts.TimePartition(date(2026, 1, 1), "year")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a date or datetime, got int"):
        artifacts.TimePartition(3)  # type: ignore[arg-type]


def test_a_model_says_what_it_is() -> None:
    metadata = artifacts.Metadata.create_model_metadata(name="m", framework="torch", attrs={"k": "v"})
    assert metadata.attrs is not None
    assert (metadata.attrs[artifacts.KIND_KEY], metadata.attrs["framework"], metadata.attrs["k"]) == (
        "model",
        "torch",
        "v",
    )


def test_a_lazy_module_is_imported_when_it_is_used() -> None:
    sys.modules.pop("colorsys", None)
    colorsys = extend.lazy_module("colorsys")
    assert "colorsys" not in sys.modules
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert repr(colorsys) == "<lazy module colorsys>"


@pytest.mark.parametrize("module", [artifacts, extend, notify, storage])
def test_what_is_public_is_there(module: Any) -> None:
    assert all(hasattr(module, name) for name in module.__all__)
