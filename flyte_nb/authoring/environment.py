"""An environment: where a group of tasks runs and what they share. Its decorator `task` makes functions into tasks.

    env = flyte.TaskEnvironment("train", resources=flyte.Resources(memory="2Gi"))

    @env.task(retries=3)
    async def fit(depth: int) -> float: ...         # the task "train.fit"

A setting is taken from `task.override(...)`, else from `@env.task(...)`, else from the environment.
"""

from __future__ import annotations

import inspect
import re
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

from flyte_nb.authoring.cache import Cache, CacheRequest
from flyte_nb.authoring.documentation import Documentation, shortened
from flyte_nb.authoring.image import Image
from flyte_nb.authoring.link import Link
from flyte_nb.authoring.plugins import TaskPluginRegistry
from flyte_nb.authoring.pod_template import PodTemplate
from flyte_nb.authoring.resources import Resources
from flyte_nb.authoring.retry import RetryStrategy
from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.authoring.secret import Secret, SecretRequest
from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_nb.authoring.timeout import TimeoutType
from flyte_nb.authoring.trigger import Trigger
from flyte_nb.models import MAX_INLINE_IO_BYTES, NativeInterface

__all__ = ["Environment", "TaskEnvironment"]

P = ParamSpec("P")
R = TypeVar("R")

PACKAGE_FOLDER = str(Path(__file__).parent.parent)


@dataclass(eq=False)
class Environment:
    """What environments of tasks and of apps have in common.

    Args:
        name: snake_case or kebab-case, lower case.
        depends_on: environments that are deployed with it.
        pod_template: Kubernetes pod of its tasks, or the name of one.
        description: at most 255 characters; what is beyond is cut.
        secrets: secrets its tasks are given.
        env_vars: environment variables its tasks are given.
        resources: what a task of it needs of a machine.
        interruptible: may run on machines that can be taken away.
        image: what its code finds around it; a string is the name of an existing image.
        include: further files that belong to its code.
        service_account: Kubernetes account its tasks run as.

    Raises:
        ValueError: when the name is not of this form.
        TypeError: when a setting is of another type.
    """

    name: str
    depends_on: list[Environment] = field(default_factory=list)
    pod_template: str | PodTemplate | None = None
    description: str | None = None
    secrets: SecretRequest | None = None
    env_vars: dict[str, str] | None = None
    resources: Resources | None = None
    interruptible: bool = False
    image: str | Image | None = "auto"
    include: tuple[str, ...] = ()
    service_account: str | None = None

    _declaring_file: str | None = field(init=False, default=None, repr=False)
    """Where it was declared, absolute; relative paths of `include` start there."""

    def __post_init__(self) -> None:
        _check_type("image", self.image or None, (str, Image), "str or Image")
        _check_type("secrets", self.secrets or None, (str, Secret, list), "SecretRequest")
        _check_type("service_account", self.service_account, str, "str")
        for dependency in self.depends_on:
            _check_type("depends_on", dependency, Environment, "List[Environment]")
        _check_type("resources", self.resources, Resources, "Resources")
        _check_type("env_vars", self.env_vars, dict, "Dict[str, str]")
        _check_type("pod_template", self.pod_template, (str, PodTemplate), "str or PodTemplate")
        if self.description is not None:
            self.description = shortened(self.description)
        self.include = _checked_include(self.include)
        if not re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)*", self.name):
            raise ValueError(f"Environment name '{self.name}' must be in snake_case or kebab-case format.")
        self._declaring_file = _calling_file()

    def add_dependency(self, *env: Environment) -> None:
        """Has the environments deployed with this one.

        Raises:
            TypeError: when one of them is no environment.
            ValueError: when one of them is this one.
        """
        for dependency in env:
            if not isinstance(dependency, Environment):
                raise TypeError(f"Expected Environment, got {type(dependency)}")
            if dependency.name == self.name:
                raise ValueError("Cannot add self as a dependency")
        self.depends_on.extend(dependency for dependency in env if dependency not in self.depends_on)

    def clone_with(self, name: str, **settings: Any) -> Environment:
        """Another environment with this one's settings and other ones in place of some."""
        raise NotImplementedError


@dataclass(eq=False)
class TaskEnvironment(Environment):
    """An environment of tasks; see `Environment` and the module.

    Args:
        cache: when an earlier result of its tasks may stand for a new one.
        reusable: its tasks run in warm workers that are used again.
        plugin_config: settings of a plugin that executes its tasks.
        queue: where its tasks wait for their turn on a cluster.

    Raises:
        ValueError: when both `reusable` and a `plugin_config` that does not support it are given.
        TypeError: when a setting is of another type.
    """

    cache: CacheRequest = "disable"
    reusable: ReusePolicy | None = None
    plugin_config: Any = None
    queue: str | None = None

    _tasks: dict[str, TaskTemplate[..., Any]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reusable is not None and self.plugin_config is not None:
            plugin = TaskPluginRegistry.find(type(self.plugin_config))
            if not getattr(plugin, "supports_reuse_policy", False):
                raise ValueError("Cannot set plugin_config when environment is reusable.")
        _check_type("reusable", self.reusable or None, ReusePolicy, "ReusePolicy")
        _check_type("cache", self.cache or None, (str, Cache), "str or Cache")

    @property
    def tasks(self) -> dict[str, TaskTemplate[..., Any]]:
        """Its tasks by full name; a task declared again takes the place of the one before."""
        return self._tasks

    def clone_with(
        self,
        name: str,
        image: str | Image | None = None,
        resources: Resources | None = None,
        env_vars: dict[str, str] | None = None,
        secrets: SecretRequest | None = None,
        depends_on: list[Environment] | None = None,
        description: str | None = None,
        interruptible: bool | None = None,
        include: tuple[str, ...] | None = None,
        service_account: str | None = None,
        **kwargs: Any,
    ) -> TaskEnvironment:
        """Another environment with this one's settings, but without its tasks; what is not None takes their place.

        Args:
            name: of the new environment; the others are as of the class.
            kwargs: `cache` and `reusable`; `reusable=None` takes the policy away.

        Raises:
            TypeError: for other keywords.
        """
        unexpected = [keyword for keyword in kwargs if keyword not in ("cache", "reusable")]
        if unexpected:
            raise TypeError(f"Unexpected keyword arguments: {unexpected}")
        given: dict[str, Any] = {
            "image": image,
            "resources": resources,
            "env_vars": env_vars,
            "secrets": secrets,
            "depends_on": depends_on,
            "description": description,
            "interruptible": interruptible,
            "include": include,
            "service_account": service_account,
            "cache": kwargs.get("cache"),
        }
        changes = {setting: value for setting, value in given.items() if value is not None}
        if "reusable" in kwargs:
            changes["reusable"] = kwargs["reusable"]
        changes.setdefault("depends_on", list(self.depends_on))  # a copy: `add_dependency` changes it in place
        return replace(self, name=name, **changes)

    @classmethod
    def from_task(
        cls, name: str, *tasks: TaskTemplate[..., Any], depends_on: list[Environment] | None = None
    ) -> TaskEnvironment:
        """An environment of tasks that were made without one.

        Args:
            name: of the environment.
            tasks: of one image.
            depends_on: environments that are deployed with it.

        Raises:
            ValueError: when a task has an environment already, or the images differ.
        """
        if any(task.parent_env and task.parent_env() for task in tasks):
            raise ValueError("Tasks cannot assigned to multiple environments.")
        images = {task.image for task in tasks}
        if len(images) > 1:
            raise ValueError("Tasks must have the same image to be in the same environment.")
        env = cls(name, image=images.pop() if images else "auto", depends_on=depends_on or [])
        for task in tasks:
            env._tasks[task.name] = task
            task.parent_env, task.parent_env_name = weakref.ref(env), name
        return env

    @overload
    def task(self, _func: Callable[P, R], /) -> AsyncFunctionTaskTemplate[P, R]: ...
    @overload
    def task(
        self,
        *,
        short_name: str | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy = 0,
        timeout: TimeoutType = 0,
        docs: Documentation | None = None,
        pod_template: str | PodTemplate | None = None,
        report: bool = False,
        interruptible: bool | None = None,
        max_inline_io_bytes: int = MAX_INLINE_IO_BYTES,
        queue: str | None = None,
        service_account: str | None = None,
        triggers: tuple[Trigger, ...] | Trigger = (),
        links: tuple[Link, ...] | Link = (),
        task_resolver: Any = None,
        entrypoint: bool = False,
        produces_artifacts: bool = False,
    ) -> Callable[[Callable[P, R]], AsyncFunctionTaskTemplate[P, R]]: ...
    def task(
        self,
        _func: Callable[..., Any] | None = None,
        *,
        short_name: str | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy = 0,
        timeout: TimeoutType = 0,
        docs: Documentation | None = None,
        pod_template: str | PodTemplate | None = None,
        report: bool = False,
        interruptible: bool | None = None,
        max_inline_io_bytes: int = MAX_INLINE_IO_BYTES,
        queue: str | None = None,
        service_account: str | None = None,
        triggers: tuple[Trigger, ...] | Trigger = (),
        links: tuple[Link, ...] | Link = (),
        task_resolver: Any = None,
        entrypoint: bool = False,
        produces_artifacts: bool = False,
    ) -> Any:
        """Makes a function a task of this environment, named `environment.function`.

        Args:
            _func: the function, when the decorator is used without parentheses.
            short_name: what the explorer calls it; the function's name unless given.
            cache: when an earlier result may stand for a new one; the environment's unless given.
            retries: how often it is tried again; an int is a count.
            timeout: how long it may take; an int is seconds, 0 for any time.
            docs: its description; the function's docstring unless given.
            pod_template: Kubernetes pod it runs in.
            report: whether it writes a report.
            interruptible: may run on machines that can be taken away.
            max_inline_io_bytes: most bytes of inputs, and of outputs, that are passed by value.
            queue: where it waits for its turn on a cluster.
            service_account: Kubernetes account it runs as.
            triggers: what starts it.
            links: links shown at its actions.
            task_resolver: finds the task again where it runs on a cluster.
            entrypoint: a hint that users start it.
            produces_artifacts: whether its outputs are registered as artifacts.

        Returns:
            The task, or a decorator that makes it.

        Raises:
            ValueError: for a setting or a function that warm workers do not support, and for `*args` and `**kwargs`.
            TypeError: for a return type that Flyte has no outputs for.
        """
        if self.reusable is not None:
            if pod_template is not None:
                raise ValueError("Cannot set pod_template when environment is reusable.")
            if service_account is not None and service_account != self.service_account:
                raise ValueError("Cannot override service_account when environment is reusable.")

        def declare(func: Callable[..., Any]) -> AsyncFunctionTaskTemplate[..., Any]:
            if self.reusable and self.reusable.concurrency > 1 and not inspect.iscoroutinefunction(func):
                raise ValueError(
                    "Reusable environments with concurrency greater than 1 are only supported for async tasks. "
                    "Please use an async function or set concurrency to 1."
                )
            task_class: type[AsyncFunctionTaskTemplate[..., Any]] = AsyncFunctionTaskTemplate
            if self.plugin_config is not None:
                task_class = TaskPluginRegistry.get(self.plugin_config)
            function_name = func.__name__
            task = task_class(
                func=func,
                name=f"{self.name}.{function_name}",
                interface=NativeInterface.from_callable(func),
                short_name=short_name or function_name,
                image=self.image,
                resources=self.resources,
                cache=cache or self.cache,
                interruptible=self.interruptible if interruptible is None else interruptible,
                retries=retries,
                reusable=self.reusable,
                docs=docs,
                env_vars=self.env_vars,
                secrets=self.secrets,
                service_account=service_account or self.service_account,
                timeout=timeout,
                pod_template=pod_template or self.pod_template,
                report=report,
                queue=queue or self.queue,
                entrypoint=entrypoint,
                produces_artifacts=produces_artifacts,
                parent_env=weakref.ref(self),
                parent_env_name=self.name,
                max_inline_io_bytes=max_inline_io_bytes,
                triggers=_as_tuple(triggers),
                links=_as_tuple(links),
                task_resolver=task_resolver,
                plugin_config=self.plugin_config,
            )
            self._tasks[task.name] = task
            return task

        return declare if _func is None else declare(_func)


def _check_type(name: str, value: Any, expected: type | tuple[type, ...], description: str) -> None:
    if value is not None and not isinstance(value, expected):
        raise TypeError(f"Expected {name} to be of type {description}, got {type(value)}")


def _checked_include(include: Any) -> tuple[str, ...]:
    if isinstance(include, str):
        raise TypeError(f"Expected include to be a sequence of str paths, got a bare str ({include!r}).")
    try:
        paths = tuple(include)
    except TypeError as error:
        raise TypeError(f"Expected include to be a sequence of str paths, got {type(include)}") from error
    for path in paths:
        if not isinstance(path, str):
            raise TypeError(f"include entries must be str, got {type(path)}")
    return paths


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _calling_file() -> str | None:
    """The user's file that is being executed; None where there is none, as in a notebook's cell."""
    frame = sys._getframe(1)
    while frame.f_back and (frame.f_code.co_filename.startswith((PACKAGE_FOLDER, "<"))):
        frame = frame.f_back
    path = Path(frame.f_code.co_filename)
    return str(path.absolute()) if path.exists() else None
