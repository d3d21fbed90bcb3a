"""Missing awaits: the call of something async whose coroutine nobody can ever await.

A coroutine may be awaited, returned, stored, or passed on (to `asyncio.gather`, a helper ...). It is a mistake where it
is dropped, used as if it were its result, given to a task or a built-in function, or returned by a task.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.checking.body import Body, Spot
from flyte_nb.checking.inference import infer
from flyte_nb.checking.inferred import Inferred, Live, Method, coroutine_in
from flyte_nb.checking.problem import Problem, problem_at

__all__ = ["find_missing_awaits"]

USED = "is used as if it were its result"
OF_COROUTINES = {"close", "cr_await", "cr_code", "cr_frame", "cr_running", "send", "throw", "__await__"}
BUILT_IN = {abs, ascii, bool, float, format, int, len, max, min, print, repr, round, sorted, str, sum}
"""Built-in functions that use their arguments, and cannot use a coroutine."""


def find_missing_awaits(body: Body, task: str, is_of_task: bool) -> Iterator[Problem]:
    """The coroutines of a function that are not awaited.

    Args:
        body: the function.
        task: who reaches it.
        is_of_task: it is the task's own function, whose result crosses by value.
    """
    loaded = {
        spot.node.id for spot in body.spots if isinstance(spot.node, ast.Name) and isinstance(spot.node.ctx, ast.Load)
    }
    for spot in body.spots:
        if not isinstance(spot.node, ast.Call | ast.Name | ast.List | ast.ListComp):
            continue
        how = _misuse(spot, body, loaded, is_of_task)
        if not how:
            continue
        inferred = infer(spot.node, spot.scope)
        found = coroutine_in(inferred)
        if found is not None and (found is inferred or how != USED):  # a list of coroutines may well be used
            cure = f"Write `await {found.name}(...)`, or pass it to asyncio.gather."
            text = f"the coroutine of {found.name} {how} and is never awaited. {cure}"
            yield problem_at("missing-await", text, body.function, spot.node, task)


def _misuse(spot: Spot, body: Body, loaded: set[str], is_of_task: bool) -> str:
    """How the expression around a coroutine misuses it; empty when it may be awaited yet."""
    node, parent = spot.node, spot.parent
    match parent:
        case ast.Expr() | ast.Assign() if isinstance(node, ast.Name):
            return ""  # it is made elsewhere, and may be awaited there
        case ast.Expr():
            return "is dropped"
        case ast.Assign(targets=[ast.Name(id=name)]) if name not in loaded and name in spot.scope.bindings:
            return f"is kept in `{name}`, which is not used,"
        case ast.Return() if is_of_task and spot.scope.node is body.node:
            return "is returned by a task"
        case ast.Call() if node is not parent.func:
            return _misuse_as_argument(infer(parent.func, spot.scope))
        case _:
            return USED if _uses(parent, node) else ""


def _misuse_as_argument(called: Inferred) -> str:
    if _is_task(called):
        return "is given to a task"
    return USED if isinstance(called, Live) and any(called.value is one for one in BUILT_IN) else ""


def _is_task(called: Inferred) -> bool:
    match called:
        case Live(value) | Method(value, "aio" | "forward"):
            return isinstance(value, TaskTemplate)
        case _:
            return False


def _uses(parent: ast.AST, node: ast.AST) -> bool:
    """Whether an expression or statement needs the value itself of a part of it."""
    match parent:
        case ast.BinOp() | ast.UnaryOp() | ast.AugAssign() | ast.FormattedValue() | ast.Assert():
            return True
        case ast.Compare(ops=ops):
            return not all(isinstance(op, ast.Is | ast.IsNot) for op in ops)
        case ast.BoolOp(values=values):
            return node is not values[-1]
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            return node is test
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated, is_async=0):
            return node is iterated
        case ast.Subscript(value=value):
            return node is value
        case ast.Attribute(value=value, attr=name):
            return node is value and name not in OF_COROUTINES
        case _:
            return False
