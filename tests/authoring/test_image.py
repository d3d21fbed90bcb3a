"""Building images."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.authoring import image_layers as layers
from flyte_nb.authoring.image import Image
from flyte_nb.authoring.secret import Secret
from flyte_nb.errors import ImageBuildError


def base() -> Image:
    return Image.from_debian_base(name="x", registry="r", python_version=(3, 12))


def test_images_are_made_by_their_constructors_only() -> None:
    with pytest.raises(TypeError, match="Direct instantiation of Image not allowed"):
        Image()


def test_the_base_is_flytes_image_for_this_python() -> None:
    image = Image.from_debian_base()
    assert image.python_version == sys.version_info[:2]
    assert image.uri.startswith(f"ghcr.io/flyteorg/flyte:py{sys.version_info[0]}.{sys.version_info[1]}-v")
    assert Image.from_debian_base((3, 13), "v2.1.0").uri == "ghcr.io/flyteorg/flyte:py3.13-v2.1.0"
    assert Image.from_debian_base((3, 13), install_flyte=False).uri == "python:3.13-slim-bookworm"


def test_a_chain_of_layers_keeps_name_registry_and_python() -> None:
    image = (
        base()
        .with_pip_packages("pandas", "numpy==1.26")
        .with_apt_packages("git")
        .with_env_vars({"A": "1"})
        .with_commands(["echo hi"])
        .with_workdir("/w")
    )
    assert (image.name, image.registry, image.python_version) == ("x", "r", (3, 12))
    assert [type(layer).__name__ for layer in image._layers] == [
        "PipPackages",
        "AptPackages",
        "Env",
        "Commands",
        "WorkDir",
    ]
    assert base()._layers == ()


def test_equal_images_are_equal_and_hash_alike() -> None:
    assert base().with_pip_packages("a") == base().with_pip_packages("a")
    assert len({base().with_pip_packages("a"), base().with_pip_packages("a"), base()}) == 2


def test_the_uri_names_the_content(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("pandas")
    first = base().with_requirements(requirements).uri
    assert first.startswith("r/x:")
    assert base().with_requirements(requirements).uri == first
    requirements.write_text("polars")
    assert base().with_requirements(requirements).uri != first


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i.with_pip_packages("a"),
        lambda i: i.with_pip_packages("b"),
        lambda i: i.with_pip_packages("a", pre=True),
        lambda i: i.with_apt_packages("a"),
        lambda i: i.with_commands(["a"]),
        lambda i: i.with_workdir("a"),
        lambda i: i.with_env_vars({"a": "b"}),
        lambda i: i.with_code_bundle(),
        lambda i: i.with_dockerignore(Path("a")),
        lambda i: i.clone(base_image="other"),
    ],
)
def test_every_change_makes_another_digest(change: Callable[[Image], Image]) -> None:
    seen = [base(), change(base()), base().with_pip_packages("z")]
    assert len({image.digest for image in seen}) == 3


def test_the_content_of_a_folder_counts_wherever_it_is(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "src" / "a.py").write_text("x = 1")
        digests.append(base().with_source_folder(tmp_path / name / "src").digest)
    assert digests[0] == digests[1]
    (tmp_path / "two" / "src" / "a.py").rename(tmp_path / "two" / "src" / "b.py")
    assert base().with_source_folder(tmp_path / "two" / "src").digest != digests[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Image.from_base("x").with_pip_packages("a"), "Cannot add additional layers to a non-extendable image"),
        (lambda: Image.from_base("x").clone(extendable=True).with_apt_packages("a"), "to an image without name"),
        (
            lambda: Image.from_dockerfile("D", "r", "n").clone(extendable=True).with_workdir("w"),
            "cannot add additional layers to a Dockerfile-based Image",
        ),
        (lambda: base().with_requirements("x.in"), "Requirements file x.in must have a .txt extension"),
        (
            lambda: base().with_source_file([Path("a/x"), Path("b/x")]),
            "Multiple files with the same name would overwrite each other",
        ),
    ],
)
def test_what_cannot_be_added_is_refused(make: Callable[[], Image], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("add", ["with_pip_packages", "with_apt_packages"])
def test_a_list_in_place_of_packages_is_refused_with_the_cure(add: str) -> None:
    with pytest.raises(TypeError, match="Hint: Pass items as separate arguments"):
        getattr(base(), add)(["a", "b"])


@pytest.mark.parametrize("uri", ["", None])
def test_an_image_without_a_base_has_no_uri(uri: Any) -> None:
    with pytest.raises(ImageBuildError, match="Image has no base image URI"):
        _ = Image.from_base(uri).uri
    with pytest.raises(ImageBuildError, match="Image has no name"):
        _ = Image.from_base("x").clone().uri


def test_other_constructors() -> None:
    assert Image.from_base("x:1").uri == "x:1"
    assert Image.from_ref_name("gpu").name == "gpu"
    dockerfile = Image.from_dockerfile("Dockerfile", "r", "n", platform="linux/arm64")
    assert (dockerfile.dockerfile, dockerfile.platform) == (Path("Dockerfile"), ("linux/arm64",))
    assert dockerfile.uri.startswith("r/n:")
    script = Image.from_uv_script("s.py", name="n", registry="r", extra_index_urls="u")
    assert script._layers == (layers.UVScript(script=Path("s.py"), extra_index_urls=("u",)),)
    pixi = Image.from_pixi_script("s.py", name="n", secret_mounts="s")
    assert pixi._layers == (layers.PixiScript(script=Path("s.py"), secret_mounts=("s",)),)


def test_a_clone_keeps_what_is_not_given() -> None:
    image = base().clone(registry_secret="s", platform="linux/arm64")
    assert image._image_registry_secret == Secret("s")
    assert image.clone(name="y")._image_registry_secret == Secret("s")
    assert (image.clone(name="y").registry, image.clone(name="y").platform) == ("r", ("linux/arm64",))


def test_projects_take_the_lock_file_beside_them(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "uv.lock", "pixi.toml", "pixi.lock", "poetry.lock"):
        (tmp_path / name).write_text(name)
    uv = base().with_uv_project(tmp_path / "pyproject.toml")
    poetry = base().with_poetry_project(str(tmp_path / "pyproject.toml"))
    pixi = base().with_pixi_project(tmp_path)
    for image, lock in ((uv, "uv.lock"), (poetry, "poetry.lock"), (pixi, "pixi.lock")):
        image.validate()
        assert tmp_path / lock in list(image._layers[0].paths())
    whole = base().with_uv_project(tmp_path / "pyproject.toml", project_install_mode="install_project")
    assert list(whole._layers[0].paths()) == [tmp_path]


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (layers.UVProject(pyproject=Path("none.toml")), FileNotFoundError, "none.toml does not exist"),
        (layers.UVScript(script=Path(__file__).with_suffix("")), FileNotFoundError, "does not exist"),
        (layers.UVScript(script=Path(__file__).parent), ValueError, "is not a file"),
        (layers.PixiProject(manifest=Path(__file__)), ValueError, "must be named 'pixi.toml' or 'pyproject.toml'"),
        (layers.CopyConfig(path_type=0, src=Path("none"), dst="."), ImageBuildError, "Source file .* does not exist"),
        (layers.CopyConfig(path_type=1, src=Path(__file__), dst="."), ImageBuildError, "is not a folder"),
    ],
)
def test_files_are_checked_when_the_image_is_validated(layer: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        base().clone(addl_layer=layer).validate()


def test_pip_options_on_the_command_line() -> None:
    layer: Any = (
        base().with_pip_packages("a", index_url="u", extra_index_urls=["v", "w"], pre=True, extra_args="--x")._layers[0]
    )
    assert layer.get_pip_install_args() == [
        "--index-url u",
        "--extra-index-url v",
        "--extra-index-url w",
        "--pre",
        "--x",
    ]


def test_where_sources_are_copied() -> None:
    def destination(image: Image) -> str:
        layer: Any = image._layers[0]
        return str(layer.dst)

    assert destination(base().with_source_folder(Path("a/src"))) == "./src"
    assert destination(base().with_source_folder(Path("a/src"), copy_contents_only=True)) == "."
    assert destination(base().with_source_file(Path("a/x"), "/to")) == "/to"
    assert len(base().with_source_file([Path("a/x"), Path("a/y")])._layers) == 2
