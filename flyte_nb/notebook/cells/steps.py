"""`%%flyte run`: the cell below the magic runs as a task, and what it assigns comes back.

    variables that it reads -> inputs -> the cell as a function, a task -> outputs -> variables that it assigned

Values cross by value, as at every task. What the cell defines or imports is code: a definition is carried out in the
notebook too, once the cell has succeeded.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from flyte_nb.authoring.environment import Environment, TaskEnvironment
from flyte_nb.authoring.resources import Resources, parse_cpu, parse_memory_bytes
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.models import NativeInterface
from flyte_nb.notebook.cells.names import CellNames, names_of
from flyte_nb.notebook.cells.source import (
    DEFINITIONS,
    RESULT,
    UNASSIGNED,
    CellBody,
    function_in,
    read_body,
    statements_in,
)
from flyte_nb.notebook.magics.environments import environment_named
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.launch import with_runcontext
from flyte_nb.remote.parameters import isolation_named, labels_of
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import did_you_mean
from flyte_nb.types.carried import Carried, Stayed

__all__ = ["Asked", "declared", "is_value", "run_cell"]

CODE = (
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    ModuleType,
    partial,
    type,
    TaskTemplate,
    TraceFunction,
    Environment,
)
"""What a task reaches as code, not as an input."""

IPYTHONS = "_"
"""A name for what nobody needs; in a notebook, it is IPython's."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `%%flyte run`, as text; what is None is left to its default.

    Attributes:
        env: an environment, by its variable or its name.
        inputs: names, with commas; found in the cell's text unless told.
        outputs: likewise.
        cache: when an earlier result may stand for a new one: auto, override or disable.
        isolation: where it runs.
        cpu: cores.
        memory: such as 2Gi.
        timeout: seconds.
        retries: how often it is tried again.
        name: of the task; the last name that the cell assigns unless told.
        label: labels of the run, KEY=VALUE.
    """

    env: str | None = None
    inputs: str | None = None
    outputs: str | None = None
    cache: str | None = None
    isolation: str | None = None
    cpu: str | None = None
    memory: str | None = None
    timeout: str | None = None
    retries: int = 0
    name: str | None = None
    label: Sequence[str] = ()


@dataclass(frozen=True)
class Step:
    """A cell that is about to run as a task.

    Attributes:
        body: its text.
        names: what its syntax tells of its names.
        inputs: the variables that it is given.
        outputs: the variables that it gives back.
    """

    body: CellBody
    names: CellNames
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def perhaps(self) -> frozenset[str]:
        """Those of the outputs that may have no value."""
        return self.names.perhaps.intersection(self.outputs) - (frozenset(self.inputs) - self.names.deletes)

    @property
    def returned(self) -> tuple[str, ...]:
        """The outputs of the task: those of the cell, and what it shows unless that is one of them."""
        shown = self.body.shows
        is_output = isinstance(shown, ast.Name) and shown.id in self.outputs
        return self.outputs if shown is None or is_output else (*self.outputs, RESULT)

    def shown(self, values: Mapping[str, Any]) -> Any:
        """What the cell shows, of the values that came back."""
        shown = self.body.shows
        return values.get(shown.id if isinstance(shown, ast.Name) and shown.id in self.outputs else RESULT)

    @property
    def interface(self) -> NativeInterface:
        """What the task takes and returns; the names of outputs are those of the variables, as far as Flyte's may."""
        outputs: dict[str, Any] = {}
        for name in self.returned:
            outputs[public_name(name, outputs)] = Carried
        if self.perhaps:
            outputs[public_name(UNASSIGNED, outputs)] = list[str]
        return NativeInterface(dict.fromkeys(self.inputs, (Any, inspect.Parameter.empty)), outputs)


def run_cell(namespace: dict[str, Any], asked: Asked, cell: str) -> Any:
    """Runs a cell as a task and brings its variables back.

    Args:
        namespace: the user's names.
        asked: the options.
        cell: the text below the magic.

    Returns:
        The value of its last expression.

    Raises:
        CommandError: the cell or an option cannot be understood; nothing was run.
        flyte_nb.errors.BaseRuntimeError: the cell failed; `.run` is the run.
    """
    __tracebackhide__ = True
    step = step_of(cell, namespace, asked)
    task = task_of(step, namespace, asked)
    where = isolation_named(asked.isolation) if asked.isolation else None
    runner = with_runcontext(labels=labels_of(asked.label), isolation=where)
    try:
        run = runner.run(task, **{name: namespace[name] for name in step.inputs})
    except (TypeError, ValueError) as error:
        if hasattr(error, "run"):  # raised by the cell, not by the check of its inputs
            raise
        raise CommandError(f"{error}\nMake it in the cell itself, or name the inputs: --in a,b") from None
    tell_reuse(run)
    values = dict(zip((*step.returned, UNASSIGNED), run.root.outputs(), strict=False))
    bring_back(step, values, namespace)
    return step.shown(values)


def step_of(cell: str, namespace: Mapping[str, Any], asked: Asked) -> Step:
    """The cell, with its inputs and outputs as they are named or as its text tells them."""
    body = read_body(cell)
    names = names_of(body.tree)
    own = {*names.assigns, *names.code}
    if asked.inputs is None:
        inputs = [name for name in names.reads if name in namespace and (name in own or is_value(namespace[name]))]
    else:
        inputs = listed("--in", asked.inputs, namespace)
        inputs += [name for name in names.reads if name in own and name in namespace and name not in inputs]
    if asked.outputs is None:
        changed = [name for name in names.changes if name in inputs and name not in names.assigns]
        outputs = [name for name in (*names.assigns, *changed) if name != IPYTHONS]
    else:
        outputs = listed("--out", asked.outputs, [*own, *namespace])
        inputs += [name for name in outputs if name not in own and name not in inputs]
    return Step(body, names, tuple(inputs), tuple(outputs))


def public_name(name: str, taken: Mapping[str, Any]) -> str:
    """A name for an output: without the underscores in front, which outputs must not have."""
    public = name.lstrip("_")
    if not public.isidentifier() or keyword.iskeyword(public):
        public = f"value_{public}"
    while public in taken:
        public += "_"
    return public


def is_value(value: Any) -> bool:
    """Whether a variable is data: what is no code, and no plain decoration of code."""
    return not isinstance(value, CODE) and not (callable(value) and hasattr(value, "__wrapped__"))


def listed(option: str, text: str, known: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """The names of an option, `a,b`.

    Raises:
        CommandError: one of them is not known.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise CommandError(f"{option}: there is no variable {name!r} here.{did_you_mean(name, known)}")
    return names


def task_of(step: Step, namespace: dict[str, Any], asked: Asked) -> TaskTemplate[Any, Any]:
    """The cell as a task of its environment.

    Raises:
        CommandError: a setting is refused.
    """
    name = asked.name or next(reversed(step.outputs), "cell")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise CommandError(f"--name is a Python name, got {name!r}")
    environment = environment_named(namespace, asked.env)
    function = function_in(step.body.source(name, step.inputs, step.returned, step.perhaps), namespace)
    function.__annotations__ = dict.fromkeys(step.inputs, Any)
    task = replace(declared(environment, function, asked), interface=step.interface)
    environment.tasks[task.name] = task
    return task


def declared(environment: TaskEnvironment, function: FunctionType, asked: Asked) -> TaskTemplate[Any, Any]:
    """A function as a task of an environment, with the settings that the options ask for.

    Raises:
        CommandError: a setting is refused.
    """
    resources: dict[str, Any] = {name: text for name, text in (("cpu", asked.cpu), ("memory", asked.memory)) if text}
    cache: Any = asked.cache
    try:
        parse_cpu(asked.cpu or 0)
        parse_memory_bytes(asked.memory or "0")
        declare = environment.task(cache=cache, retries=asked.retries, timeout=timeout_of(asked.timeout))
        task: TaskTemplate[Any, Any] = declare(function)
        if not resources:
            return task
        return task.override(resources=replace(environment.resources or Resources(), **resources))
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None


def timeout_of(text: str | None) -> timedelta:
    """A time in seconds, as `--timeout` gives it; zero for any time.

    Raises:
        CommandError: it is no positive number.
    """
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise CommandError(f"--timeout takes seconds, got {text!r}")
    return timedelta(seconds=seconds)


def tell_reuse(run: Run) -> None:
    """Says when the cell did not run because its result was at hand."""
    kind, _, origin = run.root.source.partition(":")
    if kind != "cache":
        return
    name = origin.partition("/")[0]
    try:
        ended_at = Run(name).end_time
    except KeyError:  # pruned; its cached results stay
        ended_at = None
    ago = f", {age_of(time.time() - ended_at.timestamp())} ago" if ended_at is not None else ""
    print(f"Unchanged, so it did not run again: these are the results of run {name}{ago}.")


def age_of(seconds: float) -> str:
    """A time in one unit: 12 s, 3 min, 5 h, 2 days."""
    for unit, length in (("days", 172_800), ("h", 7_200), ("min", 120)):
        if seconds >= length:
            return f"{seconds / (86_400 if unit == 'days' else length / 2):.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def bring_back(step: Step, values: Mapping[str, Any], namespace: dict[str, Any]) -> None:
    """Assigns what the cell assigned, deletes what it deleted, and carries out its definitions."""
    missing = set(values.get(UNASSIGNED, ()))
    stayed = {}
    for name in step.outputs:
        if name in missing:
            if name in step.names.deletes:
                namespace.pop(name, None)
        elif isinstance(values[name], Stayed):
            stayed[name] = values[name].type_name
        else:
            namespace[name] = values[name]
    if stayed:
        print("Stays in the task:", ", ".join(f"{name} ({kind})" for name, kind in stayed.items()))
    for _, code in statements_in(step.body, DEFINITIONS):
        try:
            exec(code, namespace)
        except ImportError as error:  # installed where the cell ran, not here
            print(f"Not imported here: {error}")
