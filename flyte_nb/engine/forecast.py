"""What a fork will reuse, told before it starts: the recorded tree, seen with the code as it stands.

    recorded actions, root first  ->  the names that they would have now  ->  history.find, as the run will ask it

It takes for granted that each action makes the calls that it made. Where that is open (its own code changed, or what
it waited for runs again) its calls are `likely` reused: they are if their inputs stay as they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.code.digests import deep_digest, own_digest, steps_of
from flyte_nb.engine.history import FINISHED, History, with_ancestors
from flyte_nb.engine.identity import (
    ROOT,
    action_name,
    call_position,
    interface_of,
    root_position,
    task_identity,
    trace_identity,
)
from flyte_nb.engine.secrets.masking import MASKED_NOTE
from flyte_nb.store.rows import ActionRow, TaskRow
from flyte_nb.types.signature import signature_of
from flyte_nb.types.trees import identity_of

__all__ = ["Fate", "Forecast", "Foreseen"]

Fate: TypeAlias = Literal["reused", "likely", "runs", "gone", "inside"]
"""`likely`: reused if it is called with the same inputs; `gone`: its task is not there any more; `inside`: it belongs
to an action that is reused whole."""


class Foreseen(NamedTuple):
    """A recorded action and what will become of it; the reason is empty where it is reused."""

    action: ActionRow
    fate: Fate
    reason: str = ""


class Current:
    """A task as it stands."""

    def __init__(self, task: TaskTemplate[Any, Any]) -> None:
        self.task = task
        self.signature = signature_of(task)
        self.interface = interface_of(self.signature.input_descriptions, self.signature.output_descriptions)
        self.own_digest = own_digest(task)
        self.deep_digest = deep_digest(task)
        self.identity = task_identity(self.interface, self.own_digest)

    @cached_property
    def steps(self) -> dict[str, TaskTemplate[Any, Any] | TraceFunction[Any, Any]]:
        """What its own code calls, by name."""
        return {step.name: step for step in steps_of(self.task)}


class Running(NamedTuple):
    """An action that will run again.

    Attributes:
        task: what it runs.
        position: see `flyte_nb.engine.identity`.
        is_same: its own code is what it was.
        is_sure: it is surely called with the inputs that it had.
    """

    task: Current
    position: bytes
    is_same: bool
    is_sure: bool = True


class Forecast:
    """What becomes of the actions of a run when its task is forked.

    Args:
        task: the task, with the code as it stands.
        others: tasks of the notebook by full name, for those that its code does not name.
        payload: the inputs of the fork.
        history: what the fork may reuse.
        actions: those of the recorded run and of what it took over, parents before their children.
        declared: its tasks.
        forced: names of actions that shall run again.

    Raises:
        KeyError: a forced action is unknown.
    """

    def __init__(
        self,
        task: TaskTemplate[Any, Any],
        others: Mapping[str, TaskTemplate[Any, Any]],
        payload: bytes,
        history: History,
        actions: Sequence[ActionRow],
        declared: Collection[TaskRow],
        forced: Collection[str] = (),
    ) -> None:
        reached = {step.name: step for step in steps_of(task, follow_tasks=True) if isinstance(step, TaskTemplate)}
        self._task = task
        self._payload = payload
        self._tasks = {**others, **reached, task.name: task}
        self._current: dict[str, Current] = {}
        self._recorded = {row.spec: row for row in declared}
        self._forced = set(forced)
        self._containing = with_ancestors(actions, forced)
        self._history = history
        self._children: defaultdict[str, list[ActionRow]] = defaultdict(list)
        for action in actions:
            self._children[action.parent].append(action)
        self._running: dict[str, Running] = {}
        self._fates: dict[str, Foreseen] = {}
        self._foresee_root(actions[0])
        for action in actions:
            if action.name in self._running:
                self._foresee_children(self._children[action.name], self._running[action.name])
            elif action.name not in self._fates:
                is_kept = self._fates[action.parent].fate in ("reused", "likely", "inside")
                self._fates[action.name] = Foreseen(action, "inside" if is_kept else "gone")
        self.actions = [self._fates[action.name] for action in actions]
        """All of them, parents before their children."""

    def current(self, name: str) -> Current | None:
        """The task of a name as it stands."""
        if name not in self._current and name in self._tasks:
            self._current[name] = Current(self._tasks[name])
        return self._current.get(name)

    # ---- From the root down.

    def _foresee_root(self, root: ActionRow) -> None:
        current = Current(self._task)
        has_same_inputs = identity_of(root.inputs) == identity_of(self._payload)
        if root.task != self._task.name:  # it makes calls of its own
            self._fates[ROOT] = Foreseen(root, "runs", f"the run was one of {root.task}")
            return
        if self._history.find_root(current.deep_digest, self._payload) is not None:
            self._fates[ROOT] = Foreseen(root, "reused")
            return
        changed_inputs = "" if has_same_inputs else "its inputs changed"
        reason = self._why_changed(root, current) or changed_inputs or self._why_not_reusable(root)
        self._fates[ROOT] = Foreseen(root, "runs", reason)
        position = root_position(self._task.name)
        self._running[ROOT] = Running(current, position, self._is_same(root, current), has_same_inputs)

    def _foresee_children(self, children: Sequence[ActionRow], parent: Running) -> None:
        equal: defaultdict[tuple[str, bytes, str], list[ActionRow]] = defaultdict(list)
        for action in children:
            equal[action.task, self._counted(action), action.group].append(action)
        for (task, counted, group), calls in equal.items():
            positions = [call_position(parent.position, task, group, at, counted) for at in range(len(calls))]
            identity = self._recorded_identity(calls[0], parent)
            recorded = {action_name(position, identity): position for position in positions}
            for action, fallback in zip(calls, positions, strict=True):
                self._foresee(action, recorded.get(action.name, fallback), parent)
        self._mark_likely(children, parent)

    def _foresee(self, action: ActionRow, position: bytes, parent: Running) -> None:
        if action.kind == "trace":
            self._fates[action.name] = self._foresee_trace(action, position, parent)
            return
        if action.kind == "condition":
            answered = self._history.find_trace(action.name) is not None
            reason = self._why_not_reusable(action) or "it was not answered"
            self._fates[action.name] = Foreseen(action, "reused") if answered else Foreseen(action, "runs", reason)
            return
        current = self.current(action.task)
        if current is None:
            self._fates[action.name] = Foreseen(action, "gone", "there is no such task any more")
        elif self._history.find(action_name(position, current.identity), current.deep_digest) is not None:
            self._fates[action.name] = Foreseen(action, "reused")
        else:
            reason = self._why_changed(action, current) or self._why_not_reusable(action) or "its place changed"
            self._fates[action.name] = Foreseen(action, "runs", reason)
            self._running[action.name] = Running(current, position, self._is_same(action, current))

    def _foresee_trace(self, action: ActionRow, position: bytes, parent: Running) -> Foreseen:
        """A step of a traced function; while the code of its task is the same, so is its own."""
        identity = self._trace_identity(action, parent)
        if identity is None and not parent.is_same:
            return Foreseen(action, "gone", "its task does not name it any more")
        name = action.name if identity is None else action_name(position, identity)
        if self._history.find_trace(name) is not None:
            return Foreseen(action, "reused")
        return Foreseen(action, "runs", self._why_not_reusable(action) or "its code changed")

    def _mark_likely(self, children: Sequence[ActionRow], parent: Running) -> None:
        """What waited for something that runs again may get other inputs; all calls may, where the code changed."""
        ends = [one.ended_ns for one in children if self._fates[one.name].fate == "runs" and one.ended_ns is not None]
        first_end = min(ends, default=None)
        for action in children:
            is_later = first_end is not None and action.queued_ns >= first_end
            if parent.is_sure and parent.is_same and not is_later:
                continue
            if self._fates[action.name].fate == "reused":
                self._fates[action.name] = Foreseen(action, "likely")
            elif action.name in self._running:
                self._running[action.name] = self._running[action.name]._replace(is_sure=False)

    # ---- Names and reasons.

    def _counted(self, action: ActionRow) -> bytes:
        """What counts of its inputs."""
        current = self.current(action.task) if action.kind == "task" else None
        return identity_of(action.inputs) if current is None else current.signature.identity(action.inputs)

    def _recorded_identity(self, action: ActionRow, parent: Running) -> bytes:
        """What the recorded code adds to the action's name; of a trace's code nothing is recorded, so the present's."""
        row = self._recorded.get(action.spec)
        if row is None:
            return self._trace_identity(action, parent) or b""
        return task_identity(interface_of(row.inputs, row.outputs), row.own_digest)

    def _trace_identity(self, action: ActionRow, parent: Running) -> bytes | None:
        function = parent.task.steps.get(action.task)
        return trace_identity(own_digest(function)) if isinstance(function, TraceFunction) else None

    def _is_same(self, action: ActionRow, current: Current) -> bool:
        """Whether the own code of its task is what it was."""
        row = self._recorded.get(action.spec)
        return row is not None and row.own_digest == current.own_digest

    def _why_changed(self, action: ActionRow, current: Current) -> str:
        """What of the action's code changed; empty where it is the same."""
        row = self._recorded.get(action.spec)
        if row is not None and interface_of(row.inputs, row.outputs) != current.interface:
            return "its inputs or outputs are declared otherwise"
        if row is not None and row.own_digest != current.own_digest:
            return "its code changed"
        if row is not None and row.deep_digest != current.deep_digest:
            changed = self._changed_below(current)
            return f"code that it reaches changed: {', '.join(changed)}" if changed else "code that it reaches changed"
        return ""

    def _why_not_reusable(self, action: ActionRow) -> str:
        if action.name in self._forced:
            return "forced"
        if action.name in self._containing:
            return "it contains what is forced"
        if action.phase not in FINISHED:
            return {"failed": "it failed", "timed_out": "it timed out"}.get(action.phase, "it had not finished")
        return "its result holds a secret" if MASKED_NOTE in action.note else ""

    def _changed_below(self, current: Current) -> list[str]:
        """Names of the changed tasks that a task reaches."""
        before = {row.task: row.own_digest for row in self._recorded.values()}
        changed = []
        for step in steps_of(current.task, follow_tasks=True):
            below = self.current(step.name) if isinstance(step, TaskTemplate) else None
            if below is not None and before.get(step.name, below.own_digest) != below.own_digest:
                changed.append(step.name)
        return sorted(set(changed))
