"""`check(task)`: the predefined, statically checked workflow. Nothing is run.

check = flyte.check(main)
check            draws the planned graph, and lists the mistakes
bool(check)      there are none
check.problems   each with kind, message, place and task
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flyte_nb.authoring.cache import cache_from_request
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.checking.awaits import find_missing_awaits
from flyte_nb.checking.blocking import find_blocking_calls
from flyte_nb.checking.calls import find_wrong_arguments
from flyte_nb.checking.drawing import check_html, check_text
from flyte_nb.checking.graph import Graph, Node
from flyte_nb.checking.machine import find_lacking_resources
from flyte_nb.checking.problem import Problem
from flyte_nb.checking.program import Program, function_of, unwrapped
from flyte_nb.checking.state import find_changing_globals, find_unpicklable_globals
from flyte_nb.engine.isolation import decide
from flyte_nb.engine.options import RunOptions
from flyte_nb.engine.tracebacks import place_of
from flyte_nb.types.names import describe_type

__all__ = ["Check", "check"]


@dataclass(frozen=True)
class Check:
    """What a check found; true when there is nothing wrong.

    Attributes:
        task: full name of the checked task.
        problems: the mistakes, task by task as they are reached; see docs/checking.md for their kinds.
        graph: the tasks and traced functions that the task can reach.
        unread: functions that could not be checked, as the source that runs cannot be had.
    """

    task: str
    problems: tuple[Problem, ...]
    graph: Graph
    unread: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.problems

    def __repr__(self) -> str:
        return check_text(self.graph, self.problems, self.unread)

    def _repr_html_(self) -> str:
        return check_html(self.graph, self.problems, self.unread)


def check(task: Any) -> Check:
    """Checks a task and all that it can reach, without running anything.

    Args:
        task: the task, as `@env.task` made it, or a deployed one.

    Returns:
        The mistakes with cell and line, and the planned graph.

    Raises:
        TypeError: it is no task.
        flyte_nb.errors.RuntimeUserError: it is a deployed one that is not there, or whose code is not.
    """
    if not isinstance(task, TaskTemplate):
        task = getattr(task, "template", task)  # of a deployed one
    if not isinstance(task, TaskTemplate):
        raise TypeError(f"flyte.check takes a task, got {task!r}. Declare it with @env.task.")
    program = Program(task)
    problems = dict.fromkeys(_problems(program))
    return Check(task.name, tuple(problems), _graph(program), tuple(program.unread))


def _problems(program: Program) -> Iterator[Problem]:
    """The mistakes, task by task in the order in which they are reached; those of shared functions once."""
    checked: set[int] = set()
    refusals: dict[int, str] = {}
    for reach in program.reaches:
        name = reach.task.name
        yield from find_lacking_resources(reach.task)
        for body in reach.bodies:
            if id(body) not in checked:
                checked.add(id(body))
                yield from find_wrong_arguments(body, name)
                yield from find_missing_awaits(body, name, body.function is function_of(reach.task))
        yield from find_changing_globals(program, reach)
        yield from find_unpicklable_globals(reach, refusals)
    yield from find_blocking_calls(program)


def _graph(program: Program) -> Graph:
    graph = Graph(program.reaches[0].task.name)
    edges: dict[tuple[str, str], None] = {}
    for reach in program.reaches:
        graph.nodes.setdefault(reach.task.name, _node_of_task(reach.task))
        for called in reach.calls:
            if isinstance(called, TraceFunction):
                graph.nodes.setdefault(called.name, _node_of_trace(called))
            edges[reach.task.name, called.name] = None
    graph.edges.extend(edges)
    return graph


def _node_of_task(task: TaskTemplate[Any, Any]) -> Node:
    return Node(
        task.name,
        "task",
        _signature_of_task(task),
        isolation=decide(task, RunOptions())[0],
        cached=cache_from_request(task.cache).is_enabled(),
        place=_place(function_of(task)),
    )


def _node_of_trace(trace: TraceFunction[Any, Any]) -> Node:
    signature = f"({', '.join(trace.signature.parameters)})"
    return Node(trace.name, "trace", signature, place=_place(unwrapped(trace.func)))


def _signature_of_task(task: TaskTemplate[Any, Any]) -> str:
    interface = task.native_interface
    inputs = ", ".join(f"{name}: {describe_type(declared)}" for name, (declared, _) in interface.inputs.items())
    outputs = ", ".join(describe_type(declared) for declared in interface.outputs.values())
    return f"({inputs})" + (f" -> {outputs}" if outputs else "")


def _place(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return "" if code is None else place_of(code.co_filename, code.co_firstlineno)
