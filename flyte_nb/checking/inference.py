"""Infers what expressions are: constants, declared types of parameters and of what tasks return, live objects.

It says only what is sure. Annotations of tasks are trusted, as the engine enforces them; those of other functions too,
but for `float`, where an int may stand.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import typing
from enum import EnumMeta
from types import FunctionType, ModuleType
from typing import Any

from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.checking.bindings import Binding
from flyte_nb.checking.inferred import (
    UNKNOWN,
    Constant,
    Coroutine,
    Inferred,
    Items,
    Live,
    Method,
    Nested,
    Of,
    Pairs,
    Partial,
)
from flyte_nb.checking.scope import MISSING, Global, Scope, attribute_of
from flyte_nb.engine.code.ownership import is_own_module
from flyte_nb.syncify import SyncFunction, SyncGenFunction

__all__ = ["infer", "is_async", "result_of"]

SCALARS = (bool, int, float, str, bytes, type(None))
CONVERSIONS = {bool, int, float, str, bytes, list, dict, set, tuple}
MEASURES: dict[Any, type] = {len: int, repr: str, ascii: str, chr: str, ord: int, callable: bool, isinstance: bool}
DISPLAYS: dict[type, type] = {ast.List: list, ast.Tuple: tuple, ast.Set: set, ast.ListComp: list, ast.SetComp: set}
DEEPEST = 50
"""Expressions and names are followed so far."""


def infer(node: ast.AST | None, scope: Scope, depth: int = 0) -> Inferred:
    """What an expression is."""
    if depth > DEEPEST:
        return UNKNOWN

    def inner(part: ast.AST | None) -> Inferred:
        return infer(part, scope, depth + 1)

    match node:
        case ast.Constant(value=value):
            return Constant(value) if isinstance(value, SCALARS) else UNKNOWN
        case ast.JoinedStr():
            return Of(str)
        case ast.Name(id=name):
            return _name(name, scope, depth)
        case ast.Attribute(value=value, attr=name):
            return _attribute(inner(value), name)
        case ast.Await(value=value):
            awaited = inner(value)
            return awaited.result if isinstance(awaited, Coroutine) else UNKNOWN
        case ast.Call():
            return _call(node, scope, depth)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return Items(DISPLAYS[type(node)], tuple(map(inner, items)))
        case ast.ListComp(elt=item) | ast.SetComp(elt=item):
            return Items(
                DISPLAYS[type(node)], (infer(item, Scope(node, scope.function, scope.changing, scope), depth + 1),)
            )
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return Pairs(tuple(map(inner, keys)), tuple(map(inner, values)))
        case ast.NamedExpr(value=value):
            return inner(value)
        case ast.UnaryOp(op=ast.Not()):
            return Of(bool)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _negative(inner(operand))
        case ast.BinOp(left=left, op=op, right=right):
            return _operation(inner(left), op, inner(right))
        case ast.Subscript(value=value, slice=index):
            return _item(inner(value), index)
        case _:
            return UNKNOWN


def result_of(task: TaskTemplate[Any, Any]) -> Inferred:
    """What a call of the task gives, awaited."""
    outputs = list(task.native_interface.outputs.values())
    if not outputs:
        return Constant(None)
    return Of(outputs[0]) if len(outputs) == 1 else Items(tuple, tuple(map(Of, outputs)))


def is_async(value: Any) -> bool:
    """Whether a plain call of a live object gives a coroutine."""
    match value:
        case AsyncFunctionTaskTemplate():
            return inspect.iscoroutinefunction(value.func)
        case TraceFunction():
            return inspect.iscoroutinefunction(value.func)
        case FunctionType():
            return inspect.iscoroutinefunction(value)
        case _:
            return False


# ---------------------------------------------------------------- names


def _name(name: str, scope: Scope, depth: int) -> Inferred:
    found = scope.find(name)
    if found is None:
        return UNKNOWN
    if isinstance(found, Global):
        return UNKNOWN if found.place in scope.changing else _live(found.value)
    owner, binding = found
    if binding.is_parameter:
        return _parameter(name, binding, owner)
    if binding.imported:
        return _live(owner.imported(binding.imported))
    match binding.value:
        case ast.FunctionDef() | ast.AsyncFunctionDef() as nested:
            return _nested(nested)
        case ast.expr() as value:
            inferred = infer(value, owner, depth + 1)
            return inferred if binding.index is None else _unpacked(inferred, binding.index)
        case _:
            return UNKNOWN


def _live(value: Any) -> Inferred:
    if value is MISSING or value is None or isinstance(value, functools.partial):  # None is often set later
        return UNKNOWN
    if isinstance(value, type | FunctionType | ModuleType | TaskTemplate | TraceFunction) or callable(value):
        return Live(value)
    return Of(type(value))


def _parameter(name: str, binding: Binding, scope: Scope) -> Inferred:
    if scope.outer is not None:  # of a nested function: a plain name is enough to go by
        found = scope.outer.find(binding.value.id) if isinstance(binding.value, ast.Name) else None
        declared = found.value if isinstance(found, Global) else None
        return Of(declared) if isinstance(declared, type) and declared is not float else UNKNOWN
    declared = _hints(scope.function).get(name, MISSING)
    return UNKNOWN if declared is MISSING else Of(declared)


def _hints(function: FunctionType) -> dict[str, Any]:
    """The annotations of a function that say something sure."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):  # annotations for type checkers only
        return {}
    if _is_of_task(function):
        return hints
    return {name: declared for name, declared in hints.items() if float not in _members(declared)}


def _is_of_task(function: FunctionType) -> bool:
    found = function.__globals__.get(function.__name__)
    return isinstance(found, AsyncFunctionTaskTemplate) and found.func is function


def _members(declared: Any) -> list[Any]:
    """A type and all types in it."""
    return [declared, *(member for inner in typing.get_args(declared) for member in _members(inner))]


def _nested(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Inferred:
    is_generator = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))
    if node.decorator_list or is_generator or isinstance(node, ast.FunctionDef):
        return UNKNOWN
    return Nested(node)


def _unpacked(inferred: Inferred, index: int) -> Inferred:
    match inferred:
        case Items(items=items, kind=kind) if kind is not set and index < len(items):
            return items[index]
        case Of(declared) if typing.get_origin(declared) is tuple:
            members = typing.get_args(declared)
            return Of(members[index]) if Ellipsis not in members and index < len(members) else UNKNOWN
        case _:
            return UNKNOWN


# ---------------------------------------------------------------- attributes and items


def _attribute(owner: Inferred, name: str) -> Inferred:
    match owner:
        case Live(ModuleType() as module):
            return _live(attribute_of(module, name))
        case Live(EnumMeta() as kind) if name in kind.__members__:
            return Of(kind)
        case Live(value):
            return Method(value, name)
        case Of(type() as kind) if dataclasses.is_dataclass(kind):
            fields = {field.name: field.type for field in dataclasses.fields(kind)}
            declared = fields.get(name)
            return Of(declared) if isinstance(declared, type) and declared is not float else UNKNOWN
        case _:
            return UNKNOWN


def _item(owner: Inferred, index: ast.expr) -> Inferred:
    match owner, index:
        case Items(kind=kind, items=items), ast.Constant(value=int(at)) if kind is tuple and 0 <= at < len(items):
            return items[at]
        case Of(declared), ast.Slice():
            return Of(declared) if typing.get_origin(declared) is list else UNKNOWN
        case Of(declared), _:
            members = typing.get_args(declared)
            if typing.get_origin(declared) in (list, dict) and members:
                return Of(members[-1])
        case _:
            pass
    return UNKNOWN


# ---------------------------------------------------------------- calls and operations


def _call(node: ast.Call, scope: Scope, depth: int) -> Inferred:
    called = infer(node.func, scope, depth + 1)
    match called:
        case Method(TaskTemplate() as task, "override"):
            return Live(task)
        case Method(TaskTemplate() as task, "aio"):
            return Coroutine(f"{task.short_name}.aio", result_of(task))
        case Method(TaskTemplate() as task, "forward"):
            return Coroutine(f"{task.short_name}.forward", result_of(task)) if is_async(task) else result_of(task)
        case Method(SyncGenFunction(), "aio"):
            return UNKNOWN
        case Method(SyncFunction() as function, "aio"):
            return Coroutine(f"{function.__name__}.aio", UNKNOWN)
        case Nested(nested):
            return Coroutine(nested.name, UNKNOWN)
        case Live(value):
            return _call_of(value, node, scope, depth)
        case _:
            return UNKNOWN


def _call_of(value: Any, node: ast.Call, scope: Scope, depth: int) -> Inferred:
    match value:
        case TaskTemplate():
            return Coroutine(value.short_name, result_of(value)) if is_async(value) else result_of(value)
        case TraceFunction():
            return Coroutine(value.name, UNKNOWN) if is_async(value) else UNKNOWN
        case FunctionType():
            returned = _hints(value).get("return", MISSING) if is_own_module(value.__module__ or "") else MISSING
            result = UNKNOWN if returned is MISSING or inspect.isgeneratorfunction(value) else Of(returned)
            if is_async(value):
                return Coroutine(value.__qualname__, result)
            return UNKNOWN if inspect.isasyncgenfunction(value) else result
        case _ if value is functools.partial:
            owner = infer(node.args[0], scope, depth + 1) if node.args else UNKNOWN
            return Partial(owner.value, node) if isinstance(owner, Live) else UNKNOWN
        case type() if value in CONVERSIONS or _makes_itself(value):
            return Of(value)
        case _:
            measured = next((kind for function, kind in MEASURES.items() if function is value), None)
            return UNKNOWN if measured is None else Of(measured)


def _makes_itself(kind: type) -> bool:
    """Whether a call of the class gives an instance of it."""
    has_own_way = any("__new__" in vars(base) for base in kind.__mro__[:-1])
    return type(kind) is type and not has_own_way and is_own_module(kind.__module__)


def _negative(operand: Inferred) -> Inferred:
    match operand:
        case Constant(int() | float() as value) if not isinstance(value, bool):
            return Constant(-value)
        case Of(declared) if declared in (int, float):
            return operand
        case _:
            return UNKNOWN


def _operation(left: Inferred, op: ast.operator, right: Inferred) -> Inferred:
    kinds = {_scalar(left), _scalar(right)}
    if kinds == {str}:
        return Of(str) if isinstance(op, ast.Add) else UNKNOWN
    if not kinds <= {int, float}:
        return UNKNOWN
    if isinstance(op, ast.Div) or (float in kinds and isinstance(op, ast.Add | ast.Sub | ast.Mult)):
        return Of(float)
    if kinds == {int} and isinstance(op, ast.Add | ast.Sub | ast.Mult | ast.FloorDiv | ast.Mod):
        return Of(int)
    return UNKNOWN


def _scalar(inferred: Inferred) -> Any:
    match inferred:
        case Constant(value):
            return type(value)
        case Of(declared):
            return declared if isinstance(declared, type) else None
        case _:
            return None
