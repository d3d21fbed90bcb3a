"""Runs of Flyte's own tasks, as long as this server executes them: what each action is and how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flyteidl2.common import identifier_pb2
from flyteidl2.core import execution_pb2, literals_pb2
from flyteidl2.task import run_pb2, task_definition_pb2
from flyteidl2.workflow import state_service_pb2

from flyte_nb.authoring.condition import Answer, ConditionWebhook
from flyte_nb.server.wire.filters import phase_number
from flyte_nb.server.wire.recording import RunOutline
from flyte_nb.server.wire.values.payloads import ActionTypes
from flyte_nb.store.events import ErrorRecord

__all__ = ["Ending", "Family", "SubmittedAction", "SubmittedRun"]

KINDS = {"user": execution_pb2.ExecutionError.USER, "system": execution_pb2.ExecutionError.SYSTEM}


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt, and perhaps its action, ended.

    Attributes:
        phase: in which.
        error: why it did not succeed.
        output_uri: where its outputs are.
        may_be_retried: whether another attempt may do better.
        source: `cache:RUN/ACTION` when the outputs are another's.
        answer: to a condition.
    """

    phase: str
    error: ErrorRecord | None = None
    output_uri: str = ""
    may_be_retried: bool = False
    source: str = ""
    answer: Answer | None = None


@dataclass(slots=True, eq=False)
class Family:
    """A run that a client asked for, with those that its processes have asked for: they share its limits."""

    began: float = field(default_factory=time.monotonic)
    actions: int = 0


@dataclass(slots=True, eq=False)
class SubmittedRun:
    """A run that is being executed.

    Attributes:
        identifier: org, project, domain and name, as its client says them.
        spec: how the client wants it run.
        base: the folder of all it writes.
        family: whose limits it shares.
        asked_by: whose process asked for it; None where a client did.
        ancestors: (task, inputs) of the runs whose processes asked for it, and its own.
        depth: how many levels of actions those have above its root.
        began_ns: when it was asked for.
    """

    identifier: identifier_pb2.RunIdentifier
    spec: run_pb2.RunSpec
    base: Path
    family: Family
    asked_by: SubmittedAction | None = None
    ancestors: tuple[tuple[str, bytes], ...] = ()
    depth: int = 0
    began_ns: int = field(default_factory=time.time_ns)
    outline: RunOutline = field(init=False)
    actions: dict[str, SubmittedAction] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an action begins, or settles which of its children still have to end."""

    def __post_init__(self) -> None:
        self.outline = RunOutline(self.identifier.name)

    @property
    def name(self) -> str:
        return self.outline.name


@dataclass(slots=True, eq=False)
class SubmittedAction:
    """An action of such a run.

    Attributes:
        run: it belongs to.
        name: of the action.
        parent: whose process asked for it; None of the root.
        spec: its task; None of a trace or condition.
        inputs: a file, its inputs.
        cache_key: under which a result is reused; empty for none.
    """

    run: SubmittedRun
    name: str
    parent: SubmittedAction | None
    spec: task_definition_pb2.TaskSpec | None = None
    inputs: str = ""
    cache_key: str = ""
    types: ActionTypes = field(default_factory=lambda: ActionTypes({}, {}))
    attempt: int = 0
    started_ns: int = 0
    phase: str = "queued"
    is_ending: bool = False
    """Nothing more begins below it."""
    abort_reason: str = ""
    conductor: asyncio.Task[None] | None = None
    """Carries it out, to its end."""
    answer: asyncio.Future[Answer] | None = None
    """Of a condition that waits for it."""
    data_type: str = ""
    """Of that answer: bool, int, float or str."""
    timeout_seconds: float | None = None
    """How long it waits for that answer."""
    condition: str = ""
    """The name under which it is asked."""
    webhook: ConditionWebhook | None = None
    """Who is told that it waits."""
    children: list[SubmittedAction] = field(default_factory=list)
    waits_for: int = 0
    """How many children of it, and runs that it has started, have not ended."""
    updates: list[state_service_pb2.ActionUpdate] = field(default_factory=list)
    """What became of its children, in order."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, with every update."""

    @property
    def identifier(self) -> identifier_pb2.ActionIdentifier:
        return identifier_pb2.ActionIdentifier(run=self.run.identifier, name=self.name)

    @property
    def depth(self) -> int:
        """How many levels of actions there are down to it."""
        return self.run.depth + 1 if self.parent is None else self.parent.depth + 1

    def above(self) -> Iterator[SubmittedAction]:
        """The actions that wait for it: its parent, and so on, also of the runs that asked for its own."""
        action: SubmittedAction | None = self
        while action is not None and (action := action.parent or action.run.asked_by) is not None:
            yield action

    def below(self) -> Iterator[SubmittedAction]:
        """It, and all actions below it."""
        waiting = [self]
        while waiting:
            action = waiting.pop()
            waiting += action.children
            yield action

    def stop(self, reason: str) -> None:
        """Ends it at once, unless it is ending already."""
        if self.conductor is not None and not self.is_ending and not self.abort_reason:
            self.abort_reason = reason
            self.conductor.cancel()

    def tell(self, update: state_service_pb2.ActionUpdate) -> None:
        """Tells its process what became of a child."""
        self.updates.append(update)
        self.wake()

    def wake(self) -> None:
        """Lets those who watch its children look again."""
        self.news.set()
        self.news = asyncio.Event()

    def update(self, ending: Ending) -> state_service_pb2.ActionUpdate:
        """What its parent's process is told."""
        update = state_service_pb2.ActionUpdate(
            action_id=self.identifier, phase=phase_number(ending.phase), output_uri=ending.output_uri
        )
        if ending.answer is not None:
            update.value.CopyFrom(
                literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive_of(ending.answer)))
            )
        if ending.error is not None:
            recoverability = execution_pb2.ContainerError
            update.error.CopyFrom(
                execution_pb2.ExecutionError(
                    code=ending.error.code,
                    message=ending.error.message,
                    kind=KINDS.get(ending.error.kind, execution_pb2.ExecutionError.UNKNOWN),
                    recoverability=recoverability.RECOVERABLE
                    if ending.may_be_retried
                    else recoverability.NON_RECOVERABLE,
                )
            )
        return update


def primitive_of(answer: Answer) -> literals_pb2.Primitive:
    """An answer as Flyte's own clients send it."""
    match answer:
        case bool():
            return literals_pb2.Primitive(boolean=answer)
        case int():
            return literals_pb2.Primitive(integer=answer)
        case float():
            return literals_pb2.Primitive(float_value=answer)
        case _:
            return literals_pb2.Primitive(string_value=answer)
