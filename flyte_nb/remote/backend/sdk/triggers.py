"""The triggers of a backend, for the kernel: as the rows of `flyte_nb.store.rows`, and what is done with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from flyte._initialize import get_client
from flyte.remote import Trigger
from flyte.remote._trigger import TriggerDetails
from flyte.syncify import syncify
from flyteidl2.trigger import trigger_definition_pb2

from flyte_nb.remote.backend.neutral import rebuilt
from flyte_nb.remote.backend.sdk.automations import recorded_automation, recorded_settings
from flyte_nb.store.rows import TriggerRow

__all__ = ["CALLS"]

REQUESTS = 16
"""So many details are fetched at once: a list does not tell the version of the task."""
MOST_TRIGGERS = 1_000


@syncify
async def triggers(task: str | None, version: str | None) -> list[TriggerRow]:
    """The triggers of all tasks or of one, by task and name."""
    found = Trigger.listall.aio(task_name=task, task_version=version if task else None, limit=MOST_TRIGGERS)
    several = asyncio.Semaphore(REQUESTS)

    async def details(task: str, name: str) -> TriggerRow:
        async with several:
            return await _row_of(task, name)

    rows = await asyncio.gather(*[details(one.task_name, one.name) async for one in found])
    return sorted((row for row in rows if version in (None, row.version)), key=lambda row: (row.task, row.name))


@syncify
async def trigger(task: str, name: str) -> TriggerRow:
    """One trigger."""
    return await _row_of(task, name)


def trigger_url(task: str, name: str) -> str:
    """The page of a trigger."""
    details = TriggerDetails.get(name=name, task_name=task)
    place = details.id.name
    console = get_client().console
    return str(
        console.trigger_url(project=place.project, domain=place.domain, task_name=place.task_name, trigger_name=name)
    )


@syncify
async def create_trigger(pickled: bytes, task: str, version: str | None) -> TriggerRow:
    """Adds a trigger, which the kernel translated, to a deployed task."""
    made = await Trigger.create.aio(rebuilt(pickled), task_name=task, task_version=version)
    return await _row_of(task, made.name)


@syncify
async def change_trigger(task: str, name: str, change: str) -> None:
    """Has a trigger `activated`, `deactivated` or `deleted`."""
    if change == "deleted":
        await Trigger.delete.aio(name=name, task_name=task)
    else:
        await Trigger.update.aio(name, task, active=change == "activated")


async def _row_of(task: str, name: str) -> TriggerRow:
    details: trigger_definition_pb2.TriggerDetails = (await TriggerDetails.get.aio(name=name, task_name=task)).pb2
    status, schedule = details.status, details.automation_spec.schedule
    deployed_ns = status.deployed_at.ToNanoseconds()
    return TriggerRow(
        task=details.id.name.task_name or task,
        name=details.id.name.name or name,
        version=details.spec.task_version,
        deployed_ns=deployed_ns,
        is_active=details.spec.active,
        automation=_readable_automation(details),
        description=details.spec.description or details.description,
        time_inputs=[schedule.kickoff_time_input_arg] if schedule.kickoff_time_input_arg else [],
        settings=recorded_settings(details.spec.run_spec, details.spec.inputs.context),
        changed_ns=status.updated_at.ToNanoseconds() or deployed_ns,
        fired_ns=status.triggered_at.ToNanoseconds() if status.HasField("triggered_at") else None,
    )


def _readable_automation(details: trigger_definition_pb2.TriggerDetails) -> dict[str, Any]:
    try:
        return recorded_automation(details.automation_spec)
    except ValueError as error:  # a schedule that the backend knows how to read, and flyte_nb does not
        return {"kind": "elsewhere", "text": str(error)}


CALLS: dict[str, Callable[..., Any]] = {
    "change_trigger": change_trigger,
    "create_trigger": create_trigger,
    "trigger": trigger,
    "trigger_url": trigger_url,
    "triggers": triggers,
}
