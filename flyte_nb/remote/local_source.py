"""The runs of this project: those of this process while they are in memory, the store's for all others.

Both answer with the rows of `flyte_nb.store.rows`, so nothing above knows which it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from inspect import Parameter
from operator import attrgetter
from typing import Any

import cloudpickle

from flyte_nb.authoring.condition import Answer
from flyte_nb.engine.aborting import abort_action, abort_run
from flyte_nb.engine.action import Action as LiveAction
from flyte_nb.engine.identity import ROOT
from flyte_nb.engine.run import label_run
from flyte_nb.engine.session import current_session
from flyte_nb.engine.state import RunState
from flyte_nb.models import NativeInterface
from flyte_nb.remote.aborting import abort_elsewhere, signal_elsewhere
from flyte_nb.store.deployment_events import TriggerChanged
from flyte_nb.store.deployments import DeploymentEvent, Deployments
from flyte_nb.store.queries import Store
from flyte_nb.store.rows import ActionRow, AttemptRow, DeployedTaskRow, LogRow, OutcomeRow, RunRow, TaskRow, TriggerRow
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blobs
from flyte_nb.types.signature import Signature

__all__ = ["LocalSource", "run_row"]

outcome_of = attrgetter(*OutcomeRow.__struct_fields__)
TASK_FIELDS = tuple(TaskRow.__dataclass_fields__)


class LocalSource:
    """The runs of this project: in memory or in the store."""

    @property
    def store(self) -> Store:
        """The store of the session, or the one found from here; everything recorded so far is in reach."""
        active = current_session()
        if active is None:
            return Store.open()
        active.sink.flush()
        return Store.open(active.home)

    @property
    def address(self) -> str:
        """Where it is, for people and as a key."""
        return str(self.store.home.path)

    @property
    def blobs(self) -> Blobs:
        """Where large values are."""
        active = current_session()
        return active.values if active is not None else ValueStore()

    def shown(self, payload: bytes) -> bytes:
        """The payload to show: without the values of secrets that this process has given to tasks."""
        active = current_session()
        return active.masker.mask_payload(payload) if active is not None and active.masker.active else payload

    def url(self, run: str) -> str:
        """Names a run: store and name."""
        return f"flyte-nb://{self.store.home.path}/{run}"

    def live(self, run: str) -> RunState | None:
        """The run in this process's memory, if it is there."""
        active = current_session()
        return active.runs.get(run) if active is not None else None

    def runs(self, **filters: Any) -> list[RunRow]:
        """Runs, newest first; see `Store.runs`."""
        return self.store.runs(**filters)

    def run(self, name: str) -> RunRow:
        """One run.

        Raises:
            KeyError: there is none of that name; the message names near ones.
        """
        live = self.live(name)
        return run_row(live) if live is not None else self.store.run(name)

    def actions(self, run: str) -> Sequence[ActionRow | LiveAction]:
        """All actions of a run, parents before their children."""
        live = self.live(run)
        return list(live.order) if live is not None else self.store.actions(run)

    def actions_with_inputs(
        self, run: str
    ) -> tuple[Sequence[ActionRow | LiveAction], Mapping[int, Sequence[str]] | None]:
        """The same; and the names of their inputs by task, where they are not those of `tasks`."""
        return self.actions(run), None

    def action_rows(self, run: str) -> list[ActionRow]:
        """The same, as rows that do not change any more."""
        return [action if isinstance(action, ActionRow) else action.row() for action in self.actions(run)]

    def outline(self, run: str) -> list[tuple[str, str, str]]:
        """(action, parent, task) of all actions of a run, parents before their children."""
        live = self.live(run)
        if live is None:
            return self.store.outline(run)
        return [(action.name, action.parent, action.task) for action in list(live.order)]

    def outcomes(self, run: str) -> list[OutcomeRow]:
        """What of each action of a run another run may reuse."""
        live = self.live(run)
        if live is None:
            return self.store.outcomes(run)
        return [OutcomeRow(*outcome_of(action)) for action in list(live.order)]

    def action(self, run: str, action: str) -> ActionRow | LiveAction:
        """One action, by name or an unambiguous beginning of it.

        Raises:
            KeyError: there is none, or more than one.
        """
        live = self.live(run)
        if live is not None and action in live.actions:
            return live.actions[action]
        return self.store.action(run, action)

    def attempts(self, run: str, action: str) -> list[AttemptRow]:
        """The attempts of an action, the present one last."""
        live = self.live(run)
        if live is None:
            return self.store.attempts(run, action)
        row = live.actions[action]
        started = row.started_ns if row.started_ns is not None else row.queued_ns
        return [*(row.attempts or ()), AttemptRow(row.attempt, row.phase, started, row.ended_ns, row.error)]

    def earlier_attempts(self, run: str) -> dict[str, list[AttemptRow]]:
        """The attempts before the last of every action of a recorded run that was retried; a live one's know theirs."""
        return self.store.earlier_attempts(run) if self.live(run) is None else {}

    def logs(self, run: str, action: str | None = None, limit: int | None = None) -> list[LogRow]:
        """What tasks printed, in order; the last `limit` entries."""
        live = self.live(run)
        if live is not None:
            for output in list(live.outputs.values()):
                output.flush()
        return self.store.logs(run, action, limit=limit)

    def report(self, run: str, action: str) -> str | None:
        """The HTML report of an action."""
        live = self.live(run)
        return (
            live.actions[action].report
            if live is not None and action in live.actions
            else self.store.report(run, action)
        )

    def task(self, run: str, spec: int) -> TaskRow | None:
        """A task as it stood in a run."""
        return next((row for row in self.tasks(run) if row.spec == spec), None)

    def tasks(self, run: str) -> list[TaskRow]:
        """The tasks of a run as they stood in it."""
        live = self.live(run)
        if live is None:
            return self.store.tasks(run)
        return [TaskRow(**{name: getattr(declared, name) for name in TASK_FIELDS}) for declared in list(live.declared)]

    def signature(self, run: str, action: ActionRow | LiveAction) -> Signature | None:
        """How the action's values are decoded; None for a trace, or where its types are not to be had: they could not
        be kept, or belong to a module that this process does not find."""
        live = self.live(run)
        if live is not None:
            return next((plan.signature for plan in live.plans.values() if plan.spec == action.spec), None)
        row = self.task(run, action.spec)
        if row is None or not row.types:
            return None
        try:
            types: Mapping[str, Any] = cloudpickle.loads(row.types)
        except (ImportError, AttributeError):
            return None
        inputs = {name: (kind, Parameter.empty) for name, kind in types["inputs"].items()}
        interface = NativeInterface(inputs, dict(types["outputs"]))
        return Signature.compile(interface, row.task)

    def deployed_tasks(self, task: str | None = None, **filters: Any) -> list[DeployedTaskRow]:
        """Versions of deployed tasks, newest first; see `Deployments.tasks`."""
        return self._deployments.tasks(task, **filters)

    def deployed_names(self) -> list[tuple[str, str]]:
        """(task, version) of deployed tasks, newest first."""
        return [(row.task, row.version) for row in self._deployments.tasks()]

    def deployed_versions(self, tasks: Sequence[str], version: str) -> list[DeployedTaskRow]:
        """Those of the tasks that have this version."""
        return [row for row in self._deployments.tasks(version=version) if row.task in tasks]

    def deployed_task(self, task: str, version: str | None = None) -> DeployedTaskRow:
        """One version of a deployed task, None for the newest.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        return self._deployments.task(task, version)

    def triggers(self, task: str | None = None, version: str | None = None) -> list[TriggerRow]:
        """The triggers of deployed tasks."""
        return self._deployments.triggers(task, version)

    def trigger(self, task: str, name: str) -> TriggerRow:
        """One trigger.

        Raises:
            KeyError: there is none; the message names near ones.
        """
        return self._deployments.trigger(task, name)

    def has_fired(self, task: str, name: str, due_ns: int) -> bool:
        """Whether it is recorded that a trigger fired for a time."""
        return self._deployments.has_fired(task, name, due_ns)

    def trigger_url(self, task: str, name: str) -> str:
        """Names a trigger: store, task and trigger."""
        return f"flyte-nb://{self.store.home.path}/tasks/{task}/triggers/{name}"

    def change_trigger(self, task: str, name: str, change: str) -> None:
        """Has a trigger `activated`, `deactivated` or `deleted`."""
        self.deploy([TriggerChanged(task, name, time.time_ns(), change)])

    def deploy(self, events: Sequence[DeploymentEvent]) -> None:
        """Records deployments, or what becomes of triggers: all of it, or nothing."""
        active = current_session()
        if active is None:
            self._deployments.record(events)
        else:
            active.sink.record_together(self._deployments.after_recorded(events))
            active.sink.flush()

    @property
    def _deployments(self) -> Deployments:
        return Deployments(self.store.home)

    def label(self, run: str, labels: Mapping[str, str | None]) -> None:
        """Sets labels of a run; None takes one away."""
        live = self.live(run)
        if live is not None:
            label_run(live, labels)
        else:
            self.store.label(run, labels)

    def abort(self, run: str, reason: str, action: str = ROOT) -> None:
        """Ends a run, or one of its actions, in whichever process it lives; what is over stays as it is.

        Raises:
            KeyError: there is no such run or action.
            ValueError: the run lives on another machine.
            TimeoutError: the process in which it lives does not answer.
        """
        live = self.live(run)
        active = current_session()
        if live is not None and active is not None:
            if live.closed:
                return
            if action == ROOT:
                abort_run(active, live, reason)
            else:
                abort_action(active, live.actions[action], reason)
        else:
            abort_elsewhere(self.store, run, action, reason)

    def signal(self, run: str, action: str, answer: Answer) -> None:
        """Answers a condition, in whichever process its run lives; returns when the answer is recorded.

        Args:
            run: name of the run.
            action: name of the condition's action.
            answer: the answer, or its text as a person writes it.

        Raises:
            KeyError: there is no such run or action.
            ValueError: the answer is not of the condition's type; the condition stays open. Or the run lives on another
                machine.
            flyte_nb.errors.ConditionNotFoundError: the action is no condition, or does not wait any more.
            TimeoutError: the process in which the run lives does not answer.
        """
        live = self.live(run)
        condition = live.conditions.get(action) if live is not None else None
        if condition is None:
            signal_elsewhere(self.store, run, action, answer)
        else:
            condition.signal(answer)
            condition.wait_until_over()


def run_row(run: RunState) -> RunRow:
    """A run in memory as a row."""
    return RunRow(
        run.name,
        run.task,
        run.phase,
        run.started_ns,
        run.ended_ns,
        dict(run.labels),
        dict(run.options.annotations),
        run.notebook,
        run.cell,
        run.parent_run,
        run.environment,
        dict(run.options.recorded),
        run.error,
        len(run.order),
        run.code,
    )
