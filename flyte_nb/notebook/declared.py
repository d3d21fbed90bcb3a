"""A task or an environment as a cell's value: a line or two, where its `repr` has all of its settings."""

from __future__ import annotations

from typing import Any

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_nb.remote.parameters import parameter_text
from flyte_nb.types.names import describe_type

__all__ = ["show_declared", "stop_showing_declared"]

TASKS = (TaskTemplate, AsyncFunctionTaskTemplate)
"""Each by itself: a dataclass has a `repr` of its own, which goes before what its base is printed by."""


def show_declared(shell: Any) -> None:
    """Tells the shell how to print tasks and environments; idempotent."""
    printer = shell.display_formatter.formatters["text/plain"]
    for kind in TASKS:
        printer.for_type(kind, lambda task, pretty, _cycle: pretty.text(task_text(task)))
    printer.for_type(TaskEnvironment, lambda env, pretty, _cycle: pretty.text(environment_text(env)))


def stop_showing_declared(shell: Any) -> None:
    """Takes that out again."""
    printer = shell.display_formatter.formatters["text/plain"]
    for declared in (*TASKS, TaskEnvironment):
        printer.pop(declared, None)


def task_text(task: TaskTemplate[Any, Any]) -> str:
    """How it is called, and the first paragraph of its docstring."""
    interface = task.native_interface
    inputs = ", ".join(parameter_text(task, name) for name in interface.inputs)
    outputs = ", ".join(describe_type(declared) for declared in interface.outputs.values())
    returned = f"tuple[{outputs}]" if len(interface.outputs) > 1 else outputs or "None"
    signature = f"{task.name}({inputs}) -> {returned}"
    said = interface.docstring
    return f"{signature}\n{said.short_description}" if said is not None and said.short_description else signature


def environment_text(env: TaskEnvironment) -> str:
    """Its name, its description, and its tasks by their short names."""
    tasks = ", ".join(task.short_name for task in env.tasks.values()) or "no tasks yet"
    head = f"TaskEnvironment {env.name}: {tasks}"
    return f"{head}\n{env.description}" if env.description else head
