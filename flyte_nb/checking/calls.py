"""Arguments that do not fit: missing, unexpected, too many, or of a type that the callee never takes.

Checked are calls of tasks (also through `.aio`, `.forward`, `.override(...)`, `flyte.map` and `functools.partial`), of
traced functions, and of functions of the user's own; types where the engine enforces them, at the inputs of tasks.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from flyte_nb.authoring.map import map as flyte_map
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.checking.body import Body, Spot
from flyte_nb.checking.fits import element_of, fits
from flyte_nb.checking.inference import infer
from flyte_nb.checking.inferred import Inferred, Live, Method, Partial, described
from flyte_nb.checking.problem import Problem, problem_at
from flyte_nb.checking.scope import Scope
from flyte_nb.engine.code.ownership import is_own_module
from flyte_nb.types.names import describe_type

__all__ = ["find_wrong_arguments"]

MAP_OPTIONS = {"group_name", "concurrency", "return_exceptions"}
CALLS = ("aio", "forward")


def find_wrong_arguments(body: Body, task: str) -> Iterator[Problem]:
    """The calls of a function whose arguments do not fit."""
    for spot in body.spots:
        if isinstance(spot.node, ast.Call):
            for kind, node, message in _mistakes(spot):
                yield problem_at(kind, message, body.function, node, task)


def _mistakes(spot: Spot) -> Iterator[Any]:
    call, scope = spot.node, spot.scope
    assert isinstance(call, ast.Call)
    match infer(call.func, scope):
        case Live(TaskTemplate() as task):
            yield from _task_call(task, call, scope)
        case Method(TaskTemplate() as task, name) if name in CALLS:
            yield from _task_call(task, call, scope)
        case Live(mapping) if mapping is flyte_map:
            yield from _map(call, scope)
        case Method(mapping, "aio") if mapping is flyte_map:
            yield from _map(call, scope)
        case Live(TraceFunction() as trace):
            yield from _plain_call(trace.name, trace.func, call)
        case Live(FunctionType() as function) if is_own_module(function.__module__ or ""):
            yield from _plain_call(function.__name__, function, call)
        case _:
            pass


# ---------------------------------------------------------------- tasks


def _task_call(task: TaskTemplate[Any, Any], call: ast.Call, scope: Scope) -> Iterator[Any]:
    given = {word.arg: word.value for word in call.keywords if word.arg is not None}
    is_whole = not any(isinstance(one, ast.Starred) for one in call.args) and len(given) == len(call.keywords)
    yield from _fit_names(task, call, call.args if is_whole else _before_star(call.args), given, is_whole)
    for name, value in {**given, **dict(zip(_names(task), _before_star(call.args), strict=False))}.items():
        yield from _fit_type(task, name, infer(value, scope), value)


def _fit_names(
    task: TaskTemplate[Any, Any], call: ast.Call, args: list[ast.expr], given: dict[str, ast.expr], is_whole: bool
) -> Iterator[Any]:
    """What of a call does not fit the names of the inputs."""
    names = _names(task)
    wrong = []
    if len(args) > len(names):
        wrong.append(f"gets {len(args)} arguments and takes {len(names)}")
    if unexpected := [name for name in given if name not in names]:
        wrong.append(f"has no input {_listed(unexpected)}")
    if twice := [name for name in names[: len(args)] if name in given]:
        wrong.append(f"gets {_listed(twice)} twice")
    filled = {*names[: len(args)], *given}
    if is_whole and (missing := [name for name in task.native_interface.required_inputs() if name not in filled]):
        wrong.append(f"needs {_listed(missing)}")
    if wrong:
        yield "arguments", call, f"{task.short_name} {' and '.join(wrong)}. It takes {_takes(task)}."


def _fit_type(task: TaskTemplate[Any, Any], name: str, value: Inferred, node: ast.expr) -> Iterator[Any]:
    declared = task.native_interface.inputs.get(name)
    if declared is None or fits(value, declared[0]):
        return
    wanted = f"{name}: {describe_type(declared[0])}"
    cure = "Pass a value of that type, or declare the input otherwise."
    yield "types", node, f"{task.short_name} takes {wanted}, and gets {described(value)}. {cure}"


def _names(task: TaskTemplate[Any, Any]) -> list[str]:
    return list(task.native_interface.inputs)


def _takes(task: TaskTemplate[Any, Any]) -> str:
    inputs = task.native_interface.inputs.items()
    texts = [
        f"{name}: {describe_type(declared)}" + ("" if default is inspect.Parameter.empty else " = ...")
        for name, (declared, default) in inputs
    ]
    return f"({', '.join(texts)})"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _before_star(args: list[ast.expr]) -> list[ast.expr]:
    """The positional arguments whose place is known."""
    stars = [at for at, one in enumerate(args) if isinstance(one, ast.Starred)]
    return args[: stars[0]] if stars else args


# ---------------------------------------------------------------- maps


def _map(call: ast.Call, scope: Scope) -> Iterator[Any]:
    if not call.args or _before_star(call.args) != call.args:
        return
    iterables = call.args[1:]
    match infer(call.args[0], scope):
        case Live(TaskTemplate() as task):
            yield from _fit_names(task, call, iterables, {}, True)
            open_names = _names(task)
        case Partial(TaskTemplate() as task, partial):
            given = {word.arg: word.value for word in partial.keywords if word.arg is not None}
            if len(given) < len(partial.keywords) or _before_star(partial.args) != partial.args:
                return
            bound = partial.args[1:]
            wrong = list(_fit_names(task, call, bound, given, False))
            yield from wrong
            open_names = [name for name in _names(task)[len(bound) :] if name not in given]
            if len(open_names) != 1 and not wrong:
                text = f"a partial of {task.short_name} must leave one input open, it leaves {len(open_names)}"
                yield "arguments", call, f"{text}. It takes {_takes(task)}."
        case _:
            return
    for name, iterable in zip(open_names, iterables, strict=False):
        for element in element_of(infer(iterable, scope)):
            yield from _fit_type(task, name, element, iterable)


# ---------------------------------------------------------------- plain functions


def _plain_call(name: str, function: Callable[..., Any], call: ast.Call) -> Iterator[Any]:
    words = [word.arg for word in call.keywords]
    if _before_star(call.args) != call.args or None in words:
        return
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except NameError:  # annotations for type checkers only, evaluated late from Python 3.14 on
        return
    try:
        signature.bind(*call.args, **dict.fromkeys(filter(None, words)))
    except TypeError as error:
        yield "arguments", call, f"{name}: {error}. It takes {_without_types(signature)}."


def _without_types(signature: inspect.Signature) -> str:
    parameters = signature.parameters.values()
    return f"({', '.join(p.name if p.default is p.empty else f'{p.name}=...' for p in parameters)})"
