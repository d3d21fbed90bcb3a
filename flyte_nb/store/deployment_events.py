"""What is recorded of deployments: tasks that can be fetched by name and version, and the triggers that start them.

    TaskDeployed     a version of a task, once; a second one of that name and version changes nothing
    TriggerDeployed  a trigger of a task as it stands from now on; the latest one holds
    TriggerChanged   it was paused, resumed, deleted, or has fired

They stand in journals beside the events of runs (`flyte_nb.store.events`), and grow as those do: at the end, with
defaults.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["TaskDeployed", "TriggerChanged", "TriggerDeployed"]


class TaskDeployed(msgspec.Struct, array_like=True, tag="deployed", frozen=True):
    """A version of a task."""

    task: str
    """Full name, `environment.function`."""
    version: str
    at_ns: int
    environment: str
    code: str
    """Digest of the value that holds its code and that of all tasks it can reach; empty when `wire` is given."""
    own_digest: str
    deep_digest: str
    inputs: list[tuple[str, str]]
    """(name, type as text), in the order of the interface."""
    outputs: list[tuple[str, str]]
    defaults: dict[str, Any]
    """The inputs that have a default: as JSON where JSON has a word for it, else as text."""
    default_values: bytes
    """The same as a payload, in the order of the interface; see `flyte_nb.types.signature`."""
    types: bytes
    """The Python types of inputs and outputs, pickled by value; empty when they cannot be."""
    short_description: str = ""
    long_description: str = ""
    input_descriptions: dict[str, str] = {}
    image: str = ""
    """Its name, or its layers as text."""
    resources: dict[str, Any] = {}
    """What it asks for: cpu, memory, gpu, disk, shm, each as text or number."""
    settings: dict[str, Any] = {}
    """Every other declared parameter that is not its default, as text or plain value."""
    depends_on: list[str] = []
    """Environments that its own depends on."""
    source: str = ""
    """The function's source text."""
    place: str = ""
    """Where it was declared: cell and line, or file and line."""
    notebook: str = ""
    """Path of the notebook or script that deployed it."""
    short_name: str = ""
    wire: str = ""
    """Digest of the value that holds a serialized TaskSpec of Flyte's, when Flyte's own client deployed it."""


class TriggerDeployed(msgspec.Struct, array_like=True, tag="trigger", frozen=True):
    """A trigger of a deployed task."""

    task: str
    name: str
    version: str
    """Of the task."""
    at_ns: int
    is_active: bool
    automation: dict[str, Any]
    """`kind` is cron (expression, timezone), rate (interval_minutes, start_ns or None), artifact (name, version,
    partitions) or none."""
    description: str = ""
    inputs: bytes = b""
    """All inputs of its runs, as a payload; those of `time_inputs` hold the time of deployment."""
    time_inputs: list[str] = []
    """Names of the inputs that are given the time at which it was due."""
    settings: dict[str, Any] = {}
    """Of its runs, as `with_runcontext` takes them: labels, annotations, env_vars, custom_context ..."""
    wire: str = ""
    """Digest of the value that holds Flyte's own message, when Flyte's client deployed it."""


class TriggerChanged(msgspec.Struct, array_like=True, tag="trigged", frozen=True):
    """What became of a trigger."""

    task: str
    name: str
    at_ns: int
    change: str
    """activated, deactivated, deleted or fired."""
    due_ns: int | None = None
    """When it was due, of one that fired."""
    run: str = ""
    """The run that it started; empty when none could be."""
    error: str = ""
    """Why none could be."""
