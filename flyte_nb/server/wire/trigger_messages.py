"""Triggers as Flyte's messages, and Flyte's messages as triggers that can be recorded.

    TriggerRow  --details_of-->  TriggerDetails  --event_of-->  TriggerDeployed
                --request_of-->  CreateRunRequest    the run that it starts

What Flyte's own client deployed is kept as it says it, with its inputs as literals: `TriggerRow.wire` names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flyteidl2.common import identifier_pb2
from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2, run_pb2
from flyteidl2.trigger import trigger_definition_pb2
from flyteidl2.workflow import run_service_pb2

from flyte_nb.remote.backend.sdk.automations import KICKOFF, recorded_automation, recorded_settings
from flyte_nb.remote.triggers.trigger_runs import LABEL, due_labels
from flyte_nb.server.wire.messages import Scope, timestamp
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.values.payloads import named_literals, types_of
from flyte_nb.store.deployment_events import TriggerDeployed
from flyte_nb.store.pages import ListedTrigger
from flyte_nb.store.rows import TriggerRow

__all__ = ["details_of", "event_of", "listed_trigger", "request_as_trigger", "request_of"]


def name_of(scope: Scope, task: str, name: str) -> identifier_pb2.TriggerName:
    """How a client names a trigger."""
    return identifier_pb2.TriggerName(
        org=scope.org, project=scope.project, domain=scope.domain, task_name=task, name=name
    )


def listed_trigger(scope: Scope, row: ListedTrigger) -> trigger_definition_pb2.Trigger:
    """A trigger as a list shows it."""
    return trigger_definition_pb2.Trigger(
        id=identifier_pb2.TriggerIdentifier(name=name_of(scope, row.task, row.name)),
        status=_status(row),
        active=row.is_active,
        automation_spec=_automation_spec(json.loads(row.automation), row.time_inputs),
    )


def details_of(records: Records, scope: Scope, row: TriggerRow) -> trigger_definition_pb2.TriggerDetails:
    """All that is known of a trigger: as Flyte's client said it, or made of what flyte_nb recorded.

    Args:
        records: the store.
        scope: under what the client looks for it.
        row: the trigger.
    """
    if row.wire:
        wire = bytes(records.values.get(row.wire)[0])
        details = trigger_definition_pb2.TriggerDetails.FromString(wire)
    else:
        details = trigger_definition_pb2.TriggerDetails(
            spec=trigger_definition_pb2.TriggerSpec(run_spec=_run_spec(row.settings)),
            automation_spec=_automation_spec(row.automation, row.time_inputs),
        )
        details.spec.inputs.CopyFrom(_recorded_inputs(records, row))
    details.id.name.CopyFrom(name_of(scope, row.task, row.name))
    details.status.CopyFrom(_status(row))
    details.spec.active, details.spec.task_version = row.is_active, row.version
    details.description = details.spec.description = row.description
    return details


def event_of(
    task: str, version: str, name: str, deployed: trigger_definition_pb2.TriggerDetails, wire: str, at_ns: int
) -> TriggerDeployed:
    """A trigger of Flyte's own client as it is recorded.

    Args:
        task: full name of its task.
        version: of the task.
        name: of the trigger.
        deployed: what the client said; its inputs are literals.
        wire: digest of the value that holds the same.
        at_ns: when it was deployed.

    Raises:
        ValueError: there is no such schedule.
    """
    spec, schedule = deployed.spec, deployed.automation_spec.schedule
    return TriggerDeployed(
        task=task,
        name=name,
        version=version,
        at_ns=at_ns,
        is_active=spec.active,
        automation=recorded_automation(deployed.automation_spec),
        description=spec.description or deployed.description,
        time_inputs=[schedule.kickoff_time_input_arg] if schedule.kickoff_time_input_arg else [],
        settings=recorded_settings(spec.run_spec, spec.inputs.context),
        wire=wire,
    )


def request_of(records: Records, scope: Scope, row: TriggerRow, due: datetime) -> run_service_pb2.CreateRunRequest:
    """What a client would ask for to have the run that a trigger starts.

    Args:
        records: the store.
        scope: of the run.
        row: the trigger.
        due: the time at which it was due.
    """
    spec = details_of(records, scope, row).spec
    request = run_service_pb2.CreateRunRequest(
        project_id=identifier_pb2.ProjectIdentifier(organization=scope.org, name=scope.project, domain=scope.domain),
        task_id=scope.task(row.task, row.version),
        inputs=kicked_off(spec.inputs, row.time_inputs, due),
        run_spec=spec.run_spec,
    )
    request.run_spec.labels.values.update(due_labels(row.name, due))
    request.run_spec.run_start_time.FromDatetime(due)
    return request


def request_as_trigger(
    request: run_service_pb2.CreateRunRequest, row: TriggerRow, inputs: common_pb2.Inputs, now: datetime
) -> run_service_pb2.CreateRunRequest:
    """What a client asks for that fires a trigger by hand, as a run of the trigger's task.

    Args:
        request: names the trigger.
        row: the trigger.
        inputs: of the run, as the client wants them.
        now: what counts as the time at which it was due.
    """
    name = request.trigger_name
    asked = run_service_pb2.CreateRunRequest()
    asked.CopyFrom(request)
    asked.task_id.CopyFrom(Scope(name.org, name.project, name.domain).task(row.task, row.version))
    asked.inputs.CopyFrom(kicked_off(inputs, row.time_inputs, now))
    asked.run_spec.labels.values[LABEL] = row.name
    return asked


def kicked_off(inputs: common_pb2.Inputs, time_inputs: Sequence[str], due: datetime) -> common_pb2.Inputs:
    """The inputs of one run, with the time at which it was due: where their context says so, and where they are given
    none that a trigger gives the time."""
    named = {pair.value for pair in inputs.context if pair.key == KICKOFF}
    given = {one.name for one in inputs.literals} - named
    made = common_pb2.Inputs(
        literals=[one for one in inputs.literals if one.name in given],
        context=[pair for pair in inputs.context if pair.key != KICKOFF],
    )
    for name in sorted(named.union(time_inputs) - given):
        made.literals.add(name=name).value.scalar.primitive.datetime.FromDatetime(due)
    return made


def _recorded_inputs(records: Records, row: TriggerRow) -> common_pb2.Inputs:
    task = records.deployments.task(row.task, row.version)
    types = types_of(task.types)
    inputs = common_pb2.Inputs(
        context=[
            literals_pb2.KeyValuePair(key=key, value=value)
            for key, value in (row.settings.get("custom_context") or {}).items()
        ]
    )
    if row.time_inputs:
        inputs.context.add(key=KICKOFF, value=row.time_inputs[0])
    if types is not None and row.inputs:
        named = named_literals(types.inputs, row.inputs, records.values)
        inputs.literals.extend(one for one in named if one.name not in row.time_inputs)
    return inputs


def _status(row: TriggerRow | ListedTrigger) -> trigger_definition_pb2.TriggerStatus:
    status = trigger_definition_pb2.TriggerStatus(
        deployed_at=timestamp(row.deployed_ns), updated_at=timestamp(row.changed_ns)
    )
    if row.fired_ns is not None:
        status.triggered_at.CopyFrom(timestamp(row.fired_ns))
    return status


def _automation_spec(automation: Mapping[str, Any], time_inputs: list[str]) -> common_pb2.TriggerAutomationSpec:
    spec = common_pb2.TriggerAutomationSpec(type=common_pb2.TYPE_SCHEDULE)
    match automation["kind"]:
        case "cron":
            spec.schedule.cron.expression = automation["expression"]
            spec.schedule.cron.timezone = automation["timezone"]
        case "rate":
            spec.schedule.rate.value = automation["interval_minutes"]
            spec.schedule.rate.unit = common_pb2.FIXED_RATE_UNIT_MINUTE
            if automation["start_ns"] is not None:
                spec.schedule.rate.start_time.CopyFrom(timestamp(automation["start_ns"]))
        case "artifact":
            artifact = common_pb2.ArtifactTrigger(
                artifact_name=automation["name"],
                version=automation["version"] or "",
                partitions=automation["partitions"],
            )
            return common_pb2.TriggerAutomationSpec(type=common_pb2.TYPE_ARTIFACT, artifact=artifact)
        case _:
            return common_pb2.TriggerAutomationSpec(type=common_pb2.TYPE_NONE)
    if time_inputs:
        spec.schedule.kickoff_time_input_arg = time_inputs[0]
    return spec


def _run_spec(settings: Mapping[str, Any]) -> run_pb2.RunSpec:
    """What a trigger says of its runs, see `flyte_nb.remote.triggers.trigger_specs`, as Flyte says it."""
    spec = run_pb2.RunSpec(
        overwrite_cache=bool(settings.get("overwrite_cache")),
        queue=settings.get("queue") or "",
        max_action_concurrency=settings.get("max_action_concurrency") or 0,
    )
    spec.labels.values.update(settings.get("labels") or {})
    spec.annotations.values.update(settings.get("annotations") or {})
    for key, value in (settings.get("env_vars") or {}).items():
        spec.envs.values.add(key=key, value=value)
    if settings.get("interruptible") is not None:
        spec.interruptible.value = settings["interruptible"]
    return spec
