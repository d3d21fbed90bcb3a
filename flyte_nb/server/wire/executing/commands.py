"""What the process of one attempt of a task of Flyte's own is told: its container's command, in places of this server.

    FOLDER/runs/RUN/inputs.pb                  what the root received
    FOLDER/runs/RUN/ACTION/ATTEMPT/outputs.pb  what it returned; error.pb, report.html beside
                                  /raw         files that its values name
                                  /work        its code, and what it leaves where it runs: values may name that, too

FOLDER is that of uploads: so clients find what their runs wrote as they find what they have put.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flyteidl2.common import identifier_pb2
from flyteidl2.core import security_pb2
from flyteidl2.task import task_definition_pb2

from flyte_nb.authoring.secret import MOUNT_PATH, Secret, secrets_from_request
from flyte_nb.engine.secrets.values import variable_of
from flyte_nb.errors import RuntimeUserError

__all__ = ["Command", "check_executable", "secrets_of"]

ENTRY = "a0"
"""What every container of a Python task calls, from Flyte's SDK."""
RUNNABLE = ("python", "actor")
"""Types of tasks that a process can run; one of a reusable environment (actor) has a process for each attempt."""
SOMEWHERE = "flyte"
"""Organization, project and domain of a run that names none: the SDK insists on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a process is to do.

    Attributes:
        action: whose attempt it is.
        attempt: which, from 1.
        spec: the action's task.
        inputs: a file, Flyte's `Inputs`.
        base: the folder of the run.
        raw: under which files go that values name.
        began_ns: when the run was asked for.
        variables: environment variables of the run and its secrets, beside those of the task.
        address: by which the process calls this server back.
    """

    action: identifier_pb2.ActionIdentifier
    attempt: int
    spec: task_definition_pb2.TaskSpec
    inputs: str
    base: Path
    raw: str
    began_ns: int
    variables: Mapping[str, str]
    address: str

    @property
    def folder(self) -> Path:
        """Where the attempt writes."""
        return self.base.joinpath(self.action.name, str(self.attempt))

    @property
    def work(self) -> Path:
        """Where it runs."""
        return self.folder / "work"

    def arguments(self) -> list[str]:
        """The container's arguments with this attempt's places in them."""
        began = datetime.fromtimestamp(self.began_ns / 1e9, UTC).isoformat()
        places = {
            "{{.input}}": self.inputs,
            "{{.outputPrefix}}": str(self.folder),
            "{{.runName}}": self.action.run.name,
            "{{.actionName}}": self.action.name,
            "{{.rawOutputDataPrefix}}": self.raw or str(self.folder / "raw"),
            "{{.checkpointOutputPrefix}}": str(self.folder / "checkpoint"),
            "{{.prevCheckpointPrefix}}": self._last_checkpoint(),
            "{{.runStartTime}}": began,
        }
        arguments = list(self.spec.task_template.container.args)
        for number, argument in enumerate(arguments):
            for place, value in places.items():
                argument = argument.replace(place, value)
            arguments[number] = "." if number and arguments[number - 1] == "--dest" else argument
        return arguments

    def environment(self) -> dict[str, str]:
        """The process's variables beside those that all have: the task's, the run's, ours."""
        run = self.action.run
        return {
            **{one.key: one.value for one in self.spec.task_template.container.env},
            **self.variables,
            "ACTION_NAME": self.action.name,
            "RUN_NAME": run.name,
            "FLYTE_INTERNAL_EXECUTION_PROJECT": run.project or SOMEWHERE,
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": run.domain or SOMEWHERE,
            "_U_ORG_NAME": run.org or SOMEWHERE,
            "_U_RUN_BASE": str(self.base),
            "_U_EP_OVERRIDE": self.address,
            "_U_INSECURE": "true",  # plain HTTP, without a token: the address itself says who calls
            "_U_USE_ACTIONS": "1",
        }

    def _last_checkpoint(self) -> str:
        before = self.base.joinpath(self.action.name, str(self.attempt - 1), "checkpoint")
        return str(before) if before.exists() else ""


def check_executable(spec: task_definition_pb2.TaskSpec) -> None:
    """Whether a task can be executed here.

    Raises:
        ValueError: it cannot.
    """
    template = spec.task_template
    arguments = template.container.args
    if template.type in RUNNABLE and template.WhichOneof("target") is None:
        raise ValueError(
            f"The code of task {template.id.name} is in the store, not in what a client sends along: call the task "
            "once it is deployed (flyte.deploy of flyte_nb), or repeat its run where the store is (flyte-nb rerun)"
        )
    if template.type not in RUNNABLE or not arguments or arguments[0] != ENTRY:
        kind = "in a pod" if template.WhichOneof("target") == "k8s_pod" else f"of type {template.type!r}"
        raise ValueError(
            f"Task {template.id.name} ({kind}) is not executed here: this server runs Python functions, each in a "
            "process of its own; it has no containers, pods and plugins"
        )
    try:
        for secret in secrets_from_request(secrets_of(spec)):
            variable_of(secret)
    except RuntimeUserError as error:
        raise ValueError(f"Task {template.id.name} is not executed here. {error}") from error


def secrets_of(spec: task_definition_pb2.TaskSpec) -> list[str | Secret]:
    """The secrets that a task asks for; those that it wants as files only have no variable."""
    return [
        Secret(
            key=one.key,
            group=one.group or None,
            mount=Path(MOUNT_PATH) if one.mount_requirement == security_pb2.Secret.FILE else None,
            as_env_var=one.env_var or None,
        )
        for one in spec.task_template.security_context.secrets
    ]
