"""TriggerService: the triggers of deployed tasks, those of flyte_nb and those that Flyte's own client deploys."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.common import identifier_pb2
from flyteidl2.trigger import trigger_definition_pb2, trigger_service_pb2
from flyteidl2.trigger.trigger_service_connect import TriggerService

from flyte_nb.server.wire.filters import token_of, wanted_rows
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.services.runs import scope_of
from flyte_nb.server.wire.trigger_messages import details_of, event_of, listed_trigger
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.store.deployment_events import TriggerChanged, TriggerDeployed
from flyte_nb.store.pages import TRIGGER_FIELDS, Condition, list_triggers
from flyte_nb.store.rows import DeployedTaskRow, TriggerRow

__all__ = ["Triggers", "recorded_trigger"]

Context = RequestContext[Any, Any]


class Triggers(TriggerService):
    """The triggers of one store.

    Args:
        records: the store.
        uploads: where clients have put the inputs.
    """

    def __init__(self, records: Records, uploads: Uploads) -> None:
        self.records = records
        self.uploads = uploads

    async def deploy_trigger(
        self, request: trigger_service_pb2.DeployTriggerRequest, ctx: Context
    ) -> trigger_service_pb2.DeployTriggerResponse:
        """Adds a trigger to a deployed task; one of that name is replaced."""
        await self.records.ask(self._deploy, request)
        details = await self._details(request.name)
        return trigger_service_pb2.DeployTriggerResponse(trigger=details)

    async def get_trigger_details(
        self, request: trigger_service_pb2.GetTriggerDetailsRequest, ctx: Context
    ) -> trigger_service_pb2.GetTriggerDetailsResponse:
        """One trigger."""
        return trigger_service_pb2.GetTriggerDetailsResponse(trigger=await self._details(request.name))

    async def list_triggers(
        self, request: trigger_service_pb2.ListTriggersRequest, ctx: Context
    ) -> trigger_service_pb2.ListTriggersResponse:
        """Triggers of the project or of a task, under filters, in an order, a page at a time."""
        wanted = wanted_rows(request.request, TRIGGER_FIELDS)
        kind = request.WhichOneof("scope_by")
        named: list[Condition] = []
        if kind in ("task_id", "task_name"):
            named.append(("task = ?", [getattr(request, kind).name]))
        if kind == "task_id" and request.task_id.version:
            named.append(("version = ?", [request.task_id.version]))
        page = await self.records.ask(list_triggers, self.records.home, [*named, *wanted.conditions], **wanted.page)
        scope = scope_of(getattr(request, kind or "project_id") if kind != "org" else request.project_id)
        triggers = [listed_trigger(scope, row) for row in page.rows]
        return trigger_service_pb2.ListTriggersResponse(triggers=triggers, token=token_of(page.cursor))

    async def update_triggers(
        self, request: trigger_service_pb2.UpdateTriggersRequest, ctx: Context
    ) -> trigger_service_pb2.UpdateTriggersResponse:
        """Pauses or resumes triggers: all that are named, or none."""
        await self.records.ask(self._change, request.names, "activated" if request.active else "deactivated")
        return trigger_service_pb2.UpdateTriggersResponse()

    async def delete_triggers(
        self, request: trigger_service_pb2.DeleteTriggersRequest, ctx: Context
    ) -> trigger_service_pb2.DeleteTriggersResponse:
        """Deletes triggers, all that are named, or none; their runs stay."""
        await self.records.ask(self._change, request.names, "deleted")
        return trigger_service_pb2.DeleteTriggersResponse()

    async def _details(self, name: identifier_pb2.TriggerName) -> trigger_definition_pb2.TriggerDetails:
        row = await self.records.ask(self.records.deployments.trigger, name.task_name, name.name)
        return await self.records.ask(details_of, self.records, scope_of(name), row)

    def _deploy(self, request: trigger_service_pb2.DeployTriggerRequest) -> None:
        name = request.name
        task = self.records.deployments.task(name.task_name, request.spec.task_version or None)
        deployed = trigger_definition_pb2.TriggerDetails(spec=request.spec, automation_spec=request.automation_spec)
        event = recorded_trigger(self.records, self.uploads, task.task, task.version, name.name, deployed)
        _check_inputs(deployed.spec, name.name, task)
        self.records.deployments.record([event])

    def _change(self, names: Sequence[identifier_pb2.TriggerName], change: str) -> None:
        at_ns = time.time_ns()
        rows = [self.records.deployments.trigger(name.task_name, name.name) for name in names]
        events = [TriggerChanged(row.task, row.name, at_ns, change) for row in rows if _is_other(row, change)]
        if events:
            self.records.deployments.record(events)


def recorded_trigger(
    records: Records,
    uploads: Uploads,
    task: str,
    version: str,
    name: str,
    deployed: trigger_definition_pb2.TriggerDetails,
) -> TriggerDeployed:
    """What a client deploys, kept as a value, and the event that records it.

    Args:
        records: the store.
        uploads: where the client has put the inputs.
        task: full name of the task.
        version: of the task.
        name: of the trigger.
        deployed: what the client says; its inputs become literals.

    Raises:
        ValueError: it has no name, there is no such schedule, or its inputs cannot be read.
        FileNotFoundError: its inputs were not uploaded.
    """
    if not name:
        raise ValueError(f"A trigger of task {task} has no name: set its name")
    deployed.spec.inputs.CopyFrom(uploads.inputs(deployed.spec))
    wire = records.values.put([deployed.SerializeToString(deterministic=True)])
    return event_of(task, version, name, deployed, wire, time.time_ns())


def _check_inputs(spec: trigger_definition_pb2.TriggerSpec, name: str, task: DeployedTaskRow) -> None:
    taken = [key for key, _ in task.inputs]
    if unknown := sorted({one.name for one in spec.inputs.literals}.difference(taken)):
        takes = ", ".join(taken) or "no inputs"
        raise ValueError(f"Trigger {name} gives unknown inputs: {', '.join(unknown)}. {task.task} takes {takes}.")


def _is_other(row: TriggerRow, change: str) -> bool:
    """Whether a change changes anything."""
    return change == "deleted" or row.is_active != (change == "activated")
