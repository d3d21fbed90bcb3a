"""What is recorded: the events of a run, as they stand in a journal.

    RunStarted TaskDeclared* (ActionStarted AttemptEnded* LogWritten* ReportWritten* ActionEnded)* RunEnded RunLabelled*

An action costs two events: `ActionStarted` when it is queued and `ActionEnded` when it is over; a retried attempt adds
an `AttemptEnded`, and an attempt that had to wait for its place an `AttemptStarted`. Events are msgpack arrays that
start with a tag; fields are only ever added at the end, with a default, so that a later release reads the journals of
an earlier one. Deployments stand in journals as well: `flyte_nb.store.deployment_events`.

Times are nanoseconds since the epoch, UTC (`*_ns`). Phases are Flyte's, lower case. `payload` fields are the msgpack
list of a call's values in the order of the task's interface, as `flyte_nb.types` encodes them; large values stand in
them as references into the value store (extension type 1).
"""

from __future__ import annotations

from typing import Any

import msgspec

from flyte_nb.store.deployment_events import TaskDeployed, TriggerChanged, TriggerDeployed

__all__ = [
    "ActionEnded",
    "ActionStarted",
    "AttemptEnded",
    "AttemptStarted",
    "ErrorRecord",
    "Event",
    "LogWritten",
    "ReportWritten",
    "RunEnded",
    "RunLabelled",
    "RunStarted",
    "TaskDeclared",
    "as_unicode",
    "decode_event",
    "encode_event",
]


class ErrorRecord(msgspec.Struct, array_like=True, frozen=True):
    """Why an attempt failed. `code` is the original class's name; `kind` is user, system or unknown."""

    code: str
    kind: str
    message: str
    traceback: str = ""
    """Text of the traceback, the user's frames only."""
    place: str = ""
    """Cell and line of the innermost frame of the user's, e.g. `cell 3, line 7` or `train.py, line 12`."""


class RunStarted(msgspec.Struct, array_like=True, tag="run", frozen=True):
    run: str
    at_ns: int
    task: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    notebook: str = ""
    """Path of the notebook or script that started it, relative to the store's project where it lies inside."""
    cell: str = ""
    """Id of the cell that started it."""
    parent_run: str = ""
    """The run that this one reruns, recovers or forks, or whose action started it."""
    options: dict[str, Any] = {}
    """What was asked for with `with_runcontext`, recorded and shown (msgpack-able)."""
    environment: str = ""
    code: str = ""
    """Digest of the value that holds the code of all tasks it can reach; empty when that could not be recorded."""


class TaskDeclared(msgspec.Struct, array_like=True, tag="task", frozen=True):
    """A task as it stood in this run, once a run and task; `override` makes another spec."""

    run: str
    task: str
    spec: int
    """Number of this declaration within the run, from 0; actions name it."""
    own_digest: str
    deep_digest: str
    source: str
    """The function's source text."""
    inputs: list[tuple[str, str]]
    """(name, type as text), in the order of the interface."""
    outputs: list[tuple[str, str]]
    settings: dict[str, Any]
    """Every declared parameter that is not its default, as text or msgpack-able value: resources, image, retries ..."""
    types: bytes = b""
    """The Python types of inputs and outputs, pickled by value, so that values load where the cells never ran."""
    short_name: str = ""
    place: str = ""
    """Where it was declared: cell and line, or file and line."""
    isolation: str = ""
    """Where its attempts run: kernel, process or virtualenv."""
    isolation_reason: str = ""


class ActionStarted(msgspec.Struct, array_like=True, tag="act", frozen=True, gc=False):
    run: str
    action: str
    parent: str
    """Name of the parent action; empty for the root."""
    kind: str
    """task, trace or condition."""
    name: str
    """The task's or traced function's full name."""
    spec: int
    """Which `TaskDeclared` of the run; -1 for a trace."""
    sequence: int
    """The how manieth call of the same task with the same inputs in the same group under this parent, from 0."""
    queued_ns: int
    payload: bytes
    group: str = ""
    position: str = ""
    """Names the place of the action whatever its code (docs/evaluation.md)."""
    inputs: list[tuple[str, str]] | None = None
    """(name, type as text) of a trace's arguments; a task's stand in its spec."""
    custom_context: dict[str, str] | None = None


class AttemptStarted(msgspec.Struct, array_like=True, tag="try", frozen=True):
    run: str
    action: str
    attempt: int
    at_ns: int
    where: str = ""
    """Isolation and worker, e.g. `kernel`."""
    phase: str = "running"
    """`paused` of a condition, which waits for its answer."""


class AttemptEnded(msgspec.Struct, array_like=True, tag="tried", frozen=True):
    """An attempt that did not end its action: another follows."""

    run: str
    action: str
    attempt: int
    phase: str
    started_ns: int
    ended_ns: int
    error: ErrorRecord | None = None


class ActionEnded(msgspec.Struct, array_like=True, tag="end", frozen=True, gc=False):
    run: str
    action: str
    attempt: int
    phase: str
    started_ns: int
    ended_ns: int
    payload: bytes | None = None
    """The outputs, None unless the phase is succeeded or recovered."""
    error: ErrorRecord | None = None
    source: str = ""
    """Where a reused result comes from: `cache:RUN/ACTION`, or `RUN/ACTION` of a recovered one."""
    note: str = ""
    """A word to the user: a thread still running, a value that could not be recorded, ..."""
    where: str = ""
    """Isolation and worker of the last attempt."""
    initializing_ns: int | None = None
    """When the last attempt had what it asked for, and its process began to start."""


class LogWritten(msgspec.Struct, array_like=True, tag="log", frozen=True, gc=False):
    run: str
    action: str
    attempt: int
    at_ns: int
    stream: str
    """stdout, stderr, display, or a logging level in lower case (info, warning ...)."""
    text: str
    """Whole lines without the last newline; a `display` is its MIME bundle as JSON."""


class ReportWritten(msgspec.Struct, array_like=True, tag="report", frozen=True):
    run: str
    action: str
    attempt: int
    at_ns: int
    html: str


class RunEnded(msgspec.Struct, array_like=True, tag="done", frozen=True):
    run: str
    at_ns: int
    phase: str
    error: ErrorRecord | None = None


class RunLabelled(msgspec.Struct, array_like=True, tag="label", frozen=True):
    run: str
    at_ns: int
    labels: dict[str, str | None]
    """A value of None takes the label away."""


Event = (
    RunStarted
    | TaskDeclared
    | ActionStarted
    | AttemptStarted
    | AttemptEnded
    | ActionEnded
    | LogWritten
    | ReportWritten
    | RunEnded
    | RunLabelled
    | TaskDeployed
    | TriggerDeployed
    | TriggerChanged
)

encode_event = msgspec.msgpack.Encoder().encode
decode_event = msgspec.msgpack.Decoder(Event).decode


def as_unicode(value: Any) -> Any:
    """Anything made of plain data, with question marks for text that has no bytes: lone surrogates are not Unicode."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, msgspec.Struct):
        return type(value)(*[as_unicode(getattr(value, name)) for name in value.__struct_fields__])
    if isinstance(value, dict):
        return {as_unicode(key): as_unicode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_unicode(item) for item in value]
    return value
