"""TaskService: deployed tasks listed, looked up, and deployed by Flyte's own client.

What that client deploys is kept as it says it: its TaskSpec is a value of the store, and comes back whole.
"""

from __future__ import annotations

import time
from typing import Any

import cloudpickle
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from flyteidl2.core import interface_pb2
from flyteidl2.task import common_pb2, task_definition_pb2, task_service_pb2
from flyteidl2.task.task_service_connect import TaskService
from flyteidl2.trigger import trigger_definition_pb2

from flyte_nb.server.wire.filters import token_of, wanted_rows
from flyte_nb.server.wire.messages import Scope, task_spec, timestamp
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.services.places import subject
from flyte_nb.server.wire.services.runs import scope_of
from flyte_nb.server.wire.services.triggers import recorded_trigger
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.server.wire.values.literals import literal_of
from flyte_nb.server.wire.values.payloads import types_of
from flyte_nb.server.wire.values.types import python_types, typed_interface
from flyte_nb.store.deployment_events import TaskDeployed, TriggerDeployed
from flyte_nb.store.pages import TASK_FIELDS, Condition, ListedTask, list_deployed_tasks
from flyte_nb.store.rows import DeployedTaskRow
from flyte_nb.types.names import describe_type
from flyte_nb.types.offload import unpack_values

__all__ = ["Tasks", "spec_of"]

Context = RequestContext[Any, Any]


class Tasks(TaskService):
    """The deployed tasks of one store.

    Args:
        records: the store.
        uploads: where clients have put the inputs of triggers.
    """

    def __init__(self, records: Records, uploads: Uploads) -> None:
        self.records = records
        self.uploads = uploads

    async def list_tasks(
        self, request: task_service_pb2.ListTasksRequest, ctx: Context
    ) -> task_service_pb2.ListTasksResponse:
        """Versions of tasks under filters, in an order, a page at a time."""
        wanted = wanted_rows(request.request, TASK_FIELDS)
        known = [_known_condition(one) for one in request.known_filters]
        scope = scope_of(request.project_id)
        page = await self.records.ask(
            list_deployed_tasks, self.records.home, [*wanted.conditions, *known], **wanted.page
        )
        tasks = [
            task_definition_pb2.Task(task_id=scope.task(row.task, row.version), metadata=metadata_of(row))
            for row in page.rows
        ]
        return task_service_pb2.ListTasksResponse(tasks=tasks, token=token_of(page.cursor))

    async def list_versions(
        self, request: task_service_pb2.ListVersionsRequest, ctx: Context
    ) -> task_service_pb2.ListVersionsResponse:
        """The versions of a task."""
        wanted = wanted_rows(request.request, TASK_FIELDS)
        named: Condition = ("task = ?", [request.task_name.name])
        page = await self.records.ask(
            list_deployed_tasks, self.records.home, [named, *wanted.conditions], **wanted.page
        )
        if not page.rows:
            await self.records.ask(self.records.deployments.task, request.task_name.name)  # there is such a task
        versions = [
            task_service_pb2.ListVersionsResponse.VersionResponse(
                version=row.version, deployed_at=timestamp(row.deployed_ns)
            )
            for row in page.rows
        ]
        return task_service_pb2.ListVersionsResponse(versions=versions, token=token_of(page.cursor))

    async def get_task_details(
        self, request: task_service_pb2.GetTaskDetailsRequest, ctx: Context
    ) -> task_service_pb2.GetTaskDetailsResponse:
        """One version of a task, the newest where none is named."""
        scope = scope_of(request.task_id)
        row = await self.records.ask(
            self.records.deployments.task, request.task_id.name, request.task_id.version or None
        )
        details = task_definition_pb2.TaskDetails(
            task_id=scope.task(row.task, row.version),
            metadata=metadata_of(row),
            spec=await self.records.ask(spec_of, self.records, scope, row),
        )
        return task_service_pb2.GetTaskDetailsResponse(details=details)

    async def deploy_task(
        self, request: task_service_pb2.DeployTaskRequest, ctx: Context
    ) -> task_service_pb2.DeployTaskResponse:
        """Records a version of a task with its triggers; one of that name and version must not be there yet."""
        if not request.task_id.name or not request.task_id.version:
            raise ValueError("A task is deployed under a name and a version")
        await self.records.ask(self._deploy, request)
        return task_service_pb2.DeployTaskResponse()

    def _deploy(self, request: task_service_pb2.DeployTaskRequest) -> None:
        name, version, spec = request.task_id.name, request.task_id.version, request.spec
        if self.records.deployments.tasks(name, version=version, limit=1):
            raise ConnectError(Code.ALREADY_EXISTS, f"Task {name} is deployed already as version {version}")
        inputs, outputs = python_types(spec.task_template.interface)
        event = TaskDeployed(
            task=name,
            version=version,
            at_ns=time.time_ns(),
            environment=spec.environment.name or name.partition(".")[0],
            code="",
            own_digest="",
            deep_digest="",
            inputs=[(key, describe_type(declared)) for key, declared in inputs.items()],
            outputs=[(key, describe_type(declared)) for key, declared in outputs.items()],
            defaults={default.name: "..." for default in spec.default_inputs},
            default_values=b"",
            types=cloudpickle.dumps({"inputs": inputs, "outputs": outputs}),
            short_description=spec.documentation.short_description,
            long_description=spec.documentation.long_description,
            image=spec.task_template.container.image,
            short_name=spec.short_name,
            settings={"entrypoint": True} if spec.task_template.metadata.is_entrypoint else {},
            wire=self.records.values.put([spec.SerializeToString(deterministic=True)]),
        )
        triggers = [self._trigger(name, version, trigger) for trigger in request.triggers]
        self.records.deployments.record([event, *triggers])

    def _trigger(self, task: str, version: str, trigger: task_definition_pb2.TaskTrigger) -> TriggerDeployed:
        spec = trigger_definition_pb2.TriggerSpec(
            inputs=self.uploads.inputs(trigger.spec),
            run_spec=trigger.spec.run_spec,
            active=trigger.spec.active,
            task_version=version,
            description=trigger.spec.description,
        )
        deployed = trigger_definition_pb2.TriggerDetails(spec=spec, automation_spec=trigger.automation_spec)
        return recorded_trigger(self.records, self.uploads, task, version, trigger.name, deployed)


def _known_condition(wanted: task_service_pb2.ListTasksRequest.KnownFilter) -> Condition:
    """There is one user, who has deployed all tasks."""
    if wanted.WhichOneof("filter_by") == "is_entrypoint":
        return "is_entrypoint = ?", [wanted.is_entrypoint]
    return "? = ?", [wanted.deployed_by, subject()]


def spec_of(records: Records, scope: Scope, row: DeployedTaskRow) -> task_definition_pb2.TaskSpec:
    """A deployed task as Flyte describes one: as its client said it, or made of what flyte_nb recorded.

    Args:
        records: the store.
        scope: under what the client looks for it.
        row: the task.
    """
    if row.wire:
        return task_definition_pb2.TaskSpec.FromString(bytes(records.values.get(row.wire)[0]))
    types = types_of(row.types)
    interface = typed_interface(*types) if types is not None else interface_pb2.TypedInterface()
    spec = task_spec(scope, row.task, row.version, row.short_name, row.environment, interface, row.settings)
    spec.documentation.short_description = row.short_description
    spec.documentation.long_description = row.long_description
    spec.task_template.container.image = row.image
    for variable in spec.task_template.interface.inputs.variables:
        variable.value.description = row.input_descriptions.get(variable.key, "")
    if types is not None and row.default_values:
        defaulted = [name for name in types.inputs if name in row.defaults]
        trees = unpack_values(row.default_values, records.values)
        for name, tree in zip(defaulted, trees, strict=False):
            declared = types.inputs[name]
            variable = next(one.value for one in interface.inputs.variables if one.key == name)
            parameter = interface_pb2.Parameter(var=variable, default=literal_of(tree, declared, records.values))
            spec.default_inputs.append(common_pb2.NamedParameter(name=name, parameter=parameter))
    return spec


def metadata_of(row: ListedTask | DeployedTaskRow) -> task_definition_pb2.TaskMetadata:
    return task_definition_pb2.TaskMetadata(
        short_name=row.short_name or row.task.rpartition(".")[2],
        deployed_at=timestamp(row.deployed_ns),
        environment_name=row.environment,
        short_description=row.short_description,
    )
