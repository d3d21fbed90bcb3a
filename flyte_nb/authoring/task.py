"""A task: a function with everything that was declared about it.

    task(...), task.aio(...)    inside a run    -> a child action, through the controller of the current scope
                                outside         -> the plain function
    task.forward(...)                           -> the plain function, always
    task.override(...)                          -> another task; this one never changes

An async task's call gives an awaitable, a sync task's call blocks; `.aio` of either gives an awaitable.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from flyte_nb.authoring.cache import Cache, CacheRequest, cache_from_request
from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.documentation import Documentation
from flyte_nb.authoring.group import ctx
from flyte_nb.authoring.image import Image
from flyte_nb.authoring.link import Link
from flyte_nb.authoring.plugins import TaskPluginRegistry
from flyte_nb.authoring.pod_template import PodTemplate
from flyte_nb.authoring.resources import Resources
from flyte_nb.authoring.retry import RetryStrategy
from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.authoring.secret import SecretRequest
from flyte_nb.authoring.timeout import TimeoutType
from flyte_nb.authoring.trigger import Trigger
from flyte_nb.errors import TraceDoesNotAllowNestedTasksError
from flyte_nb.models import MAX_INLINE_IO_BYTES, NativeInterface, SerializationContext

if TYPE_CHECKING:
    from flyte_nb.authoring.environment import TaskEnvironment

__all__ = ["AsyncFunctionTaskTemplate", "RuntimeTaskTemplate", "TaskTemplate"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

FIXED_FIELDS = ("name", "image", "docs", "interface")
"""What `override` does not change."""

FIXED_WHEN_REUSED = {
    "resources": "resources",
    "env_vars": "env",
    "secrets": "secrets",
    "service_account": "service_account",
}
"""What a warm worker has already, with the word for it in the error."""


@dataclass(kw_only=True, eq=False)
class TaskTemplate(Generic[P, R]):
    """A task, however it is executed.

    Args:
        name: full name, `environment.function`.
        interface: what it takes and returns.
        short_name: what the explorer calls it; `name` unless given.
        task_type: which kind of task it is.
        task_type_version: of that kind.
        image: what its code finds around it; a string is the name of an existing image.
        resources: what it needs of a machine.
        cache: when an earlier result may stand for a new one.
        interruptible: may run on machines that can be taken away.
        retries: how often it is tried again; an int is a count.
        reusable: runs in warm workers that are used again.
        docs: its description.
        env_vars: environment variables it is given.
        secrets: secrets it is given.
        service_account: Kubernetes account it runs as.
        timeout: how long it may take; an int is seconds.
        pod_template: Kubernetes pod it runs in.
        report: whether it writes a report.
        queue: where it waits for its turn on a cluster.
        debuggable: whether a debugger can attach.
        entrypoint: a hint that users start it.
        produces_artifacts: whether its outputs are registered as artifacts.
        parent_env: weak reference to its environment.
        parent_env_name: name of its environment.
        max_inline_io_bytes: most bytes of inputs, and of outputs, that are passed by value.
        triggers: what starts it.
        links: links shown at its actions.

    Raises:
        ValueError: when `retries` or `cache` is not of these forms.
        TypeError: when `service_account` is not a str.
    """

    name: str
    interface: NativeInterface
    short_name: str = ""
    task_type: str = "python"
    task_type_version: int = 0
    image: str | Image | None = "auto"
    resources: Resources | None = None
    cache: CacheRequest = "disable"
    interruptible: bool = False
    retries: int | RetryStrategy = 0
    reusable: ReusePolicy | None = None
    docs: Documentation | None = None
    env_vars: dict[str, str] | None = None
    secrets: SecretRequest | None = None
    service_account: str | None = None
    timeout: TimeoutType | None = None
    pod_template: str | PodTemplate | None = None
    report: bool = False
    queue: str | None = None
    debuggable: bool = False
    entrypoint: bool = False
    produces_artifacts: bool = False
    parent_env: weakref.ReferenceType[TaskEnvironment] | None = None
    parent_env_name: str | None = None
    ref: bool = field(default=False, init=False, repr=False)
    max_inline_io_bytes: int = MAX_INLINE_IO_BYTES
    triggers: tuple[Trigger, ...] = ()
    links: tuple[Link, ...] = ()
    _call_as_synchronous: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.image, str):
            self.image = _default_image() if self.image == "auto" else Image.from_base(self.image)
        self.cache: Cache = cache_from_request(self.cache)
        if isinstance(self.retries, int):
            self.retries = RetryStrategy(self.retries)
        elif self.retries is not None and not isinstance(self.retries, RetryStrategy):
            raise ValueError(f"retries must be an int (a retry count) or a flyte.RetryStrategy, got {self.retries!r}")
        self.short_name = self.short_name or self.name
        if self.service_account is not None and not isinstance(self.service_account, str):
            raise TypeError(f"Expected service_account to be of type str, got {type(self.service_account)}")

    def __getstate__(self) -> dict[str, Any]:
        # The environment stays behind, and so does what the engine keeps here for itself.
        return {name: value for name, value in vars(self).items() if name not in ("parent_env", "_compiled")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, parent_env=None)

    def __copy__(self) -> TaskTemplate[P, R]:
        copied = object.__new__(type(self))
        vars(copied).update({name: value for name, value in vars(self).items() if name != "_compiled"})
        return copied

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the task as a child action, or the plain function outside a run.

        Raises:
            TraceDoesNotAllowNestedTasksError: inside a `flyte.trace`.
            SyncTaskCallInAsyncContextError: for a sync task called on the engine's event loop.
        """
        scope = current_scope.get()
        if scope is None:
            return self.forward(*args, **kwargs)
        if scope.trace is not None:
            raise _nested_in_trace(self)
        if self._call_as_synchronous:
            return scope.controller.submit_sync(scope, self, args, kwargs)  # type: ignore[no-any-return]
        return scope.controller.submit(scope, self, args, kwargs)  # type: ignore[return-value]  # R is a coroutine

    @overload
    def aio(
        self: TaskTemplate[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def aio(self: TaskTemplate[P, R], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...
    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Any]:
        """The same as a call, awaitable for sync and async tasks alike.

        Raises:
            TraceDoesNotAllowNestedTasksError: inside a `flyte.trace`.
        """
        scope = current_scope.get()
        if scope is None:
            return self._forward_aio(*args, **kwargs)
        if scope.trace is not None:
            raise _nested_in_trace(self)
        return scope.controller.submit(scope, self, args, kwargs)

    async def _forward_aio(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        result = self.forward(*args, **kwargs)
        return await result if inspect.iscoroutine(result) else result

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the plain function, unrecorded."""
        raise NotImplementedError

    async def pre(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Runs before `execute`'s function, with the inputs; what it returns is found in `ctx().data`."""
        return {}

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Runs one attempt; for kinds of tasks that are more than a function."""
        raise NotImplementedError

    async def post(self, return_vals: Any) -> Any:
        """Runs after `execute`'s function, with what it returned."""
        return return_vals

    def config(self, sctx: SerializationContext) -> dict[str, str]:
        """What a backend is told about the task besides its fields."""
        return {}

    def custom_config(self, sctx: SerializationContext) -> dict[str, Any]:
        """What a backend's plugin is told."""
        return {}

    def container_args(self, serialize_context: SerializationContext) -> list[str]:
        """The command line in its container."""
        return []

    def data_loading_config(self, sctx: SerializationContext) -> Any:
        """How a raw container is given its inputs."""
        return None

    def sql(self, sctx: SerializationContext) -> str | None:
        """The query of a SQL task."""
        return None

    @property
    def source_file(self) -> str | None:
        """The file it was declared in."""
        return None

    @property
    def native_interface(self) -> NativeInterface:
        """What it takes and returns."""
        return self.interface

    @property
    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of its inputs."""
        return self.interface.json_schema

    def override(
        self,
        *,
        short_name: str | None = None,
        resources: Resources | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy = 0,
        timeout: TimeoutType | None = None,
        reusable: ReusePolicy | Literal["off"] | None = None,
        env_vars: dict[str, str] | None = None,
        secrets: SecretRequest | None = None,
        service_account: str | None = None,
        max_inline_io_bytes: int | None = None,
        pod_template: str | PodTemplate | None = None,
        queue: str | None = None,
        interruptible: bool | None = None,
        entrypoint: bool | None = None,
        produces_artifacts: bool | None = None,
        links: tuple[Link, ...] = (),
        plugin_config: Any = None,
        **kwargs: Any,
    ) -> TaskTemplate[P, R]:
        """The same task with other settings, see the class; what is None, 0 or empty stays as it is.

        `reusable="off"` takes the reuse policy away. Further keywords name further fields.

        Raises:
            ValueError: for what cannot be overridden.
            TypeError: for a field that does not exist.
        """
        for name in FIXED_FIELDS:
            if name in kwargs:
                raise ValueError(f"{name.capitalize()} cannot be overridden")
        given = {
            "short_name": short_name,
            "resources": resources,
            "cache": cache,
            "retries": retries,
            "timeout": timeout,
            "env_vars": env_vars,
            "secrets": secrets,
            "service_account": service_account,
            "max_inline_io_bytes": max_inline_io_bytes,
            "pod_template": pod_template,
            "queue": queue,
            "links": links,
            "plugin_config": plugin_config,
        }
        flags = {"interruptible": interruptible, "entrypoint": entrypoint, "produces_artifacts": produces_artifacts}
        policy = None if reusable == "off" else reusable or self.reusable
        if policy is not None:
            for name, word in FIXED_WHEN_REUSED.items():
                if given[name] is not None:
                    raise ValueError(
                        f"Cannot override {word} when reusable is set. Reusable tasks will use the parent env's {word}."
                        f" You can disable reusability and override {word} if needed. (set reusable='off')"
                    )
        changes = {name: value for name, value in given.items() if value}
        changes.update((name, value) for name, value in flags.items() if value is not None)
        changes.update(kwargs, reusable=policy)
        task_class = TaskPluginRegistry.get(plugin_config) if plugin_config is not None else None
        task = replace(self, **changes)
        return task if task_class is None or isinstance(task, task_class) else _rebuilt_as(task_class, task)


@cache
def _default_image() -> Image:
    return Image.from_debian_base()


def _nested_in_trace(task: TaskTemplate[Any, Any]) -> TraceDoesNotAllowNestedTasksError:
    return TraceDoesNotAllowNestedTasksError(
        f"Task {task.name} is invoked from inside a `flyte.trace`. You can continue using the task function, "
        "as a regular python function using `task`.forward(...) facade."
    )


def _rebuilt_as(task_class: type[Any], task: TaskTemplate[Any, Any]) -> Any:
    """The task as another class; a field that was left at its default takes the default of that class."""
    defaults = {f.name: f.default for f in fields(type(task))}
    new_defaults = {f.name: f.default for f in fields(task_class)}
    carried = {}
    for f in fields(task):
        value, new_default = getattr(task, f.name), new_defaults.get(f.name, MISSING)
        is_untouched = new_default not in (MISSING, defaults[f.name]) and value == defaults[f.name]
        if f.init and not is_untouched:
            carried[f.name] = value
    return task_class(**carried)


@dataclass(kw_only=True, eq=False)
class RuntimeTaskTemplate(TaskTemplate[P, R]):
    """A task that Python executes.

    Args:
        task_resolver: finds the task again where it runs on a cluster.
    """

    task_resolver: Any = None


@dataclass(kw_only=True, eq=False)
class AsyncFunctionTaskTemplate(RuntimeTaskTemplate[P, R]):
    """A task that is a function, async or not; what `@env.task` makes.

    Args:
        func: the function.
        plugin_config: settings of a plugin.
    """

    func: Callable[P, R]
    plugin_config: Any = None
    debuggable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._call_as_synchronous = not inspect.iscoroutinefunction(self.func)

    @property
    def source_file(self) -> str | None:
        """The file the function was declared in; in a notebook, the name of the cell."""
        return self._declared_at[0] if self._declared_at else None

    @property
    def _declared_at(self) -> tuple[str, int] | None:
        """File and line of the declaration, its decorator included."""
        code = getattr(inspect.unwrap(self.func), "__code__", None)
        return (code.co_filename, code.co_firstlineno) if code else None

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the plain function, unrecorded."""
        return self.func(*args, **kwargs)

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Runs one attempt: `pre`, the function (a sync one in a thread), `post`."""
        ctx().data.update(await self.pre(*args, **kwargs))
        if self._call_as_synchronous:
            result: Any = await asyncio.to_thread(self.func, *args, **kwargs)
        else:
            result = await self.func(*args, **kwargs)  # type: ignore[misc]
        await self.post(result)
        return result
