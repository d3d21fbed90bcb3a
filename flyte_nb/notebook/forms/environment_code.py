"""A task environment as a reader describes it, and the Python code that declares it.

Draft  ->  problems_of(draft): what the environment would refuse, and where
       ->  code_of(draft): a cell that can be executed as it is
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from flyte_nb.authoring.devices import ACCELERATORS
from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.resources import Resources, parse_cpu, parse_memory_bytes
from flyte_nb.authoring.retry import RetryStrategy
from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.authoring.secret import Secret

__all__ = ["Draft", "Reuse", "SecretName", "TaskStub", "code_of", "problems_of"]

Path = tuple[str | int, ...]


def about(description: str, *suggestions: str) -> dict[str, Any]:
    """What a form says of a setting."""
    return {"description": description, "suggestions": suggestions}


@dataclass
class SecretName:
    """A secret that the tasks are given."""

    key: str = field(metadata=about("its name in the secret store"))
    group: str = field(default="", metadata=about("its group there"))
    as_env_var: str = field(default="", metadata=about("the variable that holds it; GROUP_KEY unless given"))


@dataclass
class Reuse:
    """Warm workers that are used again."""

    replicas: int = field(default=2, metadata=about("number of workers"))
    concurrency: int = field(default=1, metadata=about("async tasks that a worker runs at once"))
    idle_ttl_seconds: int = field(default=30, metadata=about("without work, the workers end after so long"))
    scope: Literal["global", "run"] = field(
        default="global", metadata=about("shared among runs, or workers of each run's own")
    )


@dataclass
class TaskStub:
    """A first task."""

    name: str = field(default="main", metadata=about("name of the function"))
    retries: int = field(default=0, metadata=about("how often it is tried again when it fails"))
    timeout_seconds: int = field(default=0, metadata=about("how long it may take; 0 for any time"))


@dataclass
class Draft:
    """An environment as a reader describes it; what is empty is left to its default."""

    name: str = field(metadata=about("snake_case or kebab-case, lower case"))
    variable: str = field(default="env", metadata=about("the Python name that it gets in the notebook"))
    description: str = field(default="", metadata=about("what its tasks are for, at most 255 characters"))
    packages: list[str] = field(
        default_factory=list, metadata=about("Python packages of its image, such as polars or torch==2.8")
    )
    apt_packages: list[str] = field(default_factory=list, metadata=about("Debian packages of its image"))
    cpu: str = field(default="", metadata=about("cores; 500m is half a core", "1", "2", "4", "8", "500m"))
    memory: str = field(default="", metadata=about("such as 512Mi or 4Gi", "512Mi", "1Gi", "2Gi", "4Gi", "8Gi", "16Gi"))
    gpu: str = field(default="", metadata=about("a device with its number, such as T4:1", *ACCELERATORS))
    cache: Literal["disable", "auto", "override"] = field(
        default="disable",
        metadata=about("auto reuses results of equal inputs and code, override executes and replaces them"),
    )
    env_vars: dict[str, str] = field(
        default_factory=dict, metadata=about("environment variables; its tasks run in processes then")
    )
    secrets: list[SecretName] = field(default_factory=list, metadata=about("secrets that its tasks are given"))
    interruptible: bool = field(default=False, metadata=about("may run on machines that can be taken away"))
    reusable: Reuse | None = field(default=None, metadata=about("keeps worker processes warm between tasks"))
    task: TaskStub | None = field(default=None, metadata=about("writes a first task into the cell"))


def code_of(draft: Draft) -> str:
    """The cell that declares the environment, and its first task where there is one."""
    settings = [quoted(draft.name), *(f"{name}={text}" for name, text in _settings(draft))]
    joined = ", ".join(settings)
    call = joined if len(settings) < 3 and len(joined) < 80 else "\n" + "".join(f"    {one},\n" for one in settings)
    lines = ["import flyte_nb as flyte", "", f"{draft.variable} = flyte.TaskEnvironment({call})"]
    if draft.task is not None:
        lines += ["", "", *_task_lines(draft.variable, draft.task)]
    return "\n".join(lines) + "\n"


def problems_of(draft: Draft) -> Iterator[tuple[Path, str]]:
    """What Flyte would refuse: where, and why."""
    for path, check, value in _checks(draft):
        try:
            check(value)
        except ValueError as error:
            yield path, str(error)


def quoted(text: str) -> str:
    """A Python literal of a text, in double quotes where that is as simple."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal else literal


def _checks(draft: Draft) -> Iterator[tuple[Path, Callable[[Any], Any], Any]]:
    """Each setting with what refuses a bad one: Flyte's own classes, wherever there is one."""
    yield ("name",), TaskEnvironment, draft.name
    yield ("variable",), _check_identifier, draft.variable
    if draft.cpu:
        yield ("cpu",), parse_cpu, draft.cpu
    if draft.memory:
        yield ("memory",), parse_memory_bytes, draft.memory
    if draft.gpu:
        yield ("gpu",), _gpu, draft.gpu
    for name in ("packages", "apt_packages"):
        for at, package in enumerate(getattr(draft, name)):
            yield (name, at), _check_filled, package
    for variable in draft.env_vars:
        yield ("env_vars", variable), _check_variable, variable
    for at, secret in enumerate(draft.secrets):
        yield ("secrets", at), _secret, secret
    if draft.reusable is not None:
        yield ("reusable", "replicas"), _replicas, draft.reusable.replicas
        yield ("reusable", "concurrency"), _concurrency, draft.reusable.concurrency
        yield ("reusable", "idle_ttl_seconds"), _idle_ttl, draft.reusable.idle_ttl_seconds
    if draft.task is not None:
        yield ("task", "name"), _check_identifier, draft.task.name
        yield ("task", "retries"), RetryStrategy, draft.task.retries
        yield ("task", "timeout_seconds"), _check_not_negative, draft.task.timeout_seconds


def _settings(draft: Draft) -> Iterator[tuple[str, str]]:
    if draft.description:
        yield "description", quoted(draft.description)
    if draft.packages or draft.apt_packages:
        yield "image", _image(draft)
    resources = list(_resources(draft))
    if resources:
        yield "resources", f"flyte.Resources({', '.join(resources)})"
    if draft.cache != "disable":
        yield "cache", quoted(draft.cache)
    if draft.env_vars:
        pairs = ", ".join(f"{quoted(name)}: {quoted(value)}" for name, value in draft.env_vars.items())
        yield "env_vars", f"{{{pairs}}}"
    if draft.secrets:
        yield "secrets", f"[{', '.join(map(_secret_code, draft.secrets))}]"
    if draft.interruptible:
        yield "interruptible", "True"
    if draft.reusable is not None:
        yield "reusable", _reuse_code(draft.reusable)


def _image(draft: Draft) -> str:
    text = "flyte.Image.from_debian_base()"
    if draft.packages:
        text += f".with_pip_packages({', '.join(map(quoted, draft.packages))})"
    if draft.apt_packages:
        text += f".with_apt_packages({', '.join(map(quoted, draft.apt_packages))})"
    return text


def _resources(draft: Draft) -> Iterator[str]:
    if draft.cpu:
        yield f"cpu={draft.cpu}" if draft.cpu.isascii() and draft.cpu.isdigit() else f"cpu={quoted(draft.cpu)}"
    if draft.memory:
        yield f"memory={quoted(draft.memory)}"
    if draft.gpu:
        yield f"gpu={quoted(draft.gpu)}"


def _secret(secret: SecretName) -> Secret:
    _check_filled(secret.key)
    return Secret(secret.key, group=secret.group or None, as_env_var=secret.as_env_var or None)


def _gpu(gpu: str) -> Resources:
    return Resources(gpu=gpu)


def _replicas(replicas: int) -> ReusePolicy:
    # Two at once: the advice about a single worker is for the cell that declares the policy.
    return ReusePolicy(replicas, concurrency=2)


def _concurrency(concurrency: int) -> ReusePolicy:
    return ReusePolicy(concurrency=concurrency)


def _idle_ttl(idle_ttl_seconds: int) -> ReusePolicy:
    return ReusePolicy(idle_ttl=idle_ttl_seconds)


def _secret_code(secret: SecretName) -> str:
    group = f", group={quoted(secret.group)}" if secret.group else ""
    variable = f", as_env_var={quoted(secret.as_env_var)}" if secret.as_env_var else ""
    return f"flyte.Secret({quoted(secret.key)}{group}{variable})"


def _reuse_code(reuse: Reuse) -> str:
    plain = Reuse()
    settings = [f"replicas={reuse.replicas}"]
    if reuse.concurrency != plain.concurrency:
        settings.append(f"concurrency={reuse.concurrency}")
    if reuse.idle_ttl_seconds != plain.idle_ttl_seconds:
        settings.append(f"idle_ttl={reuse.idle_ttl_seconds}")
    if reuse.scope != plain.scope:
        settings.append(f"scope={quoted(reuse.scope)}")
    return f"flyte.ReusePolicy({', '.join(settings)})"


def _task_lines(variable: str, task: TaskStub) -> Iterator[str]:
    settings = [f"retries={task.retries}"] if task.retries else []
    if task.timeout_seconds:
        settings.append(f"timeout={task.timeout_seconds}")
    yield f"@{variable}.task({', '.join(settings)})" if settings else f"@{variable}.task"
    yield f"async def {task.name}() -> None: ..."


def _check_identifier(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is not a Python name.")


def _check_variable(name: str) -> None:
    if not name or "=" in name or "\0" in name:
        raise ValueError(f"{name!r} is not the name of an environment variable.")


def _check_filled(text: str) -> None:
    if not text.strip():
        raise ValueError("A name is needed.")


def _check_not_negative(number: int) -> None:
    if number < 0:
        raise ValueError(f"It must be at least 0, got {number}.")
