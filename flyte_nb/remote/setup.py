"""`flyte.init` and its kin: where runs go. Without a backend there is nothing that must be set up."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from flyte_nb.engine.isolation import session_isolation
from flyte_nb.errors import InitializationError
from flyte_nb.executors.placement import Isolation
from flyte_nb.remote.calls import blocking

__all__ = [
    "current_domain",
    "current_project",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "is_control_plane_available",
    "is_initialized",
]

CONFIG_FILES = ("config.yaml", ".flyte/config.yaml", "~/.union/config.yaml", "~/.flyte/config.yaml")

FLYTES_OWN = frozenset(
    {
        "headless",
        "insecure",
        "insecure_skip_verify",
        "ca_cert_file_path",
        "auth_type",
        "command",
        "proxy_command",
        "client_id",
        "client_credentials_secret",
        "auth_client_config",
        "rpc_retries",
        "http_proxy_url",
        "disable_keyring",
        "storage",
        "batch_size",
        "image_builder",
        "images",
        "image_registry",
        "source_config_path",
        "sync_local_sys_paths",
        "load_plugin_type_transformers",
        "local_persistence",
        "local_tracked",
        "local_tracked_strict",
        "scopes",
    }
)
"""Parameters of Flyte's that say how to reach a backend: accepted, and kept."""

_settings: dict[str, Any] = {}


@blocking
def init(
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    root_dir: Path | None = None,
    log_level: int | None = None,
    log_format: str | None = None,
    reset_root_logger: bool = False,
    user_log_level: int | None = None,
    endpoint: str | None = None,
    api_key: str | None = None,
    isolation: Isolation | None = None,
    **options: Any,
) -> None:
    """Sets names, log levels and isolation for the runs of this process. Optional: without it, runs are local too.

    Args:
        org: kept and shown.
        project: what `flyte.current_project()` gives.
        domain: what `flyte.current_domain()` gives.
        root_dir: kept and shown.
        log_level: level of the logger `flyte`.
        user_log_level: level of the logger `flyte.user`.
        endpoint: address of a Flyte backend.
        api_key: key of a Flyte backend.
        isolation: where tasks run: `kernel`, `process` or `virtualenv`; None lets each task decide.
        options: Flyte's other parameters, kept.

    Raises:
        flyte_nb.errors.InitializationError: an endpoint or key is given: this release runs locally only.
        TypeError: a parameter that Flyte does not have.
        ValueError: an isolation that does not exist.
    """
    if unknown := sorted(set(options) - FLYTES_OWN):
        raise TypeError(f"flyte.init() got unexpected parameters: {', '.join(unknown)}")
    if endpoint is not None or api_key is not None:
        raise _no_backend(endpoint or "the API key's endpoint")
    if log_level is not None:
        logging.getLogger("flyte").setLevel(log_level)
    if user_log_level is not None:
        logging.getLogger("flyte.user").setLevel(user_log_level)
    given = {"org": org, "project": project, "domain": domain, "root_dir": root_dir, "log_format": log_format}
    session_isolation(isolation, f"flyte.init(isolation={isolation!r})")
    _settings.clear()
    _settings.update({key: value for key, value in (given | options).items() if value is not None}, initialized=True)


@blocking
def init_from_config(
    path_or_config: Any = None, root_dir: Path | None = None, log_level: int | None = None, **options: Any
) -> None:
    """Sets up from a Flyte configuration file; without one, as `init()`.

    Raises:
        flyte_nb.errors.InitializationError: the named file does not exist, or a file names a backend.
    """
    if path_or_config is not None and not Path(path_or_config).expanduser().exists():
        raise InitializationError("ConfigNotFound", "user", f"There is no configuration file at {path_or_config}.")
    named = [path_or_config] if path_or_config is not None else [os.environ.get("FLYTECTL_CONFIG"), *CONFIG_FILES]
    found = next((path for path in named if path and Path(path).expanduser().is_file()), None)
    if found is not None and "endpoint:" in Path(found).expanduser().read_text(errors="replace"):
        raise _no_backend(str(found))
    init(root_dir=root_dir, log_level=log_level, **options)


@blocking
def init_from_api_key(api_key: str | None = None, **options: Any) -> None:
    """Needs a backend: refused.

    Raises:
        flyte_nb.errors.InitializationError: always, in this release.
    """
    raise _no_backend("the API key's endpoint")


@blocking
def init_in_cluster(**options: Any) -> dict[str, Any]:
    """Needs a cluster: refused.

    Raises:
        flyte_nb.errors.InitializationError: always, in this release.
    """
    raise _no_backend("the cluster's own endpoint")


@blocking
def init_passthrough(endpoint: str | None = None, **options: Any) -> dict[str, Any]:
    """Needs a backend: refused.

    Raises:
        flyte_nb.errors.InitializationError: always, in this release.
    """
    raise _no_backend(endpoint or "an endpoint")


def is_initialized() -> bool:
    """Whether `init` was called."""
    return bool(_settings)


def is_control_plane_available() -> bool:
    """Whether a Flyte backend is configured: never, in this release."""
    return False


def current_project() -> str:
    """The project that `init` was given.

    Raises:
        flyte_nb.errors.InitializationError: none was.
    """
    return _setting("project")


def current_domain() -> str:
    """The domain that `init` was given.

    Raises:
        flyte_nb.errors.InitializationError: none was.
    """
    return _setting("domain")


def _setting(name: str) -> str:
    if name not in _settings:
        raise InitializationError(f"{name}NotInitialized", "user", f"No {name} is set: flyte.init({name}=...).")
    return str(_settings[name])


def _no_backend(what: str) -> InitializationError:
    return InitializationError(
        "BackendNotSupported",
        "user",
        f"flyte_nb runs locally and cannot connect to {what}. Leave it out to run here; the same code runs on a "
        "backend with `import flyte`.",
    )
