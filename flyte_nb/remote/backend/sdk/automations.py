"""When a trigger fires and what its runs are given, in Flyte's messages: as flyte_nb records it.

The server reads what clients deploy by the same words, so this module knows the messages and not the official SDK.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2, run_pb2

from flyte_nb.authoring.trigger import Cron, FixedRate, OnArtifact
from flyte_nb.remote.triggers.trigger_specs import automation_of

__all__ = ["KICKOFF", "recorded_automation", "recorded_settings"]

KICKOFF = "_u_kickoff_time_input_arg"
"""Where the context of inputs names, as Flyte's SDK does, the one that is given the time at which a trigger was due."""
MINUTES = {
    common_pb2.FIXED_RATE_UNIT_MINUTE: 1,
    common_pb2.FIXED_RATE_UNIT_HOUR: 60,
    common_pb2.FIXED_RATE_UNIT_DAY: 24 * 60,
}


def recorded_automation(spec: common_pb2.TriggerAutomationSpec) -> dict[str, Any]:
    """When a trigger fires, as `flyte_nb.store.deployment_events.TriggerDeployed` says it.

    Raises:
        ValueError: there is no such schedule.
    """
    return automation_of(_automation(spec))


def recorded_settings(run: run_pb2.RunSpec, context: Iterable[literals_pb2.KeyValuePair]) -> dict[str, Any]:
    """What a trigger, or a client, says of a run, named as `with_runcontext` names it.

    Args:
        run: how it is to be run.
        context: of its inputs.
    """
    settings = {
        "labels": dict(run.labels.values),
        "annotations": dict(run.annotations.values),
        "env_vars": {pair.key: pair.value for pair in run.envs.values},
        "custom_context": {pair.key: pair.value for pair in context if pair.key != KICKOFF},
        "interruptible": run.interruptible.value if run.HasField("interruptible") else None,
        "overwrite_cache": run.overwrite_cache,
        "queue": run.queue or None,
        "max_action_concurrency": run.max_action_concurrency or None,
    }
    return {name: value for name, value in settings.items() if value not in (None, False, {})}


def _automation(spec: common_pb2.TriggerAutomationSpec) -> Cron | FixedRate | OnArtifact | None:
    if spec.type == common_pb2.TYPE_ARTIFACT:
        artifact = spec.artifact
        return OnArtifact(artifact.artifact_name, artifact.version or None, dict(artifact.partitions) or None)
    if spec.type != common_pb2.TYPE_SCHEDULE:
        return None
    schedule = spec.schedule
    match schedule.WhichOneof("expression"):
        case "cron":
            return Cron(schedule.cron.expression, schedule.cron.timezone or "UTC")
        case "cron_expression":
            return Cron(schedule.cron_expression)
        case "rate":
            rate = schedule.rate
            start = rate.start_time.ToDatetime(UTC) if rate.HasField("start_time") else None
            return FixedRate(rate.value * MINUTES.get(rate.unit, 1), start)
        case _:
            raise ValueError("A schedule takes a cron expression or a fixed rate: this one has neither")
