"""Flyte 2, alive in a notebook: `import flyte_nb as flyte`.

Declare environments and tasks in cells, run them with `%flyte run` or `flyte.run`, watch the run inline, and find every run
again in DuckDB. Names are Flyte's, and are loaded when they are first used: importing the package loads nothing heavy.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from flyte_nb import (
        artifacts as artifacts,
    )
    from flyte_nb import (
        durable as durable,
    )
    from flyte_nb import (
        errors as errors,
    )
    from flyte_nb import (
        extend as extend,
    )
    from flyte_nb import (
        io as io,
    )
    from flyte_nb import (
        models as models,
    )
    from flyte_nb import (
        notify as notify,
    )
    from flyte_nb import (
        remote as remote,
    )
    from flyte_nb import (
        report as report,
    )
    from flyte_nb import (
        storage as storage,
    )
    from flyte_nb import (
        syncify as syncify,
    )
    from flyte_nb import (
        types as types,
    )
    from flyte_nb.authoring.cache import Cache as Cache
    from flyte_nb.authoring.cache import CachePolicy as CachePolicy
    from flyte_nb.authoring.cache import CacheRequest as CacheRequest
    from flyte_nb.authoring.checkpoint import (
        BaseCheckpoint as BaseCheckpoint,
    )
    from flyte_nb.authoring.checkpoint import (
        Checkpoint as Checkpoint,
    )
    from flyte_nb.authoring.checkpoint import (
        latest_checkpoint as latest_checkpoint,
    )
    from flyte_nb.authoring.condition import ConditionWebhook as ConditionWebhook
    from flyte_nb.authoring.condition import new_condition as new_condition
    from flyte_nb.authoring.devices import (
        AMD_GPU as AMD_GPU,
    )
    from flyte_nb.authoring.devices import (
        APPLE_SILICON as APPLE_SILICON,
    )
    from flyte_nb.authoring.devices import (
        GPU as GPU,
    )
    from flyte_nb.authoring.devices import (
        HABANA_GAUDI as HABANA_GAUDI,
    )
    from flyte_nb.authoring.devices import (
        TPU as TPU,
    )
    from flyte_nb.authoring.devices import (
        Device as Device,
    )
    from flyte_nb.authoring.devices import (
        DeviceClass as DeviceClass,
    )
    from flyte_nb.authoring.devices import (
        Neuron as Neuron,
    )
    from flyte_nb.authoring.documentation import Documentation as Documentation
    from flyte_nb.authoring.environment import Environment as Environment
    from flyte_nb.authoring.environment import TaskEnvironment as TaskEnvironment
    from flyte_nb.authoring.group import (
        ctx as ctx,
    )
    from flyte_nb.authoring.group import (
        custom_context as custom_context,
    )
    from flyte_nb.authoring.group import (
        get_custom_context as get_custom_context,
    )
    from flyte_nb.authoring.group import (
        group as group,
    )
    from flyte_nb.authoring.image import Image as Image
    from flyte_nb.authoring.link import Link as Link
    from flyte_nb.authoring.map import map as map
    from flyte_nb.authoring.pod_template import PodTemplate as PodTemplate
    from flyte_nb.authoring.resources import Resources as Resources
    from flyte_nb.authoring.retry import Backoff as Backoff
    from flyte_nb.authoring.retry import RetryStrategy as RetryStrategy
    from flyte_nb.authoring.reuse import ReusePolicy as ReusePolicy
    from flyte_nb.authoring.secret import Secret as Secret
    from flyte_nb.authoring.secret import SecretRequest as SecretRequest
    from flyte_nb.authoring.task import (
        AsyncFunctionTaskTemplate as AsyncFunctionTaskTemplate,
    )
    from flyte_nb.authoring.task import (
        TaskTemplate as TaskTemplate,
    )
    from flyte_nb.authoring.timeout import Timeout as Timeout
    from flyte_nb.authoring.timeout import TimeoutType as TimeoutType
    from flyte_nb.authoring.trace import trace as trace
    from flyte_nb.authoring.trigger import (
        Cron as Cron,
    )
    from flyte_nb.authoring.trigger import (
        FixedRate as FixedRate,
    )
    from flyte_nb.authoring.trigger import (
        OnArtifact as OnArtifact,
    )
    from flyte_nb.authoring.trigger import (
        Trigger as Trigger,
    )
    from flyte_nb.authoring.trigger import (
        TriggeredArtifact as TriggeredArtifact,
    )
    from flyte_nb.authoring.trigger import (
        TriggeredPartition as TriggeredPartition,
    )
    from flyte_nb.authoring.trigger import (
        TriggerTime as TriggerTime,
    )
    from flyte_nb.logs import logger as logger
    from flyte_nb.logs import system_logger as system_logger
    from flyte_nb.remote.launch import run as run
    from flyte_nb.remote.launch import with_runcontext as with_runcontext
    from flyte_nb.remote.setup import (
        current_domain as current_domain,
    )
    from flyte_nb.remote.setup import (
        current_project as current_project,
    )
    from flyte_nb.remote.setup import (
        init as init,
    )
    from flyte_nb.remote.setup import (
        init_from_api_key as init_from_api_key,
    )
    from flyte_nb.remote.setup import (
        init_from_config as init_from_config,
    )
    from flyte_nb.remote.setup import (
        init_in_cluster as init_in_cluster,
    )
    from flyte_nb.remote.setup import (
        init_passthrough as init_passthrough,
    )
    from flyte_nb.remote.setup import (
        is_control_plane_available as is_control_plane_available,
    )
    from flyte_nb.remote.unsupported import (
        AppHandle as AppHandle,
    )
    from flyte_nb.remote.unsupported import (
        ImageBuild as ImageBuild,
    )
    from flyte_nb.remote.unsupported import (
        build as build,
    )
    from flyte_nb.remote.unsupported import (
        build_images as build_images,
    )
    from flyte_nb.remote.unsupported import (
        deploy as deploy,
    )
    from flyte_nb.remote.unsupported import (
        load_interactive_ctx as load_interactive_ctx,
    )
    from flyte_nb.remote.unsupported import (
        load_plugin_config as load_plugin_config,
    )
    from flyte_nb.remote.unsupported import (
        rerun as rerun,
    )
    from flyte_nb.remote.unsupported import (
        run_python_script as run_python_script,
    )
    from flyte_nb.remote.unsupported import (
        serve as serve,
    )
    from flyte_nb.remote.unsupported import (
        with_servecontext as with_servecontext,
    )
    from flyte_nb.store.queries import connect as connect

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
    "connect",
    "ctx",
    "current_domain",
    "current_project",
    "custom_context",
    "deploy",
    "get_custom_context",
    "group",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
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
    "flyte_nb.logs": "logger system_logger",
    "flyte_nb.remote.launch": "run with_runcontext",
    "flyte_nb.remote.setup": "current_domain current_project init init_from_api_key init_from_config init_in_cluster init_passthrough is_control_plane_available",
    "flyte_nb.remote.unsupported": "AppHandle ImageBuild build build_images deploy load_interactive_ctx load_plugin_config rerun run_python_script serve with_servecontext",
    "flyte_nb.store.queries": "connect",
}
"""Where each name lives: module -> names."""

HOMES = {name: module for module, names in NAMES.items() for name in names.split()}
SUBMODULES = frozenset(
    {"artifacts", "durable", "errors", "extend", "io", "models", "notify", "remote", "report", "storage", "syncify", "types"}
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
            _show_runs_in_notebooks()
        return value
    if name in SUBMODULES:
        return importlib.import_module(f"flyte_nb.{name}")
    raise AttributeError(f"module 'flyte_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *SUBMODULES})


def _show_runs_in_notebooks() -> None:
    """In a kernel, runs are drawn in their cell, whether or not the extension was loaded by hand."""
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        importlib.import_module("flyte_nb.notebook.extension").show_runs(shell)

