"""`flyte.deploy`: environments, with those they depend on, recorded in the store as versions of their tasks.

plan        one deployment for each environment that is given, and all that it depends on
version     a digest of code, interfaces, settings and triggers, so that the same again changes nothing
record      the code of each task, as runs keep theirs; then all tasks and triggers together, or none
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import msgspec

from flyte_nb.authoring.environment import Environment, TaskEnvironment
from flyte_nb.authoring.image import Image
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.code.digests import deep_digest, own_digest, steps_of
from flyte_nb.engine.declarations import pickled_types, place_of_task, settings_of, source_of, text_of
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.parts import Part
from flyte_nb.engine.session import Session, session
from flyte_nb.errors import DeploymentError
from flyte_nb.executors.worker.namespace import whole
from flyte_nb.interface import NativeInterface
from flyte_nb.remote.calls import blocking
from flyte_nb.remote.deploying.deployment import DeployedTask, DeployedTaskEnvironment, Deployment
from flyte_nb.remote.launch import COPY_STYLES
from flyte_nb.remote.origins import origin_of_call
from flyte_nb.remote.source import source
from flyte_nb.remote.triggers.trigger_specs import trigger_of
from flyte_nb.store.deployment_events import TaskDeployed, TriggerDeployed
from flyte_nb.store.deployments import DeploymentEvent
from flyte_nb.store.rows import DeployedTaskRow, TriggerRow
from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.previews import short_text
from flyte_nb.types.signature import Signature, signature_of

__all__ = ["deploy", "plan_deploy"]

logger = logging.getLogger("flyte")

CopyStyle = Literal["loaded_modules", "all", "none", "custom"]
Plan = dict[str, TaskEnvironment]
"""The environments of one deployment, by name."""
OF_RESOURCES = ("image", "resources")
"""Settings that stand in columns of their own."""


@blocking
def deploy(
    *envs: Environment,
    dry_run: bool = False,
    version: str | None = None,
    interactive_mode: bool | None = None,
    copy_style: CopyStyle = "loaded_modules",
    dryrun: bool | None = None,
) -> list[Deployment]:
    """Deploys environments, and those that they depend on, to this project's store; no cluster is needed.

    A task is deployed with the code that it reaches, as a run records it: cells and the user's own modules, by value.
    Deployed tasks are fetched with `flyte.remote.Task.get` in any notebook of the store, and called or run.

    Args:
        envs: the environments.
        dry_run: only say what would be deployed.
        version: of all their tasks; a digest of what is deployed unless given. Where a task has this version already,
            it stays as it is, and a warning says so if its code is another.
        interactive_mode: accepted as Flyte's: code is recorded by value from notebooks and files alike.
        copy_style: accepted as Flyte's, for the same reason; `none` needs a version.
        dryrun: Flyte's former name of `dry_run`.

    Returns:
        One deployment for each environment that was given and that no other one depends on.

    Raises:
        TypeError: something is not an environment, or the version is no text.
        ValueError: two environments have the same name, the version is empty, or there is no such copy style.
        flyte_nb.errors.DeploymentError: the code of a task, a default or a trigger cannot be recorded, or
            `copy_style="none"` without a version.
    """
    if dryrun is not None:
        warnings.warn("flyte.deploy(dryrun=...) is deprecated, use flyte.deploy(dry_run=...)", FutureWarning, 3)
        dry_run = dry_run or dryrun
    if copy_style not in COPY_STYLES:
        raise ValueError(f"copy_style must be one of {', '.join(COPY_STYLES)}, got {copy_style!r}")
    if copy_style == "none" and not version:
        raise DeploymentError("Version must be set when copy_style is none")
    if version is not None and not isinstance(version, str):
        raise TypeError(f"version must be a text, got {short_text(version)}")
    if version is not None and not version.strip():
        raise ValueError(f"version must not be empty, got {version!r}; leave it out for a digest of the code")
    active = session()
    return [_Deploying(active, plan, version, dry_run).deployment() for plan in plan_deploy(*envs)]


def plan_deploy(*envs: Environment) -> list[Plan]:
    """What is deployed together: each environment with all that it depends on.

    Raises:
        TypeError: something is not an environment.
        ValueError: two environments have the same name.
    """
    plans: list[Plan] = []
    planned: Plan = {}
    for env in envs:
        if planned.get(getattr(env, "name", ""), None) is env:
            continue
        plan: Plan = {}
        _discover(env, plan)
        for name, found in plan.items():
            _check_name(planned.get(name, found), found)
        _check_calls(plan)
        plans = [earlier for earlier in plans if next(iter(earlier)) not in plan]
        plans.append(plan)
        planned.update(plan)
    return plans


def _discover(env: Environment, plan: Plan) -> None:
    if not isinstance(env, TaskEnvironment):
        raise TypeError(f"flyte.deploy takes environments of tasks (flyte.TaskEnvironment), got {short_text(env)}")
    if env.name in plan:
        _check_name(plan[env.name], env)
        return
    plan[env.name] = env
    for dependency in env.depends_on:
        _discover(dependency, plan)


def _check_calls(plan: Plan) -> None:
    """Refuses tasks that call one of an environment of the same name that was declared since."""
    for task in [task for env in plan.values() for task in env.tasks.values()]:
        for step in steps_of(task):
            called = step.parent_env() if isinstance(step, TaskTemplate) and step.parent_env is not None else None
            if called is not None:
                _check_name(plan.get(called.name, called), called)


def _check_name(known: TaskEnvironment, env: TaskEnvironment) -> None:
    if known is not env:
        raise ValueError(
            f"Duplicate environment name '{env.name}' found. Each TaskEnvironment must have a unique name. If a cell "
            "declared it again, run the cells that use it again, too."
        )


class _Deploying:
    """One plan on its way into the store.

    Args:
        active: where code and values are kept.
        plan: the environments.
        version: of all tasks; None for a digest.
        is_dry_run: nothing is recorded.
    """

    def __init__(self, active: Session, plan: Plan, version: str | None, is_dry_run: bool) -> None:
        self._active = active
        self._plan = plan
        self._is_dry_run = is_dry_run
        self._at_ns = time.time_ns()
        self._notebook = origin_of_call()[0]
        self._events: list[DeploymentEvent] = []
        tasks = [task for env in plan.values() for task in env.tasks.values()]
        self._triggers = {task: [self._trigger(task, trigger) for trigger in task.triggers] for task in tasks}
        self._is_digest = version is None
        self._version = version or self._digest(tasks)
        self._known = {row.task: row for row in source.deployed_versions([task.name for task in tasks], self._version)}
        self._known_triggers = source.triggers(version=self._version) if self._known else []

    def deployment(self) -> Deployment:
        """Deploys it."""
        envs = {
            name: DeployedTaskEnvironment(env, [self._deployed(env, task) for task in env.tasks.values()])
            for name, env in self._plan.items()
        }
        if self._events and not self._is_dry_run:
            self._record()
        if self._is_digest:
            self._compare_with_latest()
        return Deployment(envs)

    def _compare_with_latest(self) -> None:
        """Warns where this code is there already, but other code was deployed since."""
        known = next(iter(self._known.values()), None)
        latest = source.deployed_task(known.task).version if known is not None else self._version
        if known is not None and latest != self._version:
            logger.warning(
                "Version %s of %s was deployed before, and version %s since, which stays the latest. Name the version "
                "where it is called, or deploy it under another one: flyte.deploy(..., version=...).",
                self._version,
                known.task,
                latest,
            )

    def _record(self) -> None:
        if source.backend is None:
            source.deploy(self._events)
        else:
            source.backend.deploy(list(self._plan.values()), self._version, dry_run=False)

    def _deployed(self, env: TaskEnvironment, task: TaskTemplate[Any, Any]) -> DeployedTask:
        known = self._known.get(task.name)
        if known is not None:
            triggers = [row for row in self._known_triggers if row.task == task.name]
            return DeployedTask(known, triggers, self._compared(known, task))
        event = self._task_event(env, task)
        declared = [msgspec.structs.replace(trigger, version=self._version) for trigger in self._triggers[task]]
        self._events += [event, *declared]
        rows = [TriggerRow(**_row_of(trigger), changed_ns=trigger.at_ns) for trigger in declared]
        return DeployedTask(DeployedTaskRow(**_row_of(event)), rows, "dry run" if self._is_dry_run else "deployed")

    def _compared(self, known: DeployedTaskRow, task: TaskTemplate[Any, Any]) -> str:
        if known.settings.get("backend"):  # it tells no digests; a version that is one says the same
            return "unchanged" if known.version == self._digest([*self._triggers]) else "kept"
        if (known.own_digest, known.deep_digest) == (own_digest(task), deep_digest(task)):
            return "unchanged"
        logger.warning(
            "Task %s has a version %s already, with other code: that one stays, as a version never changes. Deploy "
            "under another version, or leave it out for a digest of the code.",
            known.task,
            known.version,
        )
        return "kept"

    def _digest(self, tasks: Sequence[TaskTemplate[Any, Any]]) -> str:
        """Names what is deployed: equal in every kernel where it is the same."""
        said: list[Part] = [
            [
                task.name,
                own_digest(task),
                deep_digest(task),
                msgspec.msgpack.encode([signature_of(task).input_descriptions, signature_of(task).output_descriptions]),
                msgspec.msgpack.encode([sorted(settings_of(task).items()), task.short_name, _docs_of(task)]),
                msgspec.msgpack.encode([msgspec.structs.replace(one, at_ns=0) for one in self._triggers[task]]),
            ]
            for task in sorted(tasks, key=lambda task: task.name)
        ]
        depends: list[Part] = [
            [name, sorted(one.name for one in env.depends_on)] for name, env in sorted(self._plan.items())
        ]
        return hash_struct("Deployment", said, depends).hex()

    def _task_event(self, env: TaskEnvironment, task: TaskTemplate[Any, Any]) -> TaskDeployed:
        signature = signature_of(task)
        settings = settings_of(task)
        image = task.image
        short_description, long_description, input_descriptions = _docs_of(task)
        defaults = {
            name: default for name, (_, default) in task.native_interface.inputs.items() if name in task_defaults(task)
        }
        return TaskDeployed(
            task=task.name,
            version=self._version,
            at_ns=self._at_ns,
            environment=env.name,
            code=self._kept_code(task),
            own_digest=own_digest(task),
            deep_digest=deep_digest(task),
            inputs=signature.input_descriptions,
            outputs=signature.output_descriptions,
            defaults={name: plain(default) for name, default in defaults.items()},
            default_values=self._encoded_defaults(task, defaults),
            types=pickled_types(task),
            short_description=short_description,
            long_description=long_description,
            input_descriptions=input_descriptions,
            image=(text_of(image) or image.uri) if isinstance(image, Image) else image or "",
            resources=_resources(task),
            settings={name: value for name, value in settings.items() if name not in OF_RESOURCES},
            depends_on=[dependency.name for dependency in env.depends_on],
            source=source_of(whole(task)),
            place=place_of_task(whole(task)),
            notebook=self._notebook,
            short_name=task.short_name,
        )

    def _kept_code(self, task: TaskTemplate[Any, Any]) -> str:
        try:
            return self._active.code.keep_deployed(task, self._is_dry_run or source.backend is not None)
        except TypeTransformerFailedError as error:
            raise DeploymentError(f"Task {task.name} cannot be deployed: {error}") from None

    def _encoded_defaults(self, task: TaskTemplate[Any, Any], defaults: Mapping[str, Any]) -> bytes:
        interface = NativeInterface({name: task.native_interface.inputs[name] for name in defaults}, {})
        try:
            return Signature.compile(interface, task.name).pack_inputs((), {}, self._active.values)
        except TypeError as error:
            raise DeploymentError(f"Task {task.name} cannot be deployed, a default does not fit: {error}") from None

    def _trigger(self, task: TaskTemplate[Any, Any], trigger: Any) -> TriggerDeployed:
        return trigger_of(self._active, task, trigger, self._at_ns)


def _docs_of(task: TaskTemplate[Any, Any]) -> tuple[str, str, dict[str, str]]:
    """What it says of itself, in short and at length, and of its inputs."""
    docs = task.native_interface.docstring
    short = task.docs.description if task.docs else docs and docs.short_description
    return short or "", (docs and docs.long_description) or "", dict(docs.input_descriptions) if docs else {}


def task_defaults(task: TaskTemplate[Any, Any]) -> tuple[str, ...]:
    """Names of the inputs that need not be given."""
    required = task.native_interface.required_inputs()
    return tuple(name for name in task.native_interface.inputs if name not in required)


def plain(value: Any) -> Any:
    """The value where JSON has a word for it, else a text that shows it."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value)) if _is_plain(value) else short_text(value)
    except (TypeError, ValueError):  # a number or text that JSON cannot hold
        return short_text(value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _resources(task: TaskTemplate[Any, Any]) -> dict[str, Any]:
    if task.resources is None:
        return {}
    given = {field.name: getattr(task.resources, field.name) for field in fields(task.resources)}
    shown = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    return {name: value if _is_plain(value) else str(value) for name, value in shown.items() if value is not None}


def _row_of(event: TaskDeployed | TriggerDeployed) -> dict[str, Any]:
    """The fields of the row that a recorded event becomes."""
    row = msgspec.structs.asdict(event)
    row["deployed_ns"] = row.pop("at_ns")
    return row
