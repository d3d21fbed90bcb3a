"""What the store and a live run both answer with: plain rows, the same from either side.

The store fills them from DuckDB, the engine from the run in memory; the explorer, `flyte.remote` and the magics read
them without knowing which. Times are nanoseconds since the epoch, UTC; None means not yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from flyte_nb.store.events import ErrorRecord

__all__ = [
    "ActionRow",
    "AttemptRow",
    "DeployedTaskRow",
    "LogRow",
    "OutcomeRow",
    "RunRow",
    "TaskRow",
    "TriggerRow",
]


@dataclass(slots=True)
class RunRow:
    name: str
    task: str
    phase: str
    started_ns: int
    ended_ns: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    notebook: str = ""
    cell: str = ""
    parent_run: str = ""
    environment: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    error: ErrorRecord | None = None
    action_count: int = 0
    """Every action, traces included."""
    code: str = ""
    """Digest of the value that holds the code of its tasks."""


@dataclass(slots=True)
class ActionRow:
    run: str
    name: str
    parent: str
    kind: str
    task: str
    spec: int
    group: str
    phase: str
    queued_ns: int
    started_ns: int | None = None
    ended_ns: int | None = None
    attempt: int = 1
    error: ErrorRecord | None = None
    source: str = ""
    note: str = ""
    inputs: bytes = b""
    """Payload, see `flyte_nb.store.events`."""
    outputs: bytes | None = None
    trace_inputs: list[tuple[str, str]] | None = None
    where: str = ""
    initializing_ns: int | None = None


class OutcomeRow(msgspec.Struct, frozen=True, gc=False):
    """What of an action another run may reuse: `ActionRow` without what only shows."""

    name: str
    parent: str
    kind: str
    spec: int
    phase: str
    note: str
    inputs: bytes
    outputs: bytes | None


@dataclass(slots=True)
class AttemptRow:
    attempt: int
    phase: str
    started_ns: int
    ended_ns: int | None
    error: ErrorRecord | None = None


@dataclass(slots=True)
class LogRow:
    action: str
    attempt: int
    at_ns: int
    stream: str
    text: str


@dataclass(slots=True)
class TaskRow:
    """A task as it stood in a run: see `flyte_nb.store.events.TaskDeclared`."""

    task: str
    spec: int
    own_digest: str
    deep_digest: str
    source: str
    inputs: list[tuple[str, str]]
    outputs: list[tuple[str, str]]
    settings: dict[str, Any]
    types: bytes
    short_name: str
    place: str
    isolation: str
    isolation_reason: str


@dataclass(slots=True)
class DeployedTaskRow:
    """A version of a deployed task: see `flyte_nb.store.deployment_events.TaskDeployed`."""

    task: str
    version: str
    deployed_ns: int
    environment: str
    code: str
    own_digest: str
    deep_digest: str
    inputs: list[tuple[str, str]]
    outputs: list[tuple[str, str]]
    defaults: dict[str, Any] = field(default_factory=dict)
    default_values: bytes = b""
    types: bytes = b""
    short_description: str = ""
    long_description: str = ""
    input_descriptions: dict[str, str] = field(default_factory=dict)
    image: str = ""
    resources: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    depends_on: list[str] = field(default_factory=list)
    source: str = ""
    place: str = ""
    notebook: str = ""
    short_name: str = ""
    wire: str = ""


@dataclass(slots=True)
class TriggerRow:
    """A trigger as it stands: see `flyte_nb.store.deployment_events.TriggerDeployed`."""

    task: str
    name: str
    version: str
    deployed_ns: int
    is_active: bool
    automation: dict[str, Any]
    description: str = ""
    inputs: bytes = b""
    time_inputs: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    wire: str = ""
    changed_ns: int = 0
    """When it was deployed, paused or resumed last."""
    fired_ns: int | None = None
    """When it fired last."""
    fired_due_ns: int | None = None
    """When that was due."""
    fired_run: str = ""
    """The run that it started then; empty when none could be."""
    fired_error: str = ""
    """Why none could be."""
