from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.errors import ImageBuildError
from flyte_nb.executors.images.builder import package_indexes
from flyte_nb.executors.images.recipe import recipe_of
from tests.executors.environments import make_project, make_wheel

IMAGE = flyte.Image.from_debian_base(name="train")
KERNEL = sys.version_info[:2]


def test_images_with_equal_packages_share_an_environment_whatever_their_names() -> None:
    one = IMAGE.with_pip_packages("six==1.16.0").with_env_vars({"MODE": "fast"})
    other = flyte.Image.from_debian_base(name="other").with_pip_packages("six==1.16.0").with_workdir("/app")
    assert recipe_of(one).digest == recipe_of(other).digest
    assert recipe_of(one).variables == {"MODE": "fast"}


@pytest.mark.parametrize(
    "other",
    [
        IMAGE.with_pip_packages("six==1.17.0"),
        IMAGE.with_pip_packages("six==1.16.0", pre=True),
        IMAGE.with_pip_packages("six==1.16.0", extra_args="--no-deps"),
        IMAGE.with_pip_packages("six==1.16.0", index_url="https://example.org/simple"),
        IMAGE.with_pip_packages("six==1.16.0").with_pip_packages("attrs"),
        IMAGE.with_env_vars({"CFLAGS": "-O3"}).with_pip_packages("six==1.16.0"),
    ],
)
def test_what_changes_the_packages_changes_the_digest(other: flyte.Image) -> None:
    assert recipe_of(other).digest != recipe_of(IMAGE.with_pip_packages("six==1.16.0")).digest


def test_the_content_of_requirements_and_of_what_they_include_counts(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("six==1.16.0\n")
    file = tmp_path / "requirements.txt"
    file.write_text("-r more.txt\n-r requirements.txt\n")
    image = IMAGE.with_requirements(file)
    digests = {recipe_of(image).digest}
    (tmp_path / "more.txt").write_text("six==1.17.0\n")
    digests.add(recipe_of(image).digest)
    file.write_text("-r more.txt\nattrs\n")
    digests.add(recipe_of(image).digest)
    assert len(digests) == 3


def test_a_rebuilt_wheel_counts(tmp_path: Path) -> None:
    image = IMAGE.with_pip_packages(str(make_wheel(tmp_path, "mine")))
    before = recipe_of(image).digest
    make_wheel(tmp_path, "mine", requires="six")
    assert recipe_of(image).digest != before


def test_the_lock_file_of_a_project_counts_and_what_tools_leave_does_not(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "mine")
    (project / "uv.lock").write_text("version = 1\n")
    only, whole = (
        IMAGE.with_uv_project(project / "pyproject.toml", project_install_mode=mode)
        for mode in ("dependencies_only", "install_project")
    )
    before = recipe_of(only).digest, recipe_of(whole).digest
    for name in ("build", "__pycache__", ".venv", "mine.egg-info"):
        (project / name).mkdir()
        (project / name / "left.py").write_text("x = 1")
    assert (recipe_of(only).digest, recipe_of(whole).digest) == before
    (project / "mine.py").write_text("x = 1")
    assert recipe_of(only).digest == before[0]
    assert recipe_of(whole).digest != before[1]
    (project / "uv.lock").write_text("version = 1\nrevision = 2\n")
    assert recipe_of(only).digest != before[0]


def test_all_that_a_virtual_environment_cannot_be_is_said_in_one_error(tmp_path: Path) -> None:
    image = (
        flyte.Image.from_base("nvidia/cuda:12.4")
        .clone(name="gpu", extendable=True)
        .with_apt_packages("git", "vim")
        .with_pip_packages("six")
        .with_commands(["make all"])
        .with_poetry_project(tmp_path / "pyproject.toml")
        .with_pixi_project(tmp_path / "pixi.toml")
    )
    with pytest.raises(ImageBuildError) as caught:
        recipe_of(image)
    message = str(caught.value)
    assert message.startswith("Image 'gpu' cannot become a virtual environment (isolation='virtualenv'):")
    for part in (
        "'nvidia/cuda:12.4'",
        "with_apt_packages('git', 'vim')",
        "with_commands('make all')",
        "poetry",
        "pixi",
    ):
        assert part in message
    assert "six" not in message
    assert "isolation='process'" in message


def test_a_dockerfile_and_a_configured_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match=r"from_dockerfile\('Dockerfile'\): a Dockerfile needs a container"):
        recipe_of(flyte.Image.from_dockerfile("Dockerfile", registry="r", name="n"))
    with pytest.raises(ImageBuildError, match=r"from_ref_name\('gpu'\)"):
        recipe_of(flyte.Image.from_ref_name("gpu"))


@pytest.mark.parametrize(
    "image",
    [
        flyte.Image.from_debian_base(python_version=(3, 99)),
        flyte.Image.from_base("python:3.99-slim"),
        flyte.Image.from_base("ghcr.io/flyteorg/flyte:py3.99-v2.1.0"),
    ],
)
def test_another_minor_version_of_python_is_refused_with_the_reason(image: flyte.Image) -> None:
    with pytest.raises(
        ImageBuildError, match=rf"Python 3\.99: the kernel is Python {KERNEL[0]}\.{KERNEL[1]}, and func"
    ):
        recipe_of(image)


@pytest.mark.parametrize(
    "base",
    [
        f"python:{KERNEL[0]}.{KERNEL[1]}",
        f"python:{KERNEL[0]}.{KERNEL[1]}.2-slim-bookworm",
        f"docker.io/library/python:{KERNEL[0]}.{KERNEL[1]}-alpine",
        f"ghcr.io/flyteorg/flyte:py{KERNEL[0]}.{KERNEL[1]}-v2.0.0",
    ],
)
def test_bases_that_are_this_python_come_to_the_default_environment(base: str) -> None:
    assert recipe_of(flyte.Image.from_base(base)).digest == recipe_of(None).digest


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ImageBuildError, match=r"Image 'train' cannot be built: Requirements: .*nowhere.txt does not exist"
    ):
        recipe_of(IMAGE.with_requirements(tmp_path / "nowhere.txt"))


def test_passwords_in_addresses_are_not_shown() -> None:
    (step,) = recipe_of(IMAGE.with_pip_packages("git+https://me:secret@example.org/x.git")).steps
    assert step.title == "with_pip_packages('git+https://***@example.org/x.git')"


def test_uv_looks_where_pip_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.example https://two.example")
    assert package_indexes() == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://one.example https://two.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_uvs_own_settings_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("UV_INDEX", "https://other.example/simple")
    assert package_indexes() == {}
