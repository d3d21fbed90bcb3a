"""Flyte 2, alive in a notebook: `import flyte_nb as flyte`.

Declare environments and tasks in cells, run them with `%flyte run` or `flyte.run`, watch the run inline, and find every
run again in DuckDB. Names are Flyte's, and are loaded when they are first used: importing the package loads nothing
heavy.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    import flyte_nb.artifacts
    import flyte_nb.durable
    import flyte_nb.errors
    import flyte_nb.extend
    import flyte_nb.io
    import flyte_nb.models
    import flyte_nb.notify
    import flyte_nb.remote
    import flyte_nb.report
    import flyte_nb.storage
    import flyte_nb.syncify
    import flyte_nb.types  # noqa: F401  # so that type checkers know the submodules as attributes
    from flyte_nb.as_flyte import install_as_flyte
    from flyte_nb.authoring.cache import Cache, CachePolicy, CacheRequest
    from flyte_nb.authoring.checkpoint import BaseCheckpoint, Checkpoint, latest_checkpoint
    from flyte_nb.authoring.condition import ConditionWebhook, new_condition
    from flyte_nb.authoring.devices import AMD_GPU, APPLE_SILICON, GPU, HABANA_GAUDI, TPU, Device, DeviceClass, Neuron
    from flyte_nb.authoring.documentation import Documentation
    from flyte_nb.authoring.environment import Environment, TaskEnvironment
    from flyte_nb.authoring.group import ctx, custom_context, get_custom_context, group
    from flyte_nb.authoring.image import Image
    from flyte_nb.authoring.link import Link
    from flyte_nb.authoring.map import map
    from flyte_nb.authoring.pod_template import PodTemplate
    from flyte_nb.authoring.resources import Resources
    from flyte_nb.authoring.retry import Backoff, RetryStrategy
    from flyte_nb.authoring.reuse import ReusePolicy
    from flyte_nb.authoring.secret import Secret, SecretRequest
    from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
    from flyte_nb.authoring.timeout import Timeout, TimeoutType
    from flyte_nb.authoring.trace import trace
    from flyte_nb.authoring.trigger import (
        Cron,
        FixedRate,
        OnArtifact,
        Trigger,
        TriggeredArtifact,
        TriggeredPartition,
        TriggerTime,
    )
    from flyte_nb.checking.check import check
    from flyte_nb.logs import logger, system_logger
    from flyte_nb.remote.deploying.deploy import deploy
    from flyte_nb.remote.launch import run, with_runcontext
    from flyte_nb.remote.repeats.rerun import fork, rerun
    from flyte_nb.remote.run import Run
    from flyte_nb.remote.setup import (
        current_domain,
        current_project,
        init,
        init_from_api_key,
        init_from_config,
        init_in_cluster,
        init_passthrough,
        is_control_plane_available,
    )
    from flyte_nb.remote.unsupported import (
        AppHandle,
        ImageBuild,
        build,
        build_images,
        load_interactive_ctx,
        load_plugin_config,
        run_python_script,
        serve,
        with_servecontext,
    )
    from flyte_nb.store.queries import connect

    last_run: Run | None
    """The run that was started last: in this process, else of the store; None before the first."""

__all__ = [
    "AMD_GPU",
    "APPLE_SILICON",
    "AppHandle",
    "AsyncFunctionTaskTemplate",
    "Backoff",
    "BaseCheckpoint",
    "Cache",
    "CachePolicy",
    "CacheRequest",
    "Checkpoint",
    "ConditionWebhook",
    "Cron",
    "Device",
    "DeviceClass",
    "Documentation",
    "Environment",
    "FixedRate",
    "GPU",
    "HABANA_GAUDI",
    "Image",
    "ImageBuild",
    "Link",
    "Neuron",
    "OnArtifact",
    "PodTemplate",
    "Resources",
    "RetryStrategy",
    "ReusePolicy",
    "Secret",
    "SecretRequest",
    "TPU",
    "TaskEnvironment",
    "TaskTemplate",
    "Timeout",
    "TimeoutType",
    "Trigger",
    "TriggerTime",
    "TriggeredArtifact",
    "TriggeredPartition",
    "__version__",
    "build",
    "build_images",
    "check",
    "connect",
    "ctx",
    "current_domain",
    "current_project",
    "custom_context",
    "deploy",
    "fork",
    "get_custom_context",
    "group",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "install_as_flyte",
    "is_control_plane_available",
    "latest_checkpoint",
    "load_interactive_ctx",
    "load_plugin_config",
    "logger",
    "map",
    "new_condition",
    "rerun",
    "run",
    "run_python_script",
    "serve",
    "system_logger",
    "trace",
    "version",
    "with_runcontext",
    "with_servecontext",
]

NAMES = {
    "flyte_nb.as_flyte": "install_as_flyte",
    "flyte_nb.authoring.cache": "Cache CachePolicy CacheRequest",
    "flyte_nb.authoring.checkpoint": "BaseCheckpoint Checkpoint latest_checkpoint",
    "flyte_nb.authoring.condition": "ConditionWebhook new_condition",
    "flyte_nb.authoring.devices": "AMD_GPU APPLE_SILICON GPU HABANA_GAUDI Neuron TPU Device DeviceClass",
    "flyte_nb.authoring.documentation": "Documentation",
    "flyte_nb.authoring.environment": "Environment TaskEnvironment",
    "flyte_nb.authoring.group": "ctx custom_context get_custom_context group",
    "flyte_nb.authoring.image": "Image",
    "flyte_nb.authoring.link": "Link",
    "flyte_nb.authoring.map": "map",
    "flyte_nb.authoring.pod_template": "PodTemplate",
    "flyte_nb.authoring.resources": "Resources",
    "flyte_nb.authoring.retry": "Backoff RetryStrategy",
    "flyte_nb.authoring.reuse": "ReusePolicy",
    "flyte_nb.authoring.secret": "Secret SecretRequest",
    "flyte_nb.authoring.task": "AsyncFunctionTaskTemplate TaskTemplate",
    "flyte_nb.authoring.timeout": "Timeout TimeoutType",
    "flyte_nb.authoring.trace": "trace",
    "flyte_nb.authoring.trigger": "Cron FixedRate OnArtifact Trigger TriggerTime TriggeredArtifact TriggeredPartition",
    "flyte_nb.checking.check": "check",
    "flyte_nb.logs": "logger system_logger",
    "flyte_nb.remote.deploying.deploy": "deploy",
    "flyte_nb.remote.launch": "run with_runcontext",
    "flyte_nb.remote.setup": (
        "current_domain current_project init init_from_api_key init_from_config init_in_cluster "
        "init_passthrough is_control_plane_available"
    ),
    "flyte_nb.remote.repeats.rerun": "fork rerun",
    "flyte_nb.remote.unsupported": (
        "AppHandle ImageBuild build build_images load_interactive_ctx load_plugin_config "
        "run_python_script serve with_servecontext"
    ),
    "flyte_nb.store.queries": "connect",
}
"""Where each name lives: module -> names."""

HOMES = {name: module for module, names in NAMES.items() for name in names.split()}
SUBMODULES = frozenset(
    {
        "artifacts",
        "durable",
        "errors",
        "extend",
        "io",
        "models",
        "notify",
        "remote",
        "report",
        "storage",
        "syncify",
        "types",
    }
)


def version() -> str:
    """The version of flyte_nb."""
    return __version__


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext flyte_nb`: the magics, completion, and the run explorer in cells."""
    importlib.import_module("flyte_nb.notebook.extension").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext flyte_nb`."""
    importlib.import_module("flyte_nb.notebook.extension").unload(shell)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "notebook/labextension", "dest": "flyte-nb"}]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        value = getattr(importlib.import_module(HOMES[name]), name)
        globals()[name] = value
        if name in ("run", "with_runcontext"):
            _show_runs()
        return value
    if name in SUBMODULES:
        return importlib.import_module(f"flyte_nb.{name}")
    if name == "last_run":  # another one after each run
        return importlib.import_module("flyte_nb.remote.search").last_run()
    raise AttributeError(f"module 'flyte_nb' has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *SUBMODULES, "last_run"})


def _show_runs() -> None:
    """In a kernel, runs are drawn in their cell, extension loaded or not; on a terminal they are a line."""
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        importlib.import_module("flyte_nb.notebook.extension").show_runs(shell)
    else:
        importlib.import_module("flyte_nb.remote.progress").show_progress()
