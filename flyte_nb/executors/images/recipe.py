"""From an image to what uv does: its layers as steps, and a digest that names the outcome.

    Image -> Recipe(steps, variables, left_out, digest)

A virtual environment is Python packages and variables. What else an image asks for is refused, all of it in one
error; only layers that copy code or say where it lies are left out, for code travels by value here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path

from flyte_nb.authoring import image_layers as layers
from flyte_nb.authoring.image import Image
from flyte_nb.authoring.image_layers import Layer
from flyte_nb.errors import ImageBuildError

__all__ = ["Recipe", "Step", "recipe_of", "without_credentials", "worker_packages"]

WORKER_PACKAGES = ("cloudpickle", "msgspec", "blake3")
"""What a worker imports beside flyte_nb: it speaks with the kernel through these, so in the kernel's versions."""

FORMAT = 1
"""Part of every digest: raised when this release would build the same image in another way."""

PYTHON_BASE = re.compile(r"(?:ghcr\.io/flyteorg/flyte:py|(?:docker\.io/(?:library/)?)?python:)(\d+)\.(\d+)(?!\d)")
LOCAL_FILE = re.compile(r"^[^:]*\.(?:whl|tar\.gz|zip)$")
CREDENTIALS = re.compile(r"//[^/@\s]+@")
INCLUDED_FILE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", re.MULTILINE)

MADE_BY_TOOLS = ("__pycache__", "node_modules", "*.egg-info", ".*")
MADE_AT_THE_TOP = ("build", "dist")

WRITTEN: dict[type[Layer], tuple[str, str]] = {
    layers.PipPackages: ("with_pip_packages", "packages"),
    layers.Requirements: ("with_requirements", "file"),
    layers.UVProject: ("with_uv_project", "pyproject"),
    layers.UVScript: ("from_uv_script", "script"),
    layers.PoetryProject: ("with_poetry_project", "pyproject"),
    layers.PixiProject: ("with_pixi_project", "manifest"),
    layers.PixiScript: ("from_pixi_script", "script"),
    layers.AptPackages: ("with_apt_packages", "packages"),
    layers.Commands: ("with_commands", "commands"),
    layers.CopyConfig: ("with_source_file or with_source_folder", "src"),
    layers.CodeBundleLayer: ("with_code_bundle", "copy_style"),
    layers.DockerIgnore: ("with_dockerignore", "path"),
    layers.WorkDir: ("with_workdir", "workdir"),
}
"""How a layer is asked for, and what of it is shown."""

REFUSED: dict[type[Layer], str] = {
    layers.AptPackages: "system packages need a container",
    layers.Commands: "commands need a container",
    layers.PoetryProject: "poetry is not supported, uv is; `poetry export` writes a requirements file",
    layers.PixiProject: "pixi installs conda packages; only Python packages are supported",
    layers.PixiScript: "pixi installs conda packages; only Python packages are supported",
}
LEFT_OUT = (layers.CopyConfig, layers.CodeBundleLayer, layers.DockerIgnore, layers.WorkDir)


@dataclass(frozen=True)
class Step:
    """One call of uv.

    Attributes:
        title: the layer as the user wrote it, for messages.
        arguments: of uv, up to `--python`; environment variables in them are not yet expanded.
        variables: the image's variables so far, which hold for uv as well.
        staged: files that are copied to a fresh folder, by their path there; uv works in it.
        content: digest of all files that count.
    """

    title: str
    arguments: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    staged: tuple[tuple[str, Path], ...] = ()
    content: str = ""


@dataclass(frozen=True)
class Recipe:
    """What an image comes to as a virtual environment.

    Attributes:
        name: the image's name.
        steps: in this order.
        variables: environment variables of the worker.
        left_out: layers that do nothing here.
        digest: names the environment; equal recipes share one.
    """

    name: str
    steps: tuple[Step, ...]
    variables: dict[str, str]
    left_out: tuple[str, ...]
    digest: str


def recipe_of(image: Image | None) -> Recipe:
    """What uv does for an image; reads the files that it names.

    Args:
        image: None is the default image, which holds Python and flyte_nb.

    Raises:
        flyte_nb.errors.ImageBuildError: a virtual environment cannot be what the image asks for, or a file is missing.
    """
    image = image or Image.from_debian_base()
    return _recipe_of(image) if _names_files(image) else _remembered_recipe(image)


@cache
def worker_packages() -> tuple[str, ...]:
    """What every environment gets, in the kernel's versions."""
    return tuple(f"{name}=={version(name)}" for name in WORKER_PACKAGES)


def without_credentials(text: str) -> str:
    """The text without the user names and passwords of its addresses."""
    return CREDENTIALS.sub("//***@", text)


def _recipe_of(image: Image) -> Recipe:
    name = image.name or image.base_image or "image"
    if refusals := list(_refusals(image)):
        raise ImageBuildError(
            f"Image {name!r} cannot become a virtual environment (isolation='virtualenv'):\n"
            + "".join(f"  - {refusal}\n" for refusal in refusals)
            + "Set this up on the machine itself and take it out of the image, or run the tasks in the Python that the "
            "kernel runs in: isolation='process'."
        )
    try:
        image.validate()
        return _recipe(name, image._layers)
    except (OSError, ValueError) as error:
        raise ImageBuildError(f"Image {name!r} cannot be built: {error}") from error


_remembered_recipe = lru_cache(maxsize=128)(_recipe_of)
"""Of an image that names no files: asked for at every call of a task."""


def _refusals(image: Image) -> Iterator[str]:
    if image.dockerfile is not None:
        yield f"from_dockerfile({str(image.dockerfile)!r}): a Dockerfile needs a container"
    elif image._ref_name is not None:
        yield f"from_ref_name({image._ref_name!r}): names an image of a cluster's configuration"
    else:
        yield from _refused_base(image)
    for layer in image._layers:
        if type(layer) in REFUSED:
            yield f"{_title(layer)}: {REFUSED[type(layer)]}"


def _refused_base(image: Image) -> Iterator[str]:
    base = PYTHON_BASE.match(image.base_image or "")
    if base is None:
        yield f"base image {image.base_image!r}: only Flyte's own image and python:X.Y can be stood in for"
        return
    kernel = sys.version_info[:2]
    asked = {image.python_version, (int(base[1]), int(base[2]))} - {kernel}
    if asked:
        major, minor = max(asked)
        yield (
            f"Python {major}.{minor}: the kernel is Python {kernel[0]}.{kernel[1]}, and functions and values cross "
            f"between equal minor versions only; start a kernel of Python {major}.{minor}, or leave the version out"
        )


def _recipe(name: str, image_layers: tuple[Layer, ...]) -> Recipe:
    steps: list[Step] = []
    variables: dict[str, str] = {}
    left_out: list[str] = []
    for layer in image_layers:
        if isinstance(layer, layers.Env):
            variables.update(layer.env_vars)
        elif isinstance(layer, LEFT_OUT):
            left_out.append(_title(layer))
        else:
            steps.append(_step(layer, tuple(variables.items())))
    return Recipe(name, tuple(steps), variables, tuple(left_out), _digest(steps))


def _digest(steps: list[Step]) -> str:
    """Of all that decides what is installed; `EXT_SUFFIX` names the Python, its ABI and the platform."""
    done = [(step.arguments, step.variables, [name for name, _ in step.staged], step.content) for step in steps]
    whole = (FORMAT, sysconfig.get_config_var("EXT_SUFFIX"), worker_packages(), done)
    return hashlib.sha256(repr(whole).encode()).hexdigest()[:20]


def _step(layer: Layer, variables: tuple[tuple[str, str], ...]) -> Step:
    title = _title(layer)
    match layer:
        case layers.UVProject():
            arguments, staged = _project_arguments(layer)
            content = [path for _, path in staged] or [layer.pyproject, layer.pyproject.parent / "uv.lock"]
            return Step(title, arguments, variables, staged, _content(content))
        case layers.UVScript():
            arguments = ("pip", "install", *_options(layer), "-r", str(layer.script.resolve()))
            return Step(title, arguments, variables, content=_content([layer.script]))
        case layers.Requirements():
            arguments = ("pip", "install", *_options(layer), "-r", str(layer.file.resolve()))
            return Step(title, arguments, variables, content=_content(_with_included(layer.file)))
        case layers.PipPackages():
            packages = layer.packages or ()
            files = [Path(package) for package in packages if LOCAL_FILE.search(package)]
            return Step(title, ("pip", "install", *_options(layer), *packages), variables, content=_content(files))
    raise ImageBuildError(f"Layer {title} is not known here.")


def _project_arguments(layer: layers.UVProject) -> tuple[tuple[str, ...], tuple[tuple[str, Path], ...]]:
    """How uv installs a project, and the files it does it with.

    Dependencies with a lock file are installed from where it lies, so that those in other folders are found. Else uv
    works on copies: it would write a lock file, or build in the folder.
    """
    folder = layer.pyproject.resolve().parent
    options = _options(layer)
    files = {"pyproject.toml": layer.pyproject.resolve()}
    if layer.uvlock is not None:
        files["uv.lock"] = layer.uvlock.resolve()
        options += [] if {"--locked", "--frozen"} & set(options) else ["--locked"]
    if layer.project_install_mode == "install_project":
        options.append("--no-editable")
        files = {str(path.relative_to(folder)): path for path in _project_files(folder)} | files
    elif "--no-install-project" not in options:
        options.append("--no-install-project")
    if files == {name: folder / name for name in ("pyproject.toml", "uv.lock")}:
        options += ["--project", str(folder)]
        files = {}
    return ("sync", "--active", "--inexact", *options), tuple(sorted(files.items()))


def _options(layer: layers.PipOption) -> list[str]:
    return shlex.split(" ".join(layer.get_pip_install_args()))


def _project_files(folder: Path) -> Iterator[Path]:
    """The files that somebody wrote, not those that tools left."""
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        made = MADE_BY_TOOLS + (MADE_AT_THE_TOP if here == folder else ())
        folders[:] = [one for one in sorted(folders) if not any(Path(one).match(pattern) for pattern in made)]
        folders[:] = [one for one in folders if not (here / one / "pyvenv.cfg").exists()]
        yield from (here / file for file in sorted(files))


def _names_files(image: Image) -> bool:
    """Whether the image's digest can change while the image does not."""
    packages = [package for layer in image._layers for package in getattr(layer, "packages", None) or ()]
    return any(True for layer in image._layers for _ in layer.paths()) or any(map(LOCAL_FILE.search, packages))


def _with_included(file: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """A requirements file and those that it names."""
    file = file.resolve()
    if file not in seen and file.is_file():
        yield file
        for name in INCLUDED_FILE.findall(file.read_text(encoding="utf-8", errors="replace")):
            yield from _with_included(file.parent / name, seen | {file})


def _content(paths: Iterable[Path]) -> str:
    hasher = hashlib.sha256()
    for path in paths:
        layers.update_with_path(hasher, path)
    return hasher.hexdigest()


def _title(layer: Layer) -> str:
    """The layer as the user wrote it, without its options."""
    method, attribute = WRITTEN[type(layer)]
    value = getattr(layer, attribute)
    words = value if isinstance(value, tuple) else (value if value is None else str(value),)
    return without_credentials(f"{method}({', '.join(map(repr, words))})")
