from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import textwrap
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.errors import ImageBuildError
from flyte_nb.executors.images.builder import find_uv
from flyte_nb.executors.images.virtualenv import Virtualenvs
from tests.executors.environments import build_default, make_project, make_wheel, no_progress, run_in, said_by

PROJECT = Path(__file__).resolve().parents[2]
IMAGE = flyte.Image.from_debian_base(name="train")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the environments of this module go; the default image is in it."""
    virtualenvs = Virtualenvs(tmp_path_factory.mktemp("images"))
    build_default(virtualenvs)
    virtualenvs.close()
    return virtualenvs.folder


@pytest.fixture
def virtualenvs(folder: Path) -> Iterator[Virtualenvs]:
    opened = Virtualenvs(folder)
    yield opened
    opened.close()


@pytest.fixture
def empty(folder: Path, tmp_path: Path) -> Iterator[Virtualenvs]:
    """A folder of its own, for tests that count what is in it."""
    opened = Virtualenvs(tmp_path / "images")
    yield opened
    opened.close()


async def test_the_environment_has_the_images_version_and_the_kernel_keeps_its_own(virtualenvs: Virtualenvs) -> None:
    assert version("packaging") != "23.0"
    image = IMAGE.with_pip_packages("packaging==23.0").with_env_vars({"MODE": "fast"})
    assert virtualenvs.needs_build(image)
    lines: list[str] = []
    built = await virtualenvs.interpreter(image, lines.append, "train")
    assert run_in(built, "import packaging; print(packaging.__version__)") == "23.0"
    assert built.variables == {"MODE": "fast"}
    assert "1/1 with_pip_packages('packaging==23.0')" in lines
    assert "+ packaging==23.0" in lines
    assert not virtualenvs.needs_build(image)

    again: list[str] = []
    assert await virtualenvs.interpreter(image, again.append, "train") == built
    assert again == []


async def test_the_default_image_holds_what_a_worker_needs_and_nothing_of_jupyter(virtualenvs: Virtualenvs) -> None:
    built = await virtualenvs.interpreter(None, no_progress)
    modules = "flyte_nb.executors.worker.main, flyte_nb.executors.frames, flyte_nb.types.signature, flyte_nb.io"
    assert run_in(built, f"import {modules}; print(flyte_nb.io.File.__name__)") == "File"
    versions = "{name: version(name) for name in ('cloudpickle', 'msgspec', 'blake3')}"
    assert run_in(built, f"from importlib.metadata import version; print({versions})") == str(
        {name: version(name) for name in ("cloudpickle", "msgspec", "blake3")}
    )
    find = "from importlib.util import find_spec; print(*map(find_spec, ('jupyterlab', 'duckdb', 'ipykernel', 'pip')))"
    assert run_in(built, find) == "None None None None"
    assert os.listdir(built.support) == ["flyte_nb"]


def test_a_flyte_nb_that_was_installed_from_a_wheel_comes_along(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(
        PROJECT / "flyte_nb",
        tmp_path / "flyte_nb",
        ignore=shutil.ignore_patterns("static", "labextension", "__pycache__"),
    )
    code = """
        import asyncio, pathlib, sys
        from flyte_nb.executors.images.virtualenv import Virtualenvs
        built = asyncio.run(Virtualenvs(pathlib.Path(sys.argv[1])).interpreter(None, print))
        print((pathlib.Path(built.support) / "flyte_nb").resolve())
    """
    said = said_by(sys.executable, "-c", textwrap.dedent(code), str(folder), PYTHONPATH=str(tmp_path))
    assert said == str(tmp_path / "flyte_nb")


async def test_a_package_that_does_not_exist_is_reported_and_a_second_try_works(
    empty: Virtualenvs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("WHEELS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    image = IMAGE.with_pip_packages("mine-alone==1.0", extra_args="--no-index --find-links $WHEELS")
    with pytest.raises(ImageBuildError) as caught:
        await empty.interpreter(image, no_progress)
    message = str(caught.value)
    assert message.startswith("Image 'train': with_pip_packages('mine-alone==1.0') could not be installed:\n  error: ")
    assert "mine-alone was not found" in message
    assert not any((empty.folder / "building").iterdir())
    assert empty.built() == []

    make_wheel(tmp_path / "wheels", "mine_alone")
    built = await empty.interpreter(image, no_progress)
    assert run_in(built, "import mine_alone; print(mine_alone.VERSION)") == "1.0"


async def test_a_conflict_is_reported_with_the_layer(virtualenvs: Virtualenvs, tmp_path: Path) -> None:
    first = make_wheel(tmp_path, "first", requires="mine==1.0")
    second = make_wheel(tmp_path, "second", requires="mine==2.0")
    image = IMAGE.with_pip_packages(str(first), str(second), extra_args=f"--no-index --find-links {tmp_path}")
    with pytest.raises(ImageBuildError, match=r"(?s)with_pip_packages\('.*first.*No solution found.*mine==1\.0"):
        await virtualenvs.interpreter(image, no_progress)


async def test_a_version_that_the_worker_cannot_speak_is_refused(virtualenvs: Virtualenvs) -> None:
    with pytest.raises(ImageBuildError, match=r"The worker itself needs cloudpickle==.*leave its version out"):
        await virtualenvs.interpreter(IMAGE.with_pip_packages("cloudpickle==2.0.0"), no_progress)


async def test_an_index_that_cannot_be_reached_is_said_with_a_way_out(
    empty: Virtualenvs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://me:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(
        ImageBuildError, match=r"(?s)could not be installed.*index was not reached.*UV_OFFLINE=1"
    ) as caught:
        await empty.interpreter(IMAGE.with_pip_packages("six"), no_progress)
    assert "secret" not in str(caught.value)


async def test_without_uv_the_error_says_how_to_get_it(
    empty: Virtualenvs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    with pytest.raises(ImageBuildError, match=r"needs uv.*pip install uv"):
        await empty.interpreter(IMAGE.with_pip_packages("six"), no_progress)


async def test_a_folder_that_cannot_be_used_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageBuildError, match=r"cannot be built in .*file/images: .*FLYTE_NB_IMAGES"):
        await Virtualenvs(tmp_path / "file" / "images").interpreter(None, no_progress)


async def test_requirements_scripts_and_later_layers_are_installed(virtualenvs: Virtualenvs, tmp_path: Path) -> None:
    wheels = {name: make_wheel(tmp_path / "wheels", name) for name in ("mine_a", "mine_b", "mine_c")}
    (tmp_path / "requirements.txt").write_text(f"{wheels['mine_a']}\n")
    script = tmp_path / "script.py"
    script.write_text(f'# /// script\n# dependencies = ["mine_b @ {wheels["mine_b"].as_uri()}"]\n# ///\n')
    image = (
        flyte.Image.from_uv_script(script, name="script")
        .with_requirements(tmp_path / "requirements.txt")
        .with_pip_packages(str(wheels["mine_c"]))
    )
    built = await virtualenvs.interpreter(image, no_progress)
    assert run_in(built, "import mine_a, mine_b, mine_c; print(mine_c.VERSION)") == "1.0"


async def test_a_projects_dependencies_are_installed_from_its_lock_and_its_folder_is_left_alone(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    make_wheel(tmp_path / "wheels", "mine_lib")
    source = '[tool.uv.sources]\nmine_lib = { path = "../wheels/mine_lib-1.0-py3-none-any.whl" }'
    project = make_project(tmp_path / "project", "mine_app", f'dependencies = ["mine_lib"]\n{source}')
    (project / "go").touch()
    said_by(find_uv(), "lock", "--quiet", "--project", str(project))
    before = sorted(os.listdir(project))
    built = await virtualenvs.interpreter(IMAGE.with_uv_project(project / "pyproject.toml"), no_progress)
    assert run_in(built, "import mine_lib; print(mine_lib.VERSION)") == "1.0"
    assert run_in(built, "from importlib.util import find_spec; print(find_spec('mine_app'))") == "None"
    assert run_in(built, "import cloudpickle, msgspec; print(cloudpickle.__version__)") == version("cloudpickle")
    assert sorted(os.listdir(project)) == before


async def test_a_project_without_a_lock_is_installed_whole_from_a_copy(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", "mine_whole")
    (project / "go").touch()
    image = IMAGE.with_uv_project(project / "pyproject.toml", project_install_mode="install_project")
    built = await virtualenvs.interpreter(image, no_progress)
    assert run_in(built, "import mine_whole; print(mine_whole.VALUE)") == "1"
    assert sorted(os.listdir(project)) == ["backend.py", "began", "go", "pyproject.toml"]


async def test_layers_that_copy_code_are_said_to_do_nothing(virtualenvs: Virtualenvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "mine_copy")
    lines: list[str] = []
    image = IMAGE.with_source_folder(tmp_path).with_pip_packages(str(wheel)).with_workdir("/app")
    await virtualenvs.interpreter(image, lines.append)
    assert any(line.startswith("with_workdir('/app') does nothing here") for line in lines)


async def test_scripts_of_packages_work_where_the_environment_lies(virtualenvs: Virtualenvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "mine_script")
    with zipfile.ZipFile(wheel, "a") as opened:
        opened.writestr("mine_script-1.0.dist-info/entry_points.txt", "[console_scripts]\nmine = mine_script:run\n")
        opened.writestr("mine_script/__init__.py", "def run(): print('ran')\n")
    built = await virtualenvs.interpreter(IMAGE.with_pip_packages(str(wheel)), no_progress)
    assert said_by(str(Path(built.python).with_name("mine"))) == "ran"
