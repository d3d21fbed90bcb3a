"""Globals that should be inputs: those that a cached task reads though they change, and those that cannot cross.

changing      some function assigns it or changes it in place, or it counts by its type only, as it is too large or
              nothing that can be encoded: the cached result would not notice a change
unpicklable   a task that runs in a process reaches it, and no pickle takes it there
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from flyte_nb.authoring.cache import cache_from_request
from flyte_nb.authoring.environment import Environment
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.checking.body import Body, Read
from flyte_nb.checking.problem import Problem, problem_at
from flyte_nb.checking.program import Program, Reach
from flyte_nb.engine.code.objects import code_part
from flyte_nb.engine.code.values import ValueEncoder
from flyte_nb.engine.isolation import decide
from flyte_nb.engine.options import RunOptions
from flyte_nb.engine.parts import Part
from flyte_nb.executors.code_pickle import CodePickler, is_mirrored, namespace_of

__all__ = ["find_changing_globals", "find_unpicklable_globals"]

TRIED_BYTES = 1_000_000
"""So much of a value is pickled to see whether it can be; what is larger is taken to cross."""
CODE: Part = ["code"]
CODE_TYPES = (FunctionType, type, ModuleType, TaskTemplate, TraceFunction, Environment)


def find_changing_globals(program: Program, reach: Reach) -> Iterator[Problem]:
    """The changing globals that a cached task reads."""
    task = reach.task
    if not cache_from_request(task.cache).is_enabled():
        return
    encoder = ValueEncoder(_refer)
    for body, read in _reads(reach):
        if _refer(read.value) is not None:
            continue
        changer = program.changing.get(read.place)
        opaque = [] if changer is not None else encoder.encode_within_limits(read.value)[1]
        if changer is None and not opaque:
            continue
        why = f"{changer} changes it" if changer is not None else f"it is a {opaque[0]}, which counts by its type only"
        text = (
            f"the cached task {task.short_name} reads the global `{read.name}`, and {why}: "
            "a cached result would not notice. Pass it as an input."
        )
        yield problem_at("changing-global", text, body.function, read.node, task.name)


def find_unpicklable_globals(reach: Reach, refusals: dict[int, str]) -> Iterator[Problem]:
    """The globals that a task's process needs and cannot have.

    Args:
        reach: of the task.
        refusals: why a value, by identity, cannot be pickled, found before; empty when it can.
    """
    task = reach.task
    isolation, reason = decide(task, RunOptions())
    if isolation == "kernel":
        return
    for body, read in _reads(reach):
        function = body.function
        is_of_closure = read.place[0] != id(function.__globals__)
        if not is_of_closure and not is_mirrored(namespace_of(function.__globals__)):
            continue  # the process imports the module, and makes its own
        if isinstance(read.value, CODE_TYPES):
            continue  # it is followed, or found by its name
        key = id(read.value)
        if key not in refusals:
            refusals[key] = _refusal(read.value)
        if refusals[key]:
            text = (
                f"`{read.name}` cannot be sent to the process that {task.short_name} runs in ({reason}): "
                f"{refusals[key]}. Create it inside the task, or run the task in the kernel."
            )
            yield problem_at("unpicklable-global", text, function, read.node, task.name)


def _reads(reach: Reach) -> Iterator[tuple[Body, Read]]:
    """What the functions of a task read, each name once a function."""
    for body in reach.bodies:
        told = set()
        for read in body.reads:
            if read.place not in told:
                told.add(read.place)
                yield body, read


def _refer(value: object) -> Part | None:
    """Code and tasks are no values: they are followed, or count by name."""
    if isinstance(value, TaskTemplate | TraceFunction | Environment):
        return CODE
    return code_part(value, lambda _: CODE, lambda _: CODE)


# ---------------------------------------------------------------- what can be pickled


def _refusal(value: Any) -> str:
    """Why a value cannot be pickled; empty when it can."""
    if type(getattr(value, "__self__", value)).__module__.startswith(("IPython.", "ipykernel.")):
        return "it belongs to the notebook's shell"
    trial = _Trial(_Bounded())
    try:
        trial.dump(value)
    except _Enough:
        return ""
    except Exception as error:  # whatever the __reduce__ of a user's class raises is what a run would say
        return str(error) or type(error).__name__
    return ""


class _Enough(Exception):
    """As much was pickled as is tried."""


class _Bounded(io.BytesIO):
    """Takes no more than is tried."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > TRIED_BYTES:
            raise _Enough
        return super().write(data)


class _Trial(CodePickler):
    """Pickles as the way to a worker does, without what large buffers and files hold."""

    def __init__(self, out: io.BytesIO) -> None:
        super().__init__(out, protocol=5)

    def reducer_override(self, obj: Any) -> Any:
        if getattr(type(obj), "nbytes", None) is not None and int(obj.nbytes) > TRIED_BYTES:
            return str, ()
        if isinstance(obj, io.TextIOWrapper) and not obj.closed and not obj.isatty() and obj.readable():
            return str, ()  # its content would cross
        return super().reducer_override(obj)

    def refer_to_task(self, task: TaskTemplate[Any, Any]) -> Any:
        return str, (task.name,)

    def code_of_trace(self, function: TraceFunction[..., Any]) -> str:
        return function.name
