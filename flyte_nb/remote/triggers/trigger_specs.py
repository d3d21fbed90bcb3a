"""Triggers as they are recorded: `flyte.Trigger` in, `TriggerDeployed` out; and what that says of their runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trigger import (
    Cron,
    FixedRate,
    OnArtifact,
    Trigger,
    TriggeredArtifact,
    TriggeredPartition,
    TriggerTime,
)
from flyte_nb.engine.options import notifications_of
from flyte_nb.engine.session import Session
from flyte_nb.errors import DeploymentError
from flyte_nb.notify import Email, NamedDelivery, NamedRule, Notification, Slack, Teams, Webhook
from flyte_nb.remote.triggers.schedule import due_times
from flyte_nb.store.deployment_events import TriggerDeployed
from flyte_nb.types.signature import signature_of

__all__ = ["automation_of", "automation_text", "run_options", "trigger_of"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands, in recorded inputs, for the time at which a trigger will be due."""
SETTINGS = (
    "labels",
    "annotations",
    "env_vars",
    "custom_context",
    "interruptible",
    "overwrite_cache",
    "queue",
    "max_action_concurrency",
)
"""What a trigger says of its runs, named as `with_runcontext` names it."""
NOTIFICATIONS = "notifications"
"""Beside them: a list of kinds and fields."""
KINDS = {kind.__name__: kind for kind in (Email, NamedDelivery, NamedRule, Slack, Teams, Webhook)}


def trigger_of(active: Session, task: TaskTemplate[Any, Any], trigger: Trigger, at_ns: int) -> TriggerDeployed:
    """A trigger of a task as it is recorded, of no version yet.

    Raises:
        DeploymentError: its inputs do not fit the task, its notifications are none, or it holds the value of a secret.
    """
    given = trigger.inputs or {}
    called = f"Trigger {trigger.name} of task {task.name}"
    unknown = sorted(set(given) - set(task.native_interface.inputs))
    if unknown:
        takes = ", ".join(task.native_interface.inputs) or "no inputs"
        raise DeploymentError(f"{called} gives unknown inputs: {', '.join(unknown)}. {task.name} takes {takes}.")
    times = [name for name, value in given.items() if value is TriggerTime]
    artifacts = [n for n, value in given.items() if value is TriggeredArtifact or isinstance(value, TriggeredPartition)]
    inputs = {name: EPOCH if name in times else value for name, value in given.items() if name not in artifacts}
    payload = b""
    if not artifacts:
        try:
            payload = signature_of(task).pack_inputs((), inputs, active.values)
        except (TypeError, ValueError) as error:
            raise DeploymentError(f"{called} does not fit the task: {error}") from None
    settings = {name: getattr(trigger, name) for name in SETTINGS}
    try:
        settings[NOTIFICATIONS] = [_recorded_notification(one) for one in notifications_of(trigger.notifications)]
    except TypeError as error:
        raise DeploymentError(f"{called}: {error}") from None
    kept = {name: value for name, value in settings.items() if value not in (None, False, {}, [])}
    if active.masker.active and (
        active.masker.is_masked(payload) or active.masker.is_in(msgspec.msgpack.encode([kept, trigger.description]))
    ):
        raise DeploymentError(f"{called} holds the value of a secret, which is never kept: read it in the task.")
    return TriggerDeployed(
        task=task.name,
        name=trigger.name,
        version="",
        at_ns=at_ns,
        is_active=trigger.auto_activate,
        automation=automation_of(trigger.automation),
        description=trigger.description,
        inputs=payload,
        time_inputs=times,
        settings=kept,
    )


def automation_of(automation: Cron | FixedRate | OnArtifact | None) -> dict[str, Any]:
    """An automation as it is recorded.

    Raises:
        ValueError: its times lie outside of the calendar.
    """
    recorded = _automation(automation)
    now = datetime.now(UTC)
    try:
        next(due_times(recorded, now, now), None)
    except (ArithmeticError, LookupError, ValueError) as error:
        raise ValueError(f"{automation} cannot be scheduled: {error}") from error
    return recorded


def _automation(automation: Cron | FixedRate | OnArtifact | None) -> dict[str, Any]:
    match automation:
        case Cron(expression, timezone):
            return {"kind": "cron", "expression": expression, "timezone": timezone}
        case FixedRate(minutes, start):
            start_ns = None if start is None else round(start.timestamp() * 1e9)
            return {"kind": "rate", "interval_minutes": minutes, "start_ns": start_ns}
        case OnArtifact() as artifact:
            partitions = dict(artifact.partitions or {})
            return {"kind": "artifact", "name": artifact.name, "version": artifact.version, "partitions": partitions}
        case _:
            return {"kind": "none"}


def run_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a recorded trigger says of its runs, as `with_runcontext` takes it."""
    options = {name: settings[name] for name in SETTINGS if name in settings}
    recorded = settings.get(NOTIFICATIONS, [])
    if recorded:
        options[NOTIFICATIONS] = tuple(msgspec.convert(one["fields"], KINDS[one["kind"]]) for one in recorded)
    return options


def _recorded_notification(notification: Notification | NamedRule) -> dict[str, Any]:
    """A notification as plain data; raises TypeError for one of a class that another process may not have."""
    kind = type(notification)
    if kind not in KINDS.values():
        raise TypeError(f"its notifications must be of {', '.join(KINDS)}, got {notification!r}")
    return {"kind": kind.__name__, "fields": msgspec.to_builtins(notification)}


def automation_text(automation: dict[str, Any]) -> str:
    """An automation in a line, as Flyte's own list of triggers says it."""
    match automation["kind"]:
        case "cron":
            return f"cron: {automation['expression']} ({automation['timezone']})"
        case "rate":
            minutes, start_ns = automation["interval_minutes"], automation["start_ns"]
            start = "now" if start_ns is None else f"{datetime.fromtimestamp(start_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"
            return f"every {minutes} minute{'s' * (minutes != 1)} starting at {start}"
        case "artifact":
            version = f"@{automation['version']}" if automation["version"] else ""
            return f"on artifact: {automation['name']}{version}"
        case "elsewhere":
            return str(automation["text"])
        case _:
            return "none"
