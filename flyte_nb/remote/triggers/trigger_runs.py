"""The run that a trigger starts: its version of the task, with its inputs and settings, under labels that name it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.session import session
from flyte_nb.errors import RemoteTaskUsageError
from flyte_nb.remote.deploying.deployed import find, load
from flyte_nb.remote.source import source
from flyte_nb.remote.triggers.trigger_specs import run_options
from flyte_nb.store.rows import TriggerRow
from flyte_nb.types.signature import signature_of

__all__ = ["LABEL", "TIME_LABEL", "TriggerRun", "due_labels", "run_by_hand", "run_when_due"]

LABEL = "trigger"
"""By which runs say which trigger started them."""
TIME_LABEL = "trigger_time"
"""By which they say when it was due, where it was not fired by hand."""
TIME_FORMAT = "%Y%m%dT%H%M%S.%fZ"
"""In characters that a cluster allows in labels."""
MERGED = ("labels", "annotations", "env_vars", "custom_context")
"""Options that hold several, each of which whoever fires the trigger by hand may replace."""


class TriggerRun(NamedTuple):
    """What makes a run of a trigger.

    Attributes:
        task: the version of the task that the trigger names.
        inputs: of the task, by name.
        options: as `with_runcontext` takes them.
    """

    task: TaskTemplate[Any, Any]
    inputs: dict[str, Any]
    options: dict[str, Any]


def run_when_due(row: TriggerRow, due: datetime) -> TriggerRun:
    """The run of a trigger that was due at a time.

    Raises:
        flyte_nb.errors.RuntimeUserError: the task or its code is gone.
        ValueError, TypeError: the recorded inputs do not fit.
    """
    run = _run_of(row, due)
    run.options["labels"] |= due_labels(row.name, due)
    return run


def run_by_hand(
    row: TriggerRow, args: tuple[Any, ...], inputs: Mapping[str, Any], asked: Mapping[str, Any]
) -> TriggerRun:
    """The run of a trigger that is fired by hand, now.

    Args:
        row: the trigger.
        args: none: what is left out keeps the value that the trigger has.
        inputs: in place of the trigger's, by name.
        asked: of `with_runcontext`; goes before what the trigger says of its runs.

    Raises:
        ValueError: inputs by position, or ones that the task does not take.
        RemoteTaskUsageError: a backend is connected, whose triggers fire there; or Flyte's own client deployed the
            trigger.
        flyte_nb.errors.RuntimeUserError: the task or its code is gone.
    """
    refuse_positions(row.name, args)
    if source.backend is not None:
        raise RemoteTaskUsageError(
            f"Trigger {row.name} of task {row.task} fires at {source.backend.endpoint}, which is connected: leave "
            "mode='local' out, and call flyte.run(trigger) outside of tasks."
        )
    if row.wire:
        raise RemoteTaskUsageError(
            f"Trigger {row.name} of task {row.task} was deployed by Flyte's own client: it fires in a server that "
            "executes (flyte-nb serve --execute). Connect to that first: flyte.init(endpoint=...)."
        )
    run = _run_of(row, datetime.now(UTC))
    takes = run.task.native_interface.inputs
    if unknown := ", ".join(sorted(set(inputs) - set(takes))):
        known = ", ".join(takes) or "no inputs"
        raise ValueError(f"Trigger {row.name} is given unknown inputs: {unknown}. {row.task} takes {known}.")
    options = {**run.options, **asked}
    options |= {name: {**run.options[name], **(asked.get(name) or {})} for name in MERGED if name in run.options}
    options["labels"][LABEL] = row.name
    return TriggerRun(run.task, {**run.inputs, **inputs}, options)


def refuse_positions(trigger: str, args: tuple[Any, ...]) -> None:
    """Raises ValueError where inputs of a trigger's run are given by position."""
    if args:
        raise ValueError(
            f"Inputs of trigger {trigger} are given by name, flyte.run(trigger, x=1), got {args!r} by position: what "
            "is left out keeps the value that the trigger has"
        )


def due_labels(trigger: str, due: datetime) -> dict[str, str]:
    """The labels by which the run of a trigger's time is known."""
    return {LABEL: trigger, TIME_LABEL: due.astimezone(UTC).strftime(TIME_FORMAT)}


def _run_of(row: TriggerRow, at: datetime) -> TriggerRun:
    task = load(find(row.task, row.version))
    inputs = signature_of(task).decode_inputs(row.inputs, session().values) if row.inputs else {}
    inputs.update(dict.fromkeys(row.time_inputs, at))
    options = run_options(row.settings)
    options["labels"] = {**options.get("labels", {}), LABEL: row.name}
    return TriggerRun(task, inputs, options)
