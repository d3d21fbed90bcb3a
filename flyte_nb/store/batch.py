"""Events on their way into the database: gathered as rows, so that a fold costs a few statements, however large.

An action that was queued and ended within the batch becomes one new row. Of an action that was queued before, only
what is new is gathered, and merged into its row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from flyte_nb.store.deployment_events import TaskDeployed, TriggerChanged, TriggerDeployed
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    AttemptStarted,
    ErrorRecord,
    Event,
    LogWritten,
    ReportWritten,
    RunEnded,
    RunLabelled,
    RunStarted,
    TaskDeclared,
)
from flyte_nb.store.value_rows import ValueRow, value_rows

__all__ = ["Batch"]

Row = tuple[Any, ...]


class RunPatch:
    """What a batch says of a run; None where it says nothing."""

    __slots__ = ("actions", "ended_ns", "error", "journal", "phase", "started")

    def __init__(self, started: RunStarted | None, journal: str = "") -> None:
        self.started = started
        self.journal = journal
        self.phase = "running" if started else None
        self.ended_ns: int | None = None
        self.error: str | None = None
        self.actions = 0
        """How many it gained."""

    def row(self) -> Row:
        """The columns of `store.runs`."""
        begun = self.started
        assert begun is not None
        named = (begun.run, self.journal, begun.task, begun.environment, self.phase, begun.at_ns, self.ended_ns)
        described = (json_text(begun.annotations), json_text(begun.options))
        ended = (self.error, self.actions, begun.code)
        return (*named, begun.notebook, begun.cell, begun.parent_run, *described, *ended)


class ActionPatch(msgspec.Struct, gc=False):
    """What a batch says of an action; None where it says nothing."""

    started: ActionStarted | None = None
    attempt: int | None = None
    phase: str = "running"
    started_ns: int | None = None
    ended_ns: int | None = None
    error: str | None = None
    source: str = ""
    note: str = ""
    initializing_ns: int | None = None
    isolation: str | None = None
    outputs: bytes | None = None

    def row(self, run: str, action: str) -> Row:
        """The columns of `store.actions`."""
        begun = self.started
        named: Row = ("", "task", "", -1, 0, "", "", self.started_ns or self.ended_ns or 0)
        inputs = trace_inputs = context = None
        if begun is not None:
            named = (begun.parent, begun.kind, begun.name, begun.spec, begun.sequence)
            named = (*named, begun.group, begun.position, begun.queued_ns)
            inputs, trace_inputs, context = begun.payload, named_types(begun.inputs), json_text(begun.custom_context)
        now = (self.started_ns, self.ended_ns, self.attempt, self.phase, self.error, self.source, self.note)
        values = (inputs, self.outputs, trace_inputs, context)
        return (run, action, *named, *now, self.isolation, *values, self.initializing_ns)


class Batch:
    """The rows that a stretch of journals adds; each list is named after its table in the schema `store`."""

    def __init__(self) -> None:
        self.size = 0
        """How many events it holds."""
        self.runs: dict[str, RunPatch] = {}
        self.labels: list[Row] = []
        self.tasks: list[Row] = []
        self.actions: dict[tuple[str, str], ActionPatch] = {}
        self.attempts: list[Row] = []
        self.action_values: list[ValueRow] = []
        self.logs: list[Row] = []
        self.reports: dict[tuple[str, str], Row] = {}
        """The last of each action."""
        self.deployed_tasks: list[Row] = []
        self.triggers: list[Row] = []
        self.trigger_changes: list[Row] = []
        self._takers: dict[type, Callable[[Any, str], None]] = {
            RunStarted: self._start_run,
            TaskDeclared: self._declare_task,
            ActionStarted: self._start_action,
            AttemptStarted: self._start_attempt,
            AttemptEnded: self._end_attempt,
            ActionEnded: self._end_action,
            LogWritten: self._write_log,
            ReportWritten: self._write_report,
            RunEnded: self._end_run,
            RunLabelled: self._label_run,
            TaskDeployed: self._deploy_task,
            TriggerDeployed: self._deploy_trigger,
            TriggerChanged: self._change_trigger,
        }

    def add(self, event: Event, journal: str) -> None:
        """Takes the next event of a journal."""
        self.size += 1
        self._takers[type(event)](event, journal)

    def new_runs(self) -> list[Row]:
        """Rows of runs that were started within the batch."""
        return [patch.row() for patch in self.runs.values() if patch.started is not None]

    def patched_runs(self) -> list[Row]:
        """Phase, end, error and further actions of runs that were started before, and their names."""
        return [
            (patch.phase, patch.ended_ns, patch.error, patch.actions, run)
            for run, patch in self.runs.items()
            if patch.started is None
        ]

    def new_actions(self) -> list[Row]:
        """Rows of actions that were queued within the batch."""
        return [patch.row(*key) for key, patch in self.actions.items() if patch.started is not None]

    def patched_actions(self) -> list[Row]:
        """Rows, full of gaps, of actions that were queued before."""
        return [patch.row(*key) for key, patch in self.actions.items() if patch.started is None]

    def _start_run(self, event: RunStarted, journal: str) -> None:
        self.runs[event.run] = RunPatch(event, journal)
        self.labels.extend((event.run, event.at_ns, key, value) for key, value in event.labels.items())

    def _declare_task(self, event: TaskDeclared, journal: str) -> None:
        named = (event.run, event.task, event.spec, event.short_name, event.own_digest, event.deep_digest, event.place)
        declared = (named_types(event.inputs), named_types(event.outputs), json_text(event.settings), event.types)
        self.tasks.append((*named, event.source, *declared, event.isolation, event.isolation_reason))

    def _start_action(self, event: ActionStarted, journal: str) -> None:
        self.actions[event.run, event.action] = ActionPatch(event, 1, started_ns=event.queued_ns)
        self._run_patch(event.run).actions += 1
        self.action_values.extend(value_rows(event.run, event.action, "input", event.payload))

    def _start_attempt(self, event: AttemptStarted, journal: str) -> None:
        patch = self._patch(event.run, event.action)
        patch.attempt, patch.phase, patch.started_ns = event.attempt, event.phase, event.at_ns
        patch.isolation = event.where

    def _end_attempt(self, event: AttemptEnded, journal: str) -> None:
        error = json_text(event.error)
        span = (event.started_ns, event.ended_ns)
        self.attempts.append((event.run, event.action, event.attempt, event.phase, *span, error))
        patch = self._patch(event.run, event.action)
        patch.attempt, patch.phase, patch.started_ns, patch.error = event.attempt + 1, "queued", None, error

    def _end_action(self, event: ActionEnded, journal: str) -> None:
        patch = self._patch(event.run, event.action)
        patch.attempt, patch.phase = event.attempt, event.phase
        patch.started_ns, patch.ended_ns = event.started_ns, event.ended_ns
        patch.outputs, patch.error = event.payload, json_text(event.error)
        patch.source, patch.note = event.source, event.note
        patch.isolation = event.where or patch.isolation
        patch.initializing_ns = event.initializing_ns
        if event.payload is not None:
            self.action_values.extend(value_rows(event.run, event.action, "output", event.payload))

    def _write_log(self, event: LogWritten, journal: str) -> None:
        self.logs.append((event.run, event.action, event.attempt, event.at_ns, event.stream, event.text))

    def _write_report(self, event: ReportWritten, journal: str) -> None:
        self.reports[event.run, event.action] = (event.run, event.action, event.attempt, event.at_ns, event.html)

    def _end_run(self, event: RunEnded, journal: str) -> None:
        patch = self._run_patch(event.run)
        patch.phase, patch.ended_ns, patch.error = event.phase, event.at_ns, json_text(event.error)

    def _label_run(self, event: RunLabelled, journal: str) -> None:
        self.labels.extend((event.run, event.at_ns, key, value) for key, value in event.labels.items())

    def _deploy_task(self, event: TaskDeployed, journal: str) -> None:
        named = (event.task, event.version, event.at_ns, event.environment, event.code)
        digests = (event.own_digest, event.deep_digest, named_types(event.inputs), named_types(event.outputs))
        values = (json_text(event.defaults), event.default_values, event.types)
        described = (event.short_description, event.long_description, json_text(event.input_descriptions))
        asked = (event.image, json_text(event.resources), json_text(event.settings), event.depends_on)
        origin = (event.source, event.place, event.notebook, event.short_name, event.wire)
        self.deployed_tasks.append((*named, *digests, *values, *described, *asked, *origin))

    def _deploy_trigger(self, event: TriggerDeployed, journal: str) -> None:
        named = (event.task, event.name, event.version, event.at_ns, event.is_active, json_text(event.automation))
        given = (event.description, event.inputs, event.time_inputs, json_text(event.settings), event.wire)
        self.triggers.append((*named, *given))

    def _change_trigger(self, event: TriggerChanged, journal: str) -> None:
        self.trigger_changes.append(msgspec.structs.astuple(event))

    def _run_patch(self, run: str) -> RunPatch:
        patch = self.runs.get(run)
        if patch is None:
            patch = self.runs[run] = RunPatch(None)
        return patch

    def _patch(self, run: str, action: str) -> ActionPatch:
        patch = self.actions.get((run, action))
        if patch is None:
            patch = self.actions[run, action] = ActionPatch()
        return patch


def named_types(pairs: list[tuple[str, str]] | None) -> list[dict[str, str]] | None:
    """Names and types as the database keeps them."""
    return None if pairs is None else [{"name": name, "type": kind} for name, kind in pairs]


def json_text(value: Any) -> str | None:
    """The value as JSON; what JSON does not know stands as its text."""
    if value is None:
        return None
    if isinstance(value, ErrorRecord):
        value = msgspec.structs.asdict(value)
    return encode_json(value).decode()


encode_json = msgspec.json.Encoder(enc_hook=str).encode
