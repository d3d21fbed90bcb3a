from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.executors.images.virtualenv import Virtualenvs
from tests.executors.environments import build_default, make_project, make_wheel, no_progress, run_in
from tests.processes import is_alive, until_aio

PROJECT = Path(__file__).resolve().parents[2]
IMAGE = flyte.Image.from_debian_base(name="train")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the environments of this module go; the default image is in it."""
    virtualenvs = Virtualenvs(tmp_path_factory.mktemp("images"))
    build_default(virtualenvs)
    virtualenvs.close()
    return virtualenvs.folder


@pytest.fixture(autouse=True)
def offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests need is in uv's cache once the default image is built."""
    monkeypatch.setenv("UV_OFFLINE", "1")


@pytest.fixture
def empty(folder: Path, tmp_path: Path) -> Iterator[Virtualenvs]:
    """A folder of its own, for tests that count what is in it."""
    opened = Virtualenvs(tmp_path / "images")
    yield opened
    opened.close()


async def test_one_builds_and_the_others_wait_and_see_its_progress(folder: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "slow", "mine_slow")
    image = IMAGE.with_pip_packages(str(project))
    first, second, third = (Virtualenvs(folder) for _ in range(3))
    lines: dict[str, list[str]] = {"first": [], "second": [], "third": []}
    builder = asyncio.create_task(first.interpreter(image, lines["first"].append))
    await until_aio((project / "began").exists)
    waiting = [
        asyncio.create_task(second.interpreter(image, lines["second"].append)),
        asyncio.create_task(third.interpreter(image, lines["third"].append)),
    ]
    await until_aio(lambda: all(any("Building" in line for line in lines[name]) for name in ("second", "third")))
    (project / "go").touch()
    built = await asyncio.gather(builder, *waiting)
    assert built[0] == built[1] == built[2]
    for one in (first, second, third):
        one.close()


async def test_a_cancelled_build_kills_uv_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "slow", "mine_cancelled")
    image = IMAGE.with_pip_packages(str(project))
    virtualenvs = Virtualenvs(folder)
    building = asyncio.create_task(virtualenvs.interpreter(image, no_progress))
    began = project / "began"
    backend = int(await until_aio(lambda: began.exists() and began.read_text()))
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    await until_aio(lambda: not is_alive(backend))
    assert not any((folder / "building").iterdir())
    assert virtualenvs.needs_build(image)

    (project / "go").touch()
    assert run_in(await virtualenvs.interpreter(image, no_progress), "import mine_cancelled") == ""
    virtualenvs.close()


async def test_a_killed_builder_leaves_nothing_half_built(folder: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "slow", "mine_killed")
    code = f"""
        import asyncio, pathlib
        import flyte_nb as flyte
        from flyte_nb.executors.images.virtualenv import Virtualenvs
        image = flyte.Image.from_debian_base(name="killed").with_pip_packages({str(project)!r})
        asyncio.run(Virtualenvs(pathlib.Path({str(folder)!r})).interpreter(image, print))
    """
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    builder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(code), env=environ, stdout=asyncio.subprocess.DEVNULL
    )
    await until_aio((project / "began").exists)
    builder.kill()
    await builder.wait()

    image = IMAGE.with_pip_packages(str(project))
    virtualenvs = Virtualenvs(folder)
    assert virtualenvs.needs_build(image)
    lines: list[str] = []
    waiting = asyncio.create_task(virtualenvs.interpreter(image, lines.append))
    await until_aio(lambda: bool(lines))  # the uv that was left behind still works there: nobody else may
    (project / "go").touch()
    assert run_in(await waiting, "import mine_killed; print(mine_killed.VALUE)") == "1"
    assert not any((folder / "building").iterdir())
    virtualenvs.close()


async def test_an_environment_whose_python_is_gone_is_built_again(empty: Virtualenvs, folder: Path) -> None:
    built = await empty.interpreter(None, no_progress)
    os.unlink(built.python)
    os.symlink("/nowhere/python", built.python)
    assert empty.needs_build(None)
    assert await empty.interpreter(None, no_progress) == built
    assert run_in(built, "print(1)") == "1"


async def test_images_are_listed_and_sized_with_shared_files_counted_once(
    empty: Virtualenvs, tmp_path: Path, folder: Path
) -> None:
    await empty.interpreter(None, no_progress, "plain")
    image = IMAGE.with_pip_packages(str(make_wheel(tmp_path, "mine_listed")))
    built = await empty.interpreter(image, no_progress, "train")
    await empty.interpreter(image, no_progress, "team/score")
    first, second = empty.built()
    assert (first.digest, first.name, first.used_by) == (built.digest, "train", ("team/score", "train"))
    assert first.layers == (f"with_pip_packages({str(tmp_path / 'mine_listed-1.0-py3-none-any.whl')!r})",)
    assert (second.name, second.used_by, second.is_in_use) == ("flyte", ("plain",), True)
    assert first.used_at >= first.built_at >= second.built_at
    if os.stat(next(empty.folder.glob("*/lib/python*/site-packages/cloudpickle/cloudpickle.py"))).st_nlink > 1:
        assert max(first.size_bytes, second.size_bytes) < empty.size_bytes() < first.size_bytes + second.size_bytes


async def test_pruning_keeps_what_is_used_and_what_is_recent(empty: Virtualenvs, tmp_path: Path, folder: Path) -> None:
    images = [IMAGE.with_pip_packages(str(make_wheel(tmp_path, name))) for name in ("mine_old", "mine_recent")]
    old, recent = [await empty.interpreter(image, no_progress, "train") for image in images]
    other = Virtualenvs(empty.folder)
    assert [one.digest for one in other.prune().kept] == [recent.digest, old.digest]
    empty.close()

    os.utime(empty.folder / old.digest / "used_by" / "train", (1, 1))
    (empty.folder / "building" / "0123").mkdir(parents=True)
    pruned = other.prune(timedelta(days=1))
    assert [one.digest for one in pruned.removed] == [old.digest]
    assert pruned.freed_bytes > 0
    assert [one.digest for one in other.built()] == [recent.digest]
    assert not any((empty.folder / "building").iterdir())

    assert [one.digest for one in other.prune().removed] == [recent.digest]
    assert other.built() == []


def test_nothing_built_is_an_empty_list(empty: Virtualenvs) -> None:
    assert empty.built() == []
    assert empty.size_bytes() == 0
    assert empty.prune().removed == ()
