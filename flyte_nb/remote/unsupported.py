"""Names of Flyte's that need a cluster: they exist, so that code imports, and say clearly that they do not work
here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from flyte_nb.remote.calls import Blocking

__all__ = [
    "AppHandle",
    "ImageBuild",
    "build",
    "build_images",
    "load_interactive_ctx",
    "load_plugin_config",
    "run_python_script",
    "serve",
    "with_servecontext",
]


class AppHandle(Protocol):
    """A served app; Flyte's protocol."""

    name: str
    url: str
    endpoint: str

    def is_active(self) -> bool:
        """Whether it serves."""

    def is_deactivated(self) -> bool:
        """Whether it was shut down."""


@dataclass
class ImageBuild:
    """The outcome of building an image; Flyte's fields."""

    uri: str | None
    remote_run: Any = None
    build_run: Any = None


def _refusing(name: str, instead: str) -> Blocking[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"flyte.{name} does not work in flyte_nb yet: {instead}")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Refused: {instead}"
    return Blocking(refuse)


BUILDS_ITSELF = "a task that runs with isolation='virtualenv' builds its image itself; `%flyte images` lists them."

build = _refusing("build", BUILDS_ITSELF)
build_images = _refusing("build_images", BUILDS_ITSELF)
serve = _refusing("serve", "apps need a cluster.")
with_servecontext = _refusing("with_servecontext", "apps need a cluster.")
run_python_script = _refusing("run_python_script", "run the script with python, or `flyte-nb run FILE TASK`.")
load_interactive_ctx = _refusing("load_interactive_ctx", "there is no remote action to enter.")
load_plugin_config = _refusing("load_plugin_config", "plugins configure clusters.")
