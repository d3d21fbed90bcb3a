"""What this server records itself: the events that the engine would have written, made of Flyte's messages.

Each is in the journal before it is acknowledged. The methods block; they may be called from any thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, TypeVar

import cloudpickle
from flyteidl2.core import interface_pb2
from flyteidl2.task import common_pb2, task_definition_pb2
from google.protobuf.message import DecodeError

from flyte_nb.server.wire.messages import CODE_BUNDLE, bundle_uri
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.server.wire.values.literals import tree_of
from flyte_nb.server.wire.values.payloads import ActionTypes
from flyte_nb.server.wire.values.types import python_types
from flyte_nb.store.events import ActionStarted, Event, TaskDeclared, encode_event
from flyte_nb.store.journal import Journal
from flyte_nb.types.names import describe_type
from flyte_nb.types.offload import pack_values

Message = TypeVar("Message", common_pb2.Inputs, common_pb2.Outputs)

__all__ = ["Beginning", "Recording", "RunOutline"]


@dataclass(slots=True)
class RunOutline:
    """What is recorded of a run so far."""

    name: str
    tasks: dict[str, int] = field(default_factory=dict)
    """The number of each task in the run, by its name and interface."""
    actions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """An action that begins: a task's, or, without a spec, a trace's.

    Attributes:
        action: its name.
        parent: its parent's name; empty for the root.
        group: the innermost group.
        at_ns: when it was queued.
        spec: its task.
        name: of the traced function.
        interface: of the traced function.
        inputs: its inputs, or None where nobody has sent them.
    """

    action: str
    parent: str = ""
    group: str = ""
    at_ns: int
    spec: task_definition_pb2.TaskSpec | None = None
    name: str = ""
    interface: interface_pb2.TypedInterface | None = None
    inputs: common_pb2.Inputs | None = None


class Recording:
    """Writes runs into a journal of this server.

    Args:
        records: the store.
        uploads: where the values of actions are.
        where: the isolation that is shown of their tasks.
        reason: why it is that.
    """

    def __init__(self, records: Records, uploads: Uploads, where: str, reason: str) -> None:
        self.where = where
        self._reason = reason
        self._records = records
        self._uploads = uploads
        self._lock = threading.Lock()
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """The journal; made when it is first needed."""
        with self._lock:
            if self._journal is None:
                self._journal = Journal.create(self._records.home)
            return self._journal

    def record(self, events: list[Event]) -> None:
        """Records events, all or none."""
        if events:
            journal = self.journal
            journal.append_together([encode_event(event) for event in events])
            journal.flush()

    def begin(self, run: RunOutline, began: Beginning) -> tuple[ActionTypes, list[Event]]:
        """The types of an action's values, and the events by which it begins; its task's where that is new in the run.

        Raises:
            ValueError: its inputs cannot be read.
        """
        events: list[Event] = []
        spec, number = began.spec, -1
        interface = spec.task_template.interface if spec is not None else began.interface
        types = ActionTypes(*python_types(interface)) if interface is not None else ActionTypes({}, {})
        inputs = began.inputs
        payload = pack_values(self._trees(inputs, types.inputs) if inputs is not None else [], self._records.values)
        if spec is not None:
            key = f"{spec.task_template.id.name} {types}"
            if key not in run.tasks:
                run.tasks[key] = len(run.tasks)
                events.append(self._declared(run.name, run.tasks[key], spec, types))
            number = run.tasks[key]
        events.append(
            ActionStarted(
                run.name,
                began.action,
                began.parent,
                "trace" if spec is None else "task",
                began.name if spec is None else spec.task_template.id.name,
                number,
                run.actions,
                began.at_ns,
                payload,
                began.group,
                inputs=described(types.inputs) if spec is None else None,
                custom_context={one.key: one.value for one in inputs.context} if inputs is not None else None,
            )
        )
        run.actions += 1
        return types, events

    def outputs(self, uri: str, types: dict[str, Any]) -> bytes:
        """The outputs that were put somewhere, as they are recorded.

        Raises:
            FileNotFoundError: nothing was put there.
            ValueError: it cannot be read.
        """
        return pack_values(self._trees(self.read(uri, common_pb2.Outputs), types), self._records.values)

    def read(self, uri: str, kind: type[Message]) -> Message:
        """A message that was put somewhere; an empty one where nothing was.

        Raises:
            FileNotFoundError: nothing was put there.
            ValueError: it is another.
        """
        if not uri:
            return kind()
        try:
            return kind.FromString(self._uploads.read(uri))
        except DecodeError as error:
            raise ValueError(f"{uri!r} holds no {kind.__name__}: {error}") from error

    def close(self) -> None:
        """Ends the journal: runs that have not ended by now read as aborted."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()

    def _trees(self, message: common_pb2.Inputs | common_pb2.Outputs, types: dict[str, Any]) -> list[Any]:
        """The values of a message, in the order of the interface; none where there are none."""
        literals = {one.name: one.value for one in message.literals}
        if literals and (missing := [name for name in types if name not in literals]):
            raise ValueError(f"{type(message).__name__} do not hold {', '.join(missing)}")
        return [tree_of(literals[name], declared, self._records.values) for name, declared in types.items() if literals]

    def _declared(self, run: str, number: int, spec: task_definition_pb2.TaskSpec, types: ActionTypes) -> TaskDeclared:
        template = spec.task_template
        settings: dict[str, Any] = {"version": template.id.version} if template.id.version else {}
        if template.metadata.retries.retries:
            settings["retries"] = template.metadata.retries.retries
        if template.metadata.discoverable:
            settings["cache"] = template.metadata.discovery_version
        if uri := bundle_uri(spec):
            settings[CODE_BUNDLE] = uri
        return TaskDeclared(
            run=run,
            task=template.id.name,
            spec=number,
            own_digest="",
            deep_digest="",
            source="",
            inputs=described(types.inputs),
            outputs=described(types.outputs),
            settings=settings,
            types=cloudpickle.dumps(types._asdict()),
            short_name=spec.short_name,
            isolation=self.where,
            isolation_reason=self._reason,
        )


def described(types: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, type as text), in the order of the interface."""
    return [(name, describe_type(declared)) for name, declared in types.items()]
