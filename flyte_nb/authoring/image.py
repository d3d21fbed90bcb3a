"""What a task's code finds around it: a base, and layers of packages, files and settings on top.

    image = flyte.Image.from_debian_base(name="train").with_pip_packages("torch").with_apt_packages("git")

Images are immutable: every method returns another one. Nothing is built here; `uri` names the image by its content.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from flyte_nb.authoring import image_layers as layers
from flyte_nb.authoring.image_layers import InstallMode, Layer
from flyte_nb.authoring.secret import Secret, SecretRequest
from flyte_nb.errors import ImageBuildError

__all__ = ["Architecture", "Image"]

Architecture = Literal["linux/amd64", "linux/arm64"]

FLYTE_VERSION = "2.12.1"
"""The release of Flyte whose base images are meant unless a version is given."""

DEFAULT_NAME = "flyte"
DEFAULT_PLATFORMS: tuple[Architecture, ...] = ("linux/amd64", "linux/arm64")

_FROM_CONSTRUCTOR = object()


@dataclass(frozen=True)
class Image:
    """An image, made by one of the `from_...` methods.

    Attributes:
        base_image: what it starts from.
        dockerfile: what it is built from instead.
        registry: where it is pushed.
        name: its name there; an image with layers needs one.
        platform: for which machines.
        python_version: (major, minor) of its Python.
        extendable: whether layers may be added.
    """

    base_image: str | None = None
    dockerfile: Path | None = None
    registry: str | None = None
    name: str | None = None
    platform: tuple[Architecture, ...] = ("linux/amd64",)
    python_version: tuple[int, int] = sys.version_info[:2]
    extendable: bool = False
    _is_cloned: bool = False
    _ref_name: str | None = None
    _layers: tuple[Layer, ...] = ()
    _image_registry_secret: Secret | None = None
    _constructor: InitVar[object] = None

    def __post_init__(self, _constructor: object) -> None:
        if _constructor is not _FROM_CONSTRUCTOR:
            raise TypeError(
                "Direct instantiation of Image not allowed, please use one of the various from_...() methods instead"
            )

    @classmethod
    def _new(cls, **fields: Any) -> Image:
        return cls(**fields, _constructor=_FROM_CONSTRUCTOR)

    @classmethod
    def from_debian_base(
        cls,
        python_version: tuple[int, int] | None = None,
        flyte_version: str | None = None,
        install_flyte: bool = True,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        name: str | None = None,
        platform: tuple[Architecture, ...] | None = None,
    ) -> Image:
        """Flyte's own image: Debian with Python.

        Args:
            python_version: (major, minor); this Python's unless given.
            flyte_version: of the SDK in it.
            install_flyte: False for a plain Python image.
            registry: where the image is pushed.
            registry_secret: what is needed to do so.
            name: its name there.
            platform: for which machines.
        """
        python_version = python_version or sys.version_info[:2]
        python = f"{python_version[0]}.{python_version[1]}"
        version = (flyte_version or FLYTE_VERSION).removeprefix("v").replace("+", "-")
        image = cls._new(
            base_image=f"ghcr.io/flyteorg/flyte:py{python}-v{version}"
            if install_flyte
            else f"python:{python}-slim-bookworm",
            name=DEFAULT_NAME,
            platform=platform or DEFAULT_PLATFORMS,
            python_version=python_version,
            extendable=True,
        )
        if registry or name:
            return image.clone(registry=registry, name=name, registry_secret=registry_secret)
        return image

    @classmethod
    def from_base(cls, image_uri: str) -> Image:
        """An image that exists already."""
        return cls._new(base_image=image_uri)

    @classmethod
    def from_ref_name(cls, name: str = "default") -> Image:
        """An image that the configuration names."""
        return cls._new(name=name, _ref_name=name)

    @classmethod
    def from_dockerfile(
        cls,
        file: str | Path,
        registry: str,
        name: str,
        platform: Architecture | tuple[Architecture, ...] | None = None,
    ) -> Image:
        """An image built from a Dockerfile; layers cannot be added."""
        platforms = {"platform": _as_tuple(platform)} if platform else {}
        return cls._new(dockerfile=Path(file), registry=registry, name=name, _is_cloned=True, **platforms)

    @classmethod
    def from_uv_script(
        cls,
        script: str | Path,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        python_version: tuple[int, int] | None = None,
        index_url: str | None = None,
        extra_index_urls: str | Iterable[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
        platform: tuple[Architecture, ...] | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> Image:
        """An image with the dependencies that a script names in its head (PEP 723)."""
        base = cls.from_debian_base(
            python_version, None, False, registry, registry_secret=registry_secret, name=name, platform=platform
        )
        options = _pip_options(index_url, extra_index_urls, pre, extra_args, secret_mounts)
        return base.clone(addl_layer=layers.UVScript(script=Path(script), **options))

    @classmethod
    def from_pixi_script(
        cls,
        script: str | Path,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        environment: str = "default",
        extra_args: str | None = None,
        platform: tuple[Architecture, ...] | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> Image:
        """An image with the environment that a script's pixi manifest describes."""
        base = cls.from_debian_base(
            None, None, False, registry, registry_secret=registry_secret, name=name, platform=platform
        )
        layer = layers.PixiScript(
            script=Path(script),
            environment=environment,
            extra_args=extra_args,
            secret_mounts=_as_tuple(secret_mounts) or None,
        )
        return base.clone(addl_layer=layer)

    def clone(
        self,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        name: str | None = None,
        base_image: str | None = None,
        python_version: tuple[int, int] | None = None,
        addl_layer: Layer | None = None,
        extendable: bool | None = None,
        platform: Architecture | tuple[Architecture, ...] | None = None,
    ) -> Image:
        """The same image with what is given in place of what it has, and one layer more.

        Raises:
            ValueError: when a layer is added to an image that takes none, or has no name.
        """
        if addl_layer and not self.extendable:
            raise ValueError(
                "Cannot add additional layers to a non-extendable image. "
                "Please create the image with extendable=True in the clone() call."
            )
        if addl_layer and self.dockerfile:
            raise ValueError(
                "Flyte current cannot add additional layers to a Dockerfile-based Image. "
                "Please amend the dockerfile directly."
            )
        if addl_layer and not (name or self.name):
            raise ValueError(
                f"Cannot add additional layer {addl_layer} to an image without name. Please first clone()."
            )
        secret = Secret(registry_secret) if isinstance(registry_secret, str) else registry_secret
        return replace(
            self,
            base_image=base_image or self.base_image,
            registry=registry or self.registry,
            name=name or self.name,
            platform=_as_tuple(platform) or self.platform,
            python_version=python_version or self.python_version,
            extendable=self.extendable if extendable is None else extendable,
            _is_cloned=True,
            _layers=(*self._layers, addl_layer) if addl_layer else self._layers,
            _image_registry_secret=secret or self._image_registry_secret,
            _constructor=_FROM_CONSTRUCTOR,
        )

    def with_pip_packages(
        self,
        *packages: str,
        index_url: str | None = None,
        extra_index_urls: str | Iterable[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> Image:
        """Adds Python packages."""
        options = _pip_options(index_url, extra_index_urls, pre, extra_args, secret_mounts)
        return self.clone(addl_layer=layers.PipPackages(packages=packages or None, **options))

    def with_requirements(
        self,
        file: str | Path,
        index_url: str | None = None,
        extra_index_urls: str | Iterable[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> Image:
        """Adds the packages of a requirements file.

        Raises:
            ValueError: when the file is not named `*.txt`.
        """
        if Path(file).suffix != ".txt":
            raise ValueError(f"Requirements file {file} must have a .txt extension")
        options = _pip_options(index_url, extra_index_urls, pre, extra_args, secret_mounts)
        return self.clone(addl_layer=layers.Requirements(file=Path(file), **options))

    def with_uv_project(
        self,
        pyproject_file: str | Path,
        uvlock: Path | None = None,
        index_url: str | None = None,
        extra_index_urls: str | Iterable[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
        project_install_mode: InstallMode = "dependencies_only",
    ) -> Image:
        """Adds a uv project or its dependencies; `uv.lock` beside it is used when it is there."""
        pyproject = Path(pyproject_file)
        options = _pip_options(index_url, extra_index_urls, pre, extra_args, secret_mounts)
        layer = layers.UVProject(
            pyproject=pyproject,
            uvlock=uvlock or _existing(pyproject.parent / "uv.lock"),
            project_install_mode=project_install_mode,
            **options,
        )
        return self.clone(addl_layer=layer)

    def with_poetry_project(
        self,
        pyproject_file: str | Path,
        poetry_lock: Path | None = None,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
        project_install_mode: InstallMode = "dependencies_only",
    ) -> Image:
        """Adds a poetry project or its dependencies."""
        pyproject = Path(pyproject_file)
        layer = layers.PoetryProject(
            pyproject=pyproject,
            poetry_lock=poetry_lock or pyproject.parent / "poetry.lock",
            extra_args=extra_args,
            project_install_mode=project_install_mode,
            secret_mounts=_as_tuple(secret_mounts) or None,
        )
        return self.clone(addl_layer=layer)

    def with_pixi_project(
        self,
        manifest_file: str | Path,
        pixi_lock: Path | None = None,
        environment: str = "default",
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
        project_install_mode: InstallMode = "dependencies_only",
    ) -> Image:
        """Adds a pixi project or its dependencies; a folder stands for the manifest in it."""
        manifest = Path(manifest_file)
        if manifest.is_dir():
            manifest = _existing(manifest / "pixi.toml") or manifest / "pyproject.toml"
        layer = layers.PixiProject(
            manifest=manifest,
            pixi_lock=pixi_lock or _existing(manifest.parent / "pixi.lock"),
            environment=environment,
            extra_args=extra_args,
            project_install_mode=project_install_mode,
            secret_mounts=_as_tuple(secret_mounts) or None,
        )
        return self.clone(addl_layer=layer)

    def with_apt_packages(self, *packages: str, secret_mounts: SecretRequest | None = None) -> Image:
        """Adds system packages."""
        secrets = _as_tuple(secret_mounts) or None
        return self.clone(addl_layer=layers.AptPackages(packages=packages, secret_mounts=secrets))

    def with_commands(self, commands: Iterable[str], secret_mounts: SecretRequest | None = None) -> Image:
        """Runs shell commands."""
        secrets = _as_tuple(secret_mounts) or None
        return self.clone(addl_layer=layers.Commands(commands=_as_tuple(commands), secret_mounts=secrets))

    def with_env_vars(self, env_vars: Mapping[str, str]) -> Image:
        """Sets environment variables."""
        return self.clone(addl_layer=layers.Env.from_dict(env_vars))

    def with_workdir(self, workdir: str) -> Image:
        """Sets the working directory."""
        return self.clone(addl_layer=layers.WorkDir(workdir=workdir))

    def with_source_folder(self, src: Path, dst: str = ".", copy_contents_only: bool = False) -> Image:
        """Copies a folder, or what is in it, to `dst`."""
        if dst == "." and not copy_contents_only:
            dst = f"./{Path(src).name}"
        return self.clone(addl_layer=layers.CopyConfig(path_type=1, src=Path(src), dst=dst))

    def with_source_file(self, src: Path | list[Path], dst: str = ".") -> Image:
        """Copies files to `dst`.

        Raises:
            ValueError: when two of them have the same name.
        """
        files = [Path(file) for file in (src if isinstance(src, list) else [src])]
        names = [file.name for file in files]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(
                f"Multiple files with the same name would overwrite each other at destination '{dst}': {duplicates}"
            )
        image = self
        for file in files:
            image = image.clone(addl_layer=layers.CopyConfig(path_type=0, src=file, dst=dst))
        return image

    def with_code_bundle(
        self, copy_style: Literal["loaded_modules", "all"] = "loaded_modules", dst: str = "."
    ) -> Image:
        """Copies the user's code."""
        return self.clone(addl_layer=layers.CodeBundleLayer(copy_style=copy_style, dst=dst))

    def with_dockerignore(self, path: Path) -> Image:
        """Names the file that says what is not copied."""
        return self.clone(addl_layer=layers.DockerIgnore(path=str(path)))

    def validate(self) -> None:
        """Checks that the files which the layers name are there."""
        for layer in self._layers:
            layer.validate()

    @property
    def digest(self) -> str:
        """Names the content: base, layers, and the files they name."""
        hasher = hashlib.sha256((self.base_image or "").encode())
        if self.dockerfile:
            layers.update_with_path(hasher, self.dockerfile)
        for layer in self._layers:
            layer.update_hash(hasher)
        return hasher.hexdigest()[:32]

    @cached_property
    def uri(self) -> str:
        """Where the image is found once it is built: `registry/name:digest`.

        Raises:
            ImageBuildError: when the image has neither a base nor a name.
        """
        if self._is_cloned:
            if not self.name:
                raise ImageBuildError(
                    f"Image has no name (got {self.name!r}), so its URI cannot be computed. "
                    "Pass `name=` when calling `clone()` on an image."
                )
            return f"{self.registry}/{self.name}:{self.digest}" if self.registry else f"{self.name}:{self.digest}"
        if not self.base_image:
            raise ImageBuildError(
                f"Image has no base image URI (got {self.base_image!r}). This usually means `Image.from_base()` was "
                "given `None` or an empty string, for example from an unset environment variable. "
                "Pass a full image URI such as `<registry>/<name>:<tag>`."
            )
        return self.base_image


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if not value:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _pip_options(
    index_url: str | None, extra_index_urls: Any, pre: bool, extra_args: str | None, secret_mounts: Any
) -> dict[str, Any]:
    return {
        "index_url": index_url,
        "extra_index_urls": _as_tuple(extra_index_urls) or None,
        "pre": pre,
        "extra_args": extra_args,
        "secret_mounts": _as_tuple(secret_mounts) or None,
    }
