"""A failed action, ready to be entered again in this process: see `flyte_nb.engine.reentry`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.code.digests import own_digest
from flyte_nb.engine.recorder import ListSink
from flyte_nb.engine.reentry import Caller, Reentry
from flyte_nb.engine.session import session
from flyte_nb.engine.state import RunState
from flyte_nb.models import ActionPhase
from flyte_nb.remote.action import Action
from flyte_nb.remote.repeats.inherited import inherited, with_variables
from flyte_nb.remote.repeats.rerun import masked_inputs
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import tasks_in
from flyte_nb.remote.source import source
from flyte_nb.types.signature import signature_of

__all__ = ["Debugged", "failed_action", "last_failure", "prepare_debug"]

FAILURES = (ActionPhase.FAILED.value, ActionPhase.TIMED_OUT.value)


@dataclass(frozen=True)
class Debugged:
    """An action that is about to be entered again.

    Attributes:
        action: it.
        task: whose function is called: the notebook's while its code is the recorded code, else the recorded one.
        inputs: the recorded ones.
        masked: names of those whose record lacks a secret's value.
        is_changed: the notebook has another task of the name by now.
    """

    action: Action
    task: TaskTemplate[Any, Any]
    inputs: dict[str, Any]
    masked: list[str]
    is_changed: bool

    def enter(self, inputs: Mapping[str, Any], call: Caller) -> Any:
        """Calls its function in this thread; what it called gives what it gave then.

        Args:
            inputs: replace recorded ones.
            call: calls a function, plainly or under a debugger.

        Raises:
            flyte_nb.errors.RuntimeUserError: a secret or an environment variable is found nowhere.
            BaseException: whatever the function raises.
        """
        active, row = session(), source.run(self.action.run_name)
        options = with_variables(inherited(row))
        seen = RunState(row.name, row.task, ListSink(), options, Run(row.name).start_time)
        seen.notebook, seen.cell, seen.masker = row.notebook, row.cell, active.masker
        seen.raw_data_path = options.raw_data_path or str(active.home.path / "data" / row.name)
        reentry = Reentry(seen, source.action_rows(row.name), active.values)
        return reentry.enter(self.action.name, self.task, {**self.inputs, **inputs}, call)


def last_failure() -> Run | None:
    """The newest run that failed; None where none did."""
    rows = source.runs(phase=FAILURES, limit=1)
    return Run(rows[0].name) if rows else None


def failed_action(run: Run) -> Action | None:
    """The action in which a run's error arose: the deepest that ended with it; None when the run did not fail."""
    error, guilty = run.error_info, None
    for action in run.actions():  # parents stand before children, so the last hit of an unbroken chain is the deepest
        own = action.error_info
        same = own is not None and error is not None and (own.code, own.message) == (error.code, error.message)
        parent = guilty.name if guilty is not None else None
        if same and action.phase != ActionPhase.ABORTED and action.parent_name == parent:
            guilty = action
    return guilty


def prepare_debug(action: Action, namespace: Mapping[str, Any]) -> Debugged:
    """What is needed to enter an action again; of a step of a task, that task.

    Args:
        action: the action.
        namespace: the user's names.

    Raises:
        flyte_nb.errors.RuntimeUserError: its code was not recorded, and the notebook has it no more.
        ValueError: the run is at a backend.
    """
    while action.kind != "task":
        action = Action(action.run_name, action.parent_name or "")
    run, row = source.run_here(action.run_name), source.action(action.run_name, action.name)
    declared = source.task(run.name, row.spec)
    present = tasks_in(namespace).get(action.task_name)
    if present is not None and declared is not None and own_digest(present) == declared.own_digest:
        task, is_changed = present, False
    else:
        task, is_changed = session().code.load(run.code, run.name).task(action.task_name), present is not None
    inputs = signature_of(task).decode_inputs(row.inputs, source.blobs)
    return Debugged(action, task, inputs, masked_inputs(run, row), is_changed)
