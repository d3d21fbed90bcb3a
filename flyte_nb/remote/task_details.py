"""A deployed task in hand: what it takes and says about itself, called in a run, or with other settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from inspect import Parameter
from typing import Any, cast

import cloudpickle

from flyte_nb.authoring.cache import Cache, cache_from_request
from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.map import deployed_task
from flyte_nb.authoring.resources import Resources
from flyte_nb.authoring.retry import RetryStrategy
from flyte_nb.authoring.secret import Secret, SecretRequest
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.timeout import TimeoutType
from flyte_nb.errors import RemoteTaskUsageError
from flyte_nb.executors.worker import namespace
from flyte_nb.models import NativeInterface
from flyte_nb.remote.calls import blocking_method
from flyte_nb.remote.deploying.deployed import (
    AutoVersion,
    DeployedVersion,
    calling_scope,
    check_project,
    digest_name,
    find,
    load,
)
from flyte_nb.remote.recorded_values import plain_values
from flyte_nb.remote.source import source
from flyte_nb.store.rows import DeployedTaskRow
from flyte_nb.types.previews import short_text
from flyte_nb.types.signature import Signature

__all__ = ["Bundle", "LazyEntity", "TaskDetails", "lazy_task", "renderers", "task_of"]

Bundle = tuple[Mapping[str, Any], Mapping[str, Any]]
renderers: list[Callable[[TaskDetails | LazyEntity], Bundle]] = []
"""Who draws a deployed task in a notebook: the notebook room puts itself here."""


@dataclass(frozen=True)
class TaskDetails(DeployedVersion):
    """A version of a deployed task: what it takes, returns and says about itself. Awaiting a call of it runs it.

    Attributes:
        row: what is recorded of it.
        changes: what `override` changed.
    """

    row: DeployedTaskRow
    changes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def get(
        cls,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersion | None = None,
    ) -> LazyEntity:
        """See `flyte_nb.remote.task.Task.get`."""
        return lazy_task(name, project, domain, version, auto_version)

    @classmethod
    async def fetch(
        cls,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersion | None = None,
    ) -> TaskDetails:
        """See `flyte_nb.remote.task.Task.get` and `LazyEntity.fetch`."""
        return await lazy_task(name, project, domain, version, auto_version).fetch.aio()

    @property
    def short_name(self) -> str:
        """What the explorer calls it."""
        return str(self.changes.get("short_name") or self.row.short_name)

    @property
    def environment(self) -> str:
        """The name of its environment."""
        return self.row.environment

    @property
    def docs(self) -> str:
        """What it says about itself."""
        return "\n\n".join(filter(None, (self.row.short_description, self.row.long_description)))

    @property
    def source(self) -> str:
        """The text of its function."""
        return self.row.source

    @property
    def signature(self) -> str:
        """It with its inputs and outputs: `train.fit(depth: int = 3) -> float`."""
        defaults = self._default_texts()
        inputs = [f"{n}: {kind}" + (f" = {defaults[n]}" if n in defaults else "") for n, kind in self.row.inputs]
        outputs = ", ".join(kind for _, kind in self.row.outputs)
        returns = f"tuple[{outputs}]" if len(self.row.outputs) > 1 else outputs or "None"
        return f"{self.name}({', '.join(inputs)}) -> {returns}"

    def _default_texts(self) -> dict[str, str]:
        """The defaults as they are written; no type of the task's has to be there for it."""
        said = self.row.defaults
        values = plain_values(self.row.default_values) if self.row.default_values else list(said.values())
        kept = dict(zip(said, values, strict=False))
        return {n: short_text(text) if kept.get(n) == text else str(text) for n, text in said.items()}

    @property
    def task_type(self) -> str:
        """Which kind of task it is."""
        return str(self.row.settings.get("task_type", "python"))

    @property
    def default_input_args(self) -> tuple[str, ...]:
        """Names of the inputs that have a default."""
        return tuple(name for name, _ in self.row.inputs if name in self.row.defaults)

    @property
    def required_args(self) -> tuple[str, ...]:
        """Names of the inputs that must be given."""
        return tuple(name for name, _ in self.row.inputs if name not in self.row.defaults)

    @cached_property
    def interface(self) -> NativeInterface:
        """What it takes and returns, as Python types, with the defaults' values."""
        try:
            types = cloudpickle.loads(self.row.types) if self.row.types else None
        except (ImportError, AttributeError):  # its module is only there while its code is loaded
            types = None
        if types is None:
            return self.template.native_interface
        taken: dict[str, Any] = types["inputs"]
        optional = {name: (taken[name], Parameter.empty) for name in self.default_input_args}
        signature = Signature.compile(NativeInterface(optional, {}), self.name)
        defaults = signature.decode_inputs(self.row.default_values, source.blobs) if optional else {}
        inputs = {name: (kind, defaults.get(name, Parameter.empty)) for name, kind in taken.items()}
        return NativeInterface(inputs, dict(types["outputs"]))

    @property
    def cache(self) -> Cache:
        """When an earlier result may stand for a new one."""
        return cache_from_request(self.template.cache)

    @property
    def secrets(self) -> list[str]:
        """The keys of the secrets that it is given."""
        asked = self.template.secrets or []
        several = asked if isinstance(asked, list) else [asked]
        return [secret.key if isinstance(secret, Secret) else str(secret) for secret in several]

    @property
    def resources(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What it asks for, and the most that it may use: quantities by name."""
        changed = self.changes.get("resources")
        asked = {k: v for k, v in vars(changed).items() if v is not None} if changed is not None else self.row.resources
        pairs = {name: value if isinstance(value, list | tuple) else (value, value) for name, value in asked.items()}
        return {name: low for name, (low, _) in pairs.items()}, {name: high for name, (_, high) in pairs.items()}

    @property
    def max_inline_io_bytes(self) -> int:
        """How large inputs and outputs may be that do not go by file, on a cluster."""
        return self.template.max_inline_io_bytes

    @property
    def queue(self) -> str | None:
        """Where it waits for its turn on a cluster, if that was overridden."""
        return self.changes.get("queue")

    @property
    def overridden(self) -> bool:
        """Whether it has other settings than were deployed."""
        return bool(self.changes)

    @property
    def template(self) -> TaskTemplate[Any, Any]:
        """The task itself, with the deployed code.

        Raises:
            flyte_nb.errors.RuntimeUserError: its code cannot be loaded in this process; the message says why.
        """
        deployed = load(self.row)
        if not self.changes:
            return deployed
        of, changed = vars(self).get("_changed", (None, None))
        if of is not deployed:  # the same object as long as it is the same task: a run looks at it once
            changed = deployed.override(**self.changes)
            vars(self)["_changed"] = deployed, changed
        return cast(TaskTemplate[Any, Any], changed)

    def override(
        self,
        *,
        short_name: str | None = None,
        resources: Resources | None = None,
        retries: int | RetryStrategy = 0,
        timeout: TimeoutType | None = None,
        env_vars: dict[str, str] | None = None,
        secrets: SecretRequest | None = None,
        service_account: str | None = None,
        max_inline_io_bytes: int | None = None,
        cache: Cache | None = None,
        queue: str | None = None,
        produces_artifacts: bool | None = None,
        **kwargs: Any,
    ) -> TaskDetails:
        """The same task with other settings, see `TaskTemplate.override`; what is None or 0 stays as it was deployed.

        Raises:
            RemoteTaskUsageError: for anything else.
            ValueError: a cache that is neither `disable` nor `override` with a version: a deployed task's code is
                digested when it is deployed.
        """
        if kwargs:
            raise RemoteTaskUsageError(
                f"RemoteTasks [{self.name}] do not support overriding with kwargs: {kwargs}, "
                "Check the parameters for override method."
            )
        if cache is not None and cache.behavior != "disable":
            if cache.behavior != "override":
                raise ValueError("cache.behavior must be 'disable' or 'override' for remote tasks")
            if not cache.version_override:
                raise ValueError("cache.version_override must be set when cache.behavior is 'override'")
        given = {
            "short_name": short_name,
            "resources": resources,
            "retries": retries,
            "timeout": timeout,
            "env_vars": env_vars,
            "secrets": secrets,
            "service_account": service_account,
            "max_inline_io_bytes": max_inline_io_bytes,
            "cache": cache,
            "queue": queue,
        }
        changes = {name: value for name, value in given.items() if value}
        if produces_artifacts is not None:
            changes["produces_artifacts"] = produces_artifacts
        return TaskDetails(self.row, {**self.changes, **changes})

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs it as a child action of the running task, with the deployed code.

        Raises:
            RemoteTaskUsageError: inputs by position, as in Flyte; or no task is running.
            ValueError, TypeError: the inputs do not fit.
        """
        scope = calling_scope(self.name, args)
        return await scope.controller.submit(scope, self._callable_template(), (), kwargs)

    def _callable_template(self) -> TaskTemplate[Any, Any]:
        if not namespace.is_worker():
            return self.template
        known = namespace.deployed(self.name, self.version)
        return known.override(**self.changes) if self.changes else known

    def to_dict(self) -> dict[str, Any]:
        """What is recorded of it, but for its code and types."""
        row = asdict(self.row)
        return {name: value for name, value in row.items() if not isinstance(value, bytes) and name not in ("wire",)}

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict())

    @property
    def __name__(self) -> str:
        """Names it in the digests of code that reads it."""
        return digest_name(self.name, self.version, self.changes)

    def __reduce__(self) -> tuple[Any, ...]:
        return TaskDetails, (self.row, self.changes)

    def __repr__(self) -> str:
        head = f"{self.signature}  version {self.version}, deployed {self.deployed_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{head}\n{self.docs}" if self.docs else head

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        return drawn(self)


@dataclass(frozen=True)
class LazyEntity:
    """A deployed task that is looked up when it is first called or fetched. What `flyte.remote.Task.get` returns.

    Attributes:
        name: its full name.
        version: None for the one that `auto_version` says.
        changes: what `override` changed.
    """

    name: str
    version: str | None = None
    auto_version: AutoVersion | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    @blocking_method
    def fetch(self, /) -> TaskDetails:
        """Looks it up.

        Raises:
            RemoteTaskNotFoundError: there is none of that name and version; the message names near ones.
        """
        return TaskDetails(find(self.name, self.version, self.auto_version), self.changes)

    @property
    def template(self) -> TaskTemplate[Any, Any]:
        """The task itself, see `TaskDetails.template`."""
        return self.fetch().template

    @blocking_method
    def override(self, /, **changes: Any) -> LazyEntity:
        """The same task with other settings, see `TaskDetails.override`."""
        changed = self.fetch().override(**changes)
        return LazyEntity(self.name, self.version, self.auto_version, changed.changes)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs it as a child action of the running task; see `TaskDetails.__call__`."""
        scope = calling_scope(self.name, args)
        template = await asyncio.to_thread(self._callable_template)
        return await scope.controller.submit(scope, template, (), kwargs)

    def _callable_template(self) -> TaskTemplate[Any, Any]:
        if not namespace.is_worker():
            return self.fetch().template
        scope = current_scope.get()
        version = self.version
        if version is None and self.auto_version == "current" and scope is not None:
            version = scope.controller.task_context(scope).version or None
        known = namespace.deployed(self.name, version or "")
        return known.override(**self.changes) if self.changes else known

    @property
    def __name__(self) -> str:
        """Names it in the digests of code that reads it."""
        return digest_name(self.name, self.version or str(self.auto_version), self.changes)

    def __repr__(self) -> str:
        return f"Future for task with name {self.name}"

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        return drawn(self)


def drawn(task: TaskDetails | LazyEntity) -> Bundle:
    """A deployed task as a notebook shows it; as text where nobody draws it."""
    for render in renderers:
        return render(task)
    return {"text/plain": repr(task)}, {}


def lazy_task(
    name: str, project: str | None, domain: str | None, version: str | None, auto_version: AutoVersion | None
) -> LazyEntity:
    """See `flyte_nb.remote.task.Task.get`."""
    for word, given in (("name", name), ("version", version or "")):
        if not isinstance(given, str):
            raise TypeError(f"Task.get takes a text for {word}, got {short_text(given)}")
    if version is None and auto_version is None:
        raise ValueError(f"Either version or auto_version must be provided: Task.get({name!r}, auto_version='latest')")
    if version is None and auto_version not in ("latest", "current"):
        raise ValueError(f"auto_version must be either 'latest' or 'current', got {auto_version!r}")
    check_project(project, domain)
    return LazyEntity(name, version, auto_version)


def called_task(given: Any) -> TaskTemplate[Any, Any] | None:
    """The task of a deployed one, as running code calls it; None for anything else.

    Raises:
        RemoteTaskUsageError: no task is running.
        RemoteTaskNotFoundError: there is none of that name and version; the message names near ones.
    """
    if not isinstance(given, LazyEntity | TaskDetails):
        return None
    calling_scope(given.name, ())
    return given._callable_template()


deployed_task.append(called_task)


def task_of(given: Any) -> Any:
    """The task of a deployed one, loaded; whatever else is given as it is."""
    if isinstance(given, LazyEntity):
        given = given.fetch()
    return given.template if isinstance(given, TaskDetails) else given
