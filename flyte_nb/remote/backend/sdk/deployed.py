"""Reads the deployed tasks of a backend for the kernel, as the rows of `flyte_nb.store.rows`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyte.errors import RemoteTaskNotFoundError
from flyte.remote import Task
from flyte.syncify import syncify
from flyte.types import TypeEngine
from flyteidl2.task import task_definition_pb2

from flyte_nb.remote.backend.sdk.interfaces import named_types
from flyte_nb.remote.backend.sdk.values import kernel_value
from flyte_nb.store.rows import DeployedTaskRow
from flyte_nb.types.previews import short_text

__all__ = ["CALLS"]

REQUESTS = 16
"""So many details are fetched at once."""
PLAIN = (type(None), bool, int, float, str)


@syncify
async def deployed_task(task: str, version: str | None) -> DeployedTaskRow:
    """One version of a deployed task, None for the newest."""
    try:
        return await _fetched(task, version)
    except RemoteTaskNotFoundError as error:
        raise KeyError(str(error)) from None


@syncify
async def deployed_versions(tasks: list[str], version: str) -> list[DeployedTaskRow]:
    """Those of the tasks that have this version."""
    return await _all_fetched((task, version) for task in tasks)


@syncify
async def deployed_tasks(
    task: str | None, environment: str | None, newest_first: bool, limit: int
) -> list[DeployedTaskRow]:
    """Versions of deployed tasks."""
    order = ("created_at", "desc" if newest_first else "asc")
    found = Task.listall.aio(by_task_name=task, by_task_env=environment, sort_by=order, limit=limit)
    return await _all_fetched([(one.name, one.version) async for one in found])


@syncify
async def deployed_names(limit: int) -> list[tuple[str, str]]:
    """Names and versions of deployed tasks, newest first, in one list."""
    found = Task.listall.aio(sort_by=("created_at", "desc"), limit=limit)
    return [(one.name, one.version) async for one in found]


async def _all_fetched(names: Iterable[tuple[str, str]]) -> list[DeployedTaskRow]:
    several = asyncio.Semaphore(REQUESTS)

    async def one(task: str, version: str) -> DeployedTaskRow | None:
        async with several:
            try:
                return await _fetched(task, version)
            except RemoteTaskNotFoundError:
                return None
            except ConnectError as error:
                if error.code != Code.NOT_FOUND:
                    raise
                return None

    rows = await asyncio.gather(*(one(*name) for name in names))
    return [row for row in rows if row is not None]


async def _fetched(task: str, version: str | None) -> DeployedTaskRow:
    lazy = Task.get(task, version=version) if version else Task.get(task, auto_version="latest")
    return await _row((await lazy.fetch.aio()).pb2)


async def _row(details: task_definition_pb2.TaskDetails) -> DeployedTaskRow:
    spec, metadata = details.spec, details.metadata
    template = spec.task_template
    requests = {entry.name: entry.value for entry in template.container.resources.requests}
    defaults = {one.name: await _default(one.parameter) for one in spec.default_inputs}
    inputs = named_types(template.interface.inputs.variables)  # the SDK sends them sorted by name
    return DeployedTaskRow(
        task=details.task_id.name,
        version=details.task_id.version,
        deployed_ns=metadata.deployed_at.ToNanoseconds(),
        environment=metadata.environment_name or spec.environment.name,
        code="",
        own_digest=details.task_id.version,
        deep_digest=details.task_id.version,
        inputs=sorted(inputs, key=lambda one: one[0] in defaults),
        outputs=named_types(template.interface.outputs.variables),
        defaults=defaults,
        short_description=spec.documentation.short_description,
        long_description=spec.documentation.long_description,
        input_descriptions={one.key: one.value.description for one in template.interface.inputs.variables},
        image=template.container.image,
        resources={RESOURCES.get(name, str(name)): value for name, value in requests.items()},
        settings={"task_type": template.type, "backend": True},
        short_name=spec.short_name or metadata.short_name,
    )


async def _default(parameter: Any) -> Any:
    """A default as plain data, text where it is none."""
    kind: Any = TypeEngine.guess_python_type(parameter.var.type)
    value = kernel_value(await TypeEngine.to_python_value(parameter.default, kind))
    return value if isinstance(value, PLAIN) else short_text(value)


RESOURCES = {1: "cpu", 2: "gpu", 3: "memory", 5: "disk"}
"""Names of the protocol's kinds of resources."""

CALLS: dict[str, Callable[..., Any]] = {
    "deployed_names": deployed_names,
    "deployed_task": deployed_task,
    "deployed_tasks": deployed_tasks,
    "deployed_versions": deployed_versions,
}
