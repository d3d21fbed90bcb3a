"""Where the attempts of a task run: in the kernel, in a process, or in a virtual environment; and why.

The run's wish counts first (`with_runcontext`, a magic), then the session's (`flyte.init`, `%flyte config`), then what
the task asks for that the kernel cannot give.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import Any, get_args

from flyte_nb.authoring.image import Image
from flyte_nb.authoring.resources import Resources, parse_cpu, parse_memory_bytes
from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_nb.authoring.timeout import timeout_from_request
from flyte_nb.engine.code.run_code import recorded_task
from flyte_nb.engine.options import RunOptions
from flyte_nb.engine.secrets.values import process_variables, resolve
from flyte_nb.executors.limits.machine import this_machine
from flyte_nb.executors.placement import Isolation, Needs, Placement

__all__ = [
    "ISOLATIONS",
    "check_isolation",
    "decide",
    "limits_off",
    "needs_of",
    "placement_of",
    "present_isolation",
    "session_isolation",
]

ISOLATIONS: tuple[Isolation, ...] = get_args(Isolation)

_session: tuple[Isolation, str] | None = None
"""What `flyte.init` or `%flyte config` said last, and how it was said."""


def session_isolation(isolation: Isolation | None, source: str) -> None:
    """Sets where tasks of this process run unless a run says otherwise; None lets each task decide.

    Args:
        source: how the user set it, for the reason that is shown: `flyte.init(isolation='process')`.

    Raises:
        ValueError: it is not an isolation.
    """
    global _session
    check_isolation(isolation)
    _session = None if isolation is None else (isolation, source)


def present_isolation() -> tuple[Isolation | None, str]:
    """What was set for this process last, None while each task decides; and how it was set."""
    return _session or (None, "")


def check_isolation(isolation: str | None) -> None:
    """Raises ValueError unless it is an isolation or None."""
    if isolation is not None and isolation not in ISOLATIONS:
        raise ValueError(f"isolation must be one of {', '.join(ISOLATIONS)}, or None: got {isolation!r}")


def decide(task: TaskTemplate[Any, Any], options: RunOptions) -> tuple[Isolation, str]:
    """Where a task runs in a run, and why, in words for people."""
    if options.isolation is not None:
        isolation, reason = options.isolation, f"with_runcontext(isolation={options.isolation!r})"
    elif _session is not None:
        isolation, reason = _session
    elif (recorded := recorded_task(task)) is not None and recorded.owner.obstacle:
        isolation, reason = "process", recorded.owner.obstacle
    else:
        asked = _asks_for(task, options)
        return ("process", f"it has {asked[0]}") if asked else ("kernel", "nothing asks for a process")
    if isolation == "kernel" and (off := limits_off(task, options)):
        reason += f"; in the kernel these do not hold: {', '.join(off)}"
    return isolation, reason


def limits_off(task: TaskTemplate[Any, Any], options: RunOptions) -> list[str]:
    """What a task asks for that the kernel cannot give."""
    return _asks_for(task, options)


def needs_of(task: TaskTemplate[Any, Any], isolation: Isolation) -> Needs:
    """What an attempt of the task holds of the machine.

    A sync task in a process of its own counts as one cpu when it declares none, so that processes do not crowd the
    machine; an async one mostly waits, and a pool is as large as its policy says.
    """
    resources = task.resources or Resources()
    cpu = parse_cpu(_first(resources.cpu)) if resources.cpu is not None else 0.0
    if resources.cpu is None and isolation != "kernel" and task.reusable is None and not _is_async(task):
        cpu = min(1.0, this_machine().cpus)
    memory = parse_memory_bytes(_last(resources.memory)) if resources.memory is not None else None
    device = resources.get_device()
    return Needs(cpu, memory, device.quantity if device is not None and device.device_class == "GPU" else 0)


async def placement_of(
    task: TaskTemplate[Any, Any], isolation: Isolation, reason: str, run: str, options: RunOptions
) -> tuple[Placement, dict[str, str]]:
    """The placement of a task in a run, and the values of its secrets by variable.

    Raises:
        flyte_nb.errors.RuntimeUserError: a secret is found nowhere.
    """
    secrets = await asyncio.to_thread(resolve, task.secrets) if task.secrets else {}
    placement = Placement(
        isolation=isolation,
        reason=reason,
        environment=task.parent_env_name or task.name,
        needs=needs_of(task, isolation),
        reuse=task.reusable,
        variables=process_variables(task.env_vars, options.env_vars, secrets),
        image=task.image if isolation == "virtualenv" and isinstance(task.image, Image) else None,
        scope=run if task.reusable is not None and task.reusable.scope == "run" else "",
        folder=_present_folder(),
    )
    return placement, secrets


def _present_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed: the kernel goes on, and so do its workers
        return ""


def _asks_for(task: TaskTemplate[Any, Any], options: RunOptions) -> list[str]:
    """What only a process gives, the first that counts first."""
    resources = task.resources or Resources()
    asked = {
        "a reuse policy": task.reusable is not None,
        "a memory limit": resources.memory is not None,
        "a timeout, and is not async": not _is_async(task) and bool(timeout_from_request(task.timeout).max_runtime),
        "environment variables": bool(task.env_vars),
        "secrets": bool(task.secrets),
        "environment variables of the run": bool(options.env_vars),
        "a device": bool(resources.gpu),
        "more cpus than there are": parse_cpu(_first(resources.cpu) or 0) > this_machine().cpus,  # where it is refused
    }
    return [what for what, is_asked in asked.items() if is_asked]


def _is_async(task: TaskTemplate[Any, Any]) -> bool:
    return not isinstance(task, AsyncFunctionTaskTemplate) or inspect.iscoroutinefunction(task.func)


def _first(pair: Any) -> Any:
    return pair[0] if isinstance(pair, tuple) else pair


def _last(pair: Any) -> Any:
    return pair[1] if isinstance(pair, tuple) else pair
