"""`flyte.init` and its kin: where runs go. Without a backend there is nothing that must be set up."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyte_nb.engine.isolation import session_isolation
from flyte_nb.errors import InitializationError
from flyte_nb.executors.placement import Isolation
from flyte_nb.remote.backend.client import Client, Connection, check_installed
from flyte_nb.remote.backend.publishing import Publisher
from flyte_nb.remote.backend.source import BackendSource
from flyte_nb.remote.backend.translation import translated
from flyte_nb.remote.calls import blocking
from flyte_nb.remote.source import source
from flyte_nb.remote.tracking import track_all

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

BACKENDS_OWN = frozenset(
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
        "scopes",
    }
)
"""Parameters of Flyte's that say how to reach a backend: passed on with an endpoint, kept without one."""
LOCALS_OWN = frozenset({"local_persistence", "local_tracked", "local_tracked_strict"})
"""Parameters of Flyte's about its own local runs: runs here are always kept; the others publish each at the backend."""

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
    """Sets where runs go, names, log levels and isolation. Optional: without it runs are local, and `init()` makes them
    local again.

    With an endpoint (of a Flyte 2 backend or of `flyte-nb serve`) `flyte.run` and `flyte.deploy` go there, and
    `flyte.remote` reads from there, through Flyte's own SDK in a process of its own. No request goes out yet.

    Args:
        org: organization at the backend.
        project: what `flyte.current_project()` gives; where runs go at the backend.
        domain: what `flyte.current_domain()` gives; likewise.
        root_dir: kept and shown.
        log_level: level of the logger `flyte`.
        user_log_level: level of the logger `flyte.user`.
        endpoint: address of a backend, `dns:///host:port` or `host:port`; `insecure=True` for one without TLS.
        api_key: key of a backend.
        isolation: where local tasks run: `kernel`, `process` or `virtualenv`; None lets each task decide.
        options: Flyte's other parameters, for the backend.

    Raises:
        flyte_nb.errors.InitializationError: an endpoint or key is given, and Flyte's SDK is not installed.
        TypeError: a parameter that Flyte does not have.
        ValueError: an isolation that does not exist.
    """
    if unknown := sorted(set(options) - BACKENDS_OWN - LOCALS_OWN):
        raise TypeError(f"flyte.init() got unexpected parameters: {', '.join(unknown)}")
    given = {"org": org, "project": project, "domain": domain, "root_dir": root_dir, "log_format": log_format}
    for_backend = {name: value for name, value in options.items() if name in BACKENDS_OWN}
    session_isolation(isolation, f"flyte.init(isolation={isolation!r})")
    if endpoint is not None or api_key is not None:
        named = given | for_backend | {"endpoint": endpoint, "api_key": api_key, "log_level": log_level}
        _connect("init", endpoint or "the API key's endpoint", named)
    else:
        _disconnect()
    track_all(bool(options.get("local_tracked")), bool(options.get("local_tracked_strict")))
    if log_level is not None:
        logging.getLogger("flyte").setLevel(log_level)
    if user_log_level is not None:
        logging.getLogger("flyte.user").setLevel(user_log_level)
    _settings.clear()
    _settings.update({key: value for key, value in (given | options).items() if value is not None}, initialized=True)


@blocking
def init_from_config(
    path_or_config: str | Path | None = None,
    root_dir: Path | None = None,
    log_level: int | None = None,
    project: str | None = None,
    domain: str | None = None,
    **options: Any,
) -> None:
    """Sets up from a Flyte configuration file: the one given, `$FLYTECTL_CONFIG`, `./config.yaml`,
    `./.flyte/config.yaml`, `~/.union/config.yaml` or `~/.flyte/config.yaml`. Without one, or where it names no
    endpoint, as `init()`.

    Args:
        path_or_config: the file.
        root_dir: kept and shown.
        log_level: level of the logger `flyte`.
        project: in place of the file's.
        domain: in place of the file's.
        options: Flyte's other parameters.

    Raises:
        flyte_nb.errors.InitializationError: the named file does not exist or is no YAML, or Flyte's SDK is not
            installed.
    """
    if path_or_config is not None and not Path(path_or_config).expanduser().exists():
        raise InitializationError("ConfigNotFound", "user", f"There is no configuration file at {path_or_config}.")
    named = [path_or_config] if path_or_config is not None else [os.environ.get("FLYTECTL_CONFIG"), *CONFIG_FILES]
    found = next((path for path in named if path and Path(path).expanduser().is_file()), None)
    if found is None or "endpoint:" not in Path(found).expanduser().read_text(errors="replace"):
        init(root_dir=root_dir, log_level=log_level, project=project, domain=domain, **options)
        return
    file = str(Path(found).expanduser().resolve())
    local = _local_section(file)
    track_all(
        bool(options.pop("local_tracked", local.get("tracked"))),
        bool(options.pop("local_tracked_strict", local.get("tracked_strict"))),
    )
    given = {"root_dir": root_dir, "project": project, "domain": domain} | options
    _connect("init_from_config", f"the endpoint of {found}", given | {"path_or_config": file, "log_level": log_level})
    _settings.clear()
    _settings.update({key: value for key, value in given.items() if value is not None}, initialized=True)


@blocking
def init_from_api_key(
    api_key: str | None = None, project: str | None = None, domain: str | None = None, **options: Any
) -> None:
    """Connects to the backend that an API key names.

    Args:
        api_key: the key; `$FLYTE_API_KEY` unless given.
        project: where runs go.
        domain: likewise.
        options: Flyte's other parameters.

    Raises:
        flyte_nb.errors.InitializationError: there is no key, or Flyte's SDK is not installed.
    """
    key = api_key or os.environ.get("FLYTE_API_KEY")
    if not key:
        raise InitializationError(
            "MissingApiKeyError", "user", "There is no API key: give it, or set the environment variable FLYTE_API_KEY."
        )
    given = {"project": project, "domain": domain} | options
    _connect("init_from_api_key", "the API key's endpoint", given | {"api_key": key})
    track_all(False, False)
    _settings.clear()
    _settings.update({name: value for name, value in given.items() if value is not None}, initialized=True)


@blocking
def init_in_cluster(**options: Any) -> dict[str, Any]:
    """For Flyte's own containers: refused.

    Raises:
        flyte_nb.errors.InitializationError: always; a notebook names its backend with `flyte.init(endpoint=...)`.
    """
    raise InitializationError(
        "NotInCluster",
        "user",
        "flyte.init_in_cluster is for the containers of a backend, where Flyte's own SDK runs. From here: "
        "flyte.init(endpoint=...) or flyte.init_from_config().",
    )


@blocking
def init_passthrough(endpoint: str | None = None, **options: Any) -> dict[str, Any]:
    """For servers that pass on the credentials of whoever calls them: refused.

    Raises:
        flyte_nb.errors.InitializationError: always; a notebook has credentials of its own.
    """
    raise InitializationError(
        "NoRequestToPassOn",
        "user",
        "flyte.init_passthrough passes on the credentials of a request that a server answers; a notebook answers none. "
        f"Use flyte.init(endpoint={endpoint!r}, api_key=...) or another auth_type.",
    )


def is_initialized() -> bool:
    """Whether `init` was called."""
    return bool(_settings)


def is_control_plane_available() -> bool:
    """Whether a backend is configured."""
    return source.backend is not None


def current_project() -> str:
    """The project that `init` was given, or that the configuration of the backend names.

    Raises:
        flyte_nb.errors.InitializationError: none was.
    """
    return _setting("project")


def current_domain() -> str:
    """The domain that `init` was given, or that the configuration of the backend names.

    Raises:
        flyte_nb.errors.InitializationError: none was.
    """
    return _setting("domain")


def _setting(name: str) -> str:
    value = _settings.get(name) or (source.backend.about()[name] if source.backend is not None else "")
    if not value:
        raise InitializationError(f"{name}NotInitialized", "user", f"No {name} is set: flyte.init({name}=...).")
    return str(value)


def _local_section(file: str) -> dict[str, Any]:
    """What a configuration file says about local runs.

    Raises:
        flyte_nb.errors.InitializationError: it is no YAML.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InitializationError(
            "ConfigNotReadable", "user", f"The configuration file {file} is no YAML: {error}"
        ) from None
    found = content.get("local") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def _connect(how: str, endpoint: str, settings: Mapping[str, Any]) -> None:
    """Has everything go to a backend from now on; the process that talks to it starts when it is needed."""
    check_installed()
    given = {name: value for name, value in settings.items() if value is not None}
    connection = Connection(how, translated(given), endpoint)
    if source.backend is None or source.backend.client.connection != connection:
        _disconnect()
        client = Client(connection)
        source.backend = BackendSource(client, lambda: source.store.home.path)
        source.publisher = Publisher(client, lambda: source.store.home.path, source.abort)


def _disconnect() -> None:
    if source.publisher is not None:
        source.publisher.close()
        source.publisher = source.backend = None
