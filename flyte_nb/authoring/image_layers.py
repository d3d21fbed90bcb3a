"""What an image adds to its base, step by step. A layer is immutable; its digest covers the files that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

from flyte_nb.authoring.secret import Secret
from flyte_nb.errors import ImageBuildError

__all__ = [
    "AptPackages",
    "CodeBundleLayer",
    "Commands",
    "CopyConfig",
    "DockerIgnore",
    "Env",
    "Hasher",
    "InstallMode",
    "Layer",
    "PipOption",
    "PipPackages",
    "PixiProject",
    "PixiScript",
    "PoetryProject",
    "Requirements",
    "UVProject",
    "UVScript",
    "WorkDir",
    "update_with_path",
]

InstallMode = Literal["dependencies_only", "install_project"]


class Hasher(Protocol):
    """What `hashlib` gives."""

    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A step of an image.

    Raises:
        TypeError: when a list was passed where the items belong.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, list):
                    raise TypeError(
                        f"{type(self).__name__} field '{field.name}' is a list: {item!r}. "
                        "Hint: Pass items as separate arguments, e.g., 'vim', 'git' instead of ['vim', 'git']."
                    )

    def paths(self) -> Iterator[Path]:
        """The files and folders whose content counts."""
        return (value for value in vars(self).values() if isinstance(value, Path))

    def validate(self) -> None:
        """Checks what can only be checked when the image is built.

        Raises:
            FileNotFoundError: when a file that the layer names does not exist.
            ValueError: when it is not what it should be.
        """
        for path in self.paths():
            if not path.exists():
                raise FileNotFoundError(f"{type(self).__name__}: {path.resolve()} does not exist")

    def update_hash(self, hasher: Hasher) -> None:
        """Adds the layer to a digest: its settings, and the content of its files wherever they are."""
        settings = {name: value for name, value in vars(self).items() if not isinstance(value, Path)}
        hasher.update(f"{type(self).__name__}{sorted(settings.items())}".encode())
        for path in self.paths():
            update_with_path(hasher, path)


@dataclass(frozen=True, kw_only=True)
class PipOption(Layer):
    """How packages are installed."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] | None = None
    pre: bool = False
    extra_args: str | None = None
    secret_mounts: tuple[str | Secret, ...] | None = None

    def get_pip_install_args(self) -> list[str]:
        """These options on pip's command line."""
        args = [f"--index-url {self.index_url}"] if self.index_url else []
        args += [f"--extra-index-url {url}" for url in self.extra_index_urls or ()]
        args += ["--pre"] if self.pre else []
        args += [self.extra_args] if self.extra_args else []
        return args


@dataclass(frozen=True, kw_only=True)
class PipPackages(PipOption):
    """Packages by name and version."""

    packages: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Requirements(PipPackages):
    """The packages of a requirements file."""

    file: Path


@dataclass(frozen=True, kw_only=True)
class UVProject(PipOption):
    """A project that uv installs, or its dependencies."""

    pyproject: Path
    uvlock: Path | None = None
    project_install_mode: InstallMode = "dependencies_only"

    def paths(self) -> Iterator[Path]:
        whole_project = self.project_install_mode == "install_project"
        return iter([self.pyproject.parent]) if whole_project else super().paths()


@dataclass(frozen=True, kw_only=True)
class PoetryProject(Layer):
    """A project that poetry installs, or its dependencies."""

    pyproject: Path
    poetry_lock: Path
    extra_args: str | None = None
    project_install_mode: InstallMode = "dependencies_only"
    secret_mounts: tuple[str | Secret, ...] | None = None

    def paths(self) -> Iterator[Path]:
        whole_project = self.project_install_mode == "install_project"
        return iter([self.pyproject.parent]) if whole_project else super().paths()


@dataclass(frozen=True, kw_only=True)
class PixiProject(Layer):
    """A project that pixi installs, or its dependencies."""

    manifest: Path
    pixi_lock: Path | None = None
    environment: str = "default"
    extra_args: str | None = None
    project_install_mode: InstallMode = "dependencies_only"
    secret_mounts: tuple[str | Secret, ...] | None = None

    def paths(self) -> Iterator[Path]:
        whole_project = self.project_install_mode == "install_project"
        return iter([self.manifest.parent]) if whole_project else super().paths()

    def validate(self) -> None:
        super().validate()
        if self.manifest.name not in ("pixi.toml", "pyproject.toml"):
            raise ValueError(f"Pixi manifest {self.manifest.resolve()} must be named 'pixi.toml' or 'pyproject.toml'.")


@dataclass(frozen=True, kw_only=True)
class UVScript(PipOption):
    """A script with its dependencies in its head (PEP 723)."""

    script: Path

    def validate(self) -> None:
        super().validate()
        _check_script("UV", self.script)


@dataclass(frozen=True, kw_only=True)
class PixiScript(Layer):
    """A script with a pixi manifest in its head."""

    script: Path
    environment: str = "default"
    extra_args: str | None = None
    secret_mounts: tuple[str | Secret, ...] | None = None

    def validate(self) -> None:
        super().validate()
        _check_script("Pixi", self.script)


@dataclass(frozen=True, kw_only=True)
class AptPackages(Layer):
    """System packages."""

    packages: tuple[str, ...]
    secret_mounts: tuple[str | Secret, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Commands(Layer):
    """Shell commands."""

    commands: tuple[str, ...]
    secret_mounts: tuple[str | Secret, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class WorkDir(Layer):
    """The working directory from here on."""

    workdir: str


@dataclass(frozen=True, kw_only=True)
class DockerIgnore(Layer):
    """The file that says what is not copied."""

    path: str


@dataclass(frozen=True, kw_only=True)
class CopyConfig(Layer):
    """A file (`path_type` 0) or a folder (1) that is copied in."""

    path_type: Literal[0, 1]
    src: Path
    dst: str

    def validate(self) -> None:
        kind = "folder" if self.path_type == 1 else "file"
        if not self.src.exists():
            raise ImageBuildError(f"Source {kind} {self.src.absolute()} does not exist")
        if self.src.is_dir() != (self.path_type == 1):
            raise ImageBuildError(f"Source {kind} {self.src.absolute()} is not a {kind}")


@dataclass(frozen=True, kw_only=True)
class CodeBundleLayer(Layer):
    """The user's code: the modules it has loaded, or all of the project."""

    copy_style: Literal["loaded_modules", "all"]
    dst: str = "."


@dataclass(frozen=True, kw_only=True)
class Env(Layer):
    """Environment variables."""

    env_vars: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_dict(cls, envs: Mapping[str, str]) -> Env:
        """The variables of a mapping, in its order."""
        return cls(env_vars=tuple(envs.items()))


def update_with_path(hasher: Hasher, path: Path) -> None:
    """Adds the content of a file, or of every file of a folder with its name there, to a digest."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                hasher.update(str(file.relative_to(path)).encode())
                update_with_path(hasher, file)
    elif path.is_file():
        with path.open("rb") as opened:
            hasher.update(hashlib.file_digest(opened, "sha256").digest())
    else:
        hasher.update(str(path).encode())


def _check_script(kind: str, script: Any) -> None:
    if not script.is_file():
        raise ValueError(f"{kind} script {script} is not a file")
    if script.suffix != ".py":
        raise ValueError(f"{kind} script {script} must have a .py extension")
