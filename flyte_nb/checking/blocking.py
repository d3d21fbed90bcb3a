"""Calls that hold up the event loop: a sync task, or a call that waits, in code that runs on the loop.

On the loop runs the function of an async task, what async functions it calls, and what sync functions these call; not
what is passed on to a thread. `BLOCKING` is the list of calls that wait.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from flyte_nb.authoring.map import map as flyte_map
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.checking.body import Body, Spot
from flyte_nb.checking.inference import infer, is_async
from flyte_nb.checking.inferred import Inferred, Live, Method
from flyte_nb.checking.problem import Problem, problem_at
from flyte_nb.checking.program import Program, Reach, function_of, unwrapped
from flyte_nb.syncify import SyncFunction

__all__ = ["BLOCKING", "find_blocking_calls"]

THREAD = "await asyncio.to_thread({name}, ...)"
BLOCKING = {
    "time.sleep": "await asyncio.sleep(...)",
    "builtins.input": "await (await flyte.new_condition.aio(...)).wait.aio()",
    "flyte_nb.run": "await flyte.run.aio(...)",
    "subprocess.run": "await asyncio.create_subprocess_exec(...)",
    **dict.fromkeys(
        [
            *(f"subprocess.{name}" for name in ("call", "check_call", "check_output", "getoutput", "getstatusoutput")),
            *("os.system", "os.wait", "os.waitpid", "socket.create_connection", "select.select", "urllib.urlopen"),
            *("urllib.urlretrieve",),
            *(f"{library}.{verb}" for library in ("requests", "httpx") for verb in ("delete", "get", "head")),
            *(f"{library}.{verb}" for library in ("requests", "httpx") for verb in ("options", "patch", "post")),
            *(f"{library}.{verb}" for library in ("requests", "httpx") for verb in ("put", "request")),
        ],
        THREAD,
    ),
}
"""What waits, by package and name, and what to write instead."""


def find_blocking_calls(program: Program) -> Iterator[Problem]:
    """The calls that hold up the event loop, in everything that a program reaches."""
    told: set[int] = set()
    for reach in program.reaches:
        for body in _on_the_loop(program, reach):
            if id(body) in told:
                continue
            told.add(id(body))
            for spot in body.spots:
                if isinstance(spot.node, ast.Call) and spot.is_direct:
                    message = _message(infer(spot.node.func, spot.scope), ast.unparse(spot.node.func))
                    if message:
                        text = f"{message}; until it is done, nothing else on the event loop goes on."
                        yield problem_at("blocking-call", text, body.function, spot.node, reach.task.name)


def _on_the_loop(program: Program, reach: Reach) -> list[Body]:
    """What runs on the loop of an async task: its function, and what is called from there."""
    function = function_of(reach.task)
    if function is None or not is_async(reach.task):
        return []
    found: list[Body] = []
    pending = [function]
    while pending:
        body = program.body(pending.pop())
        if body is None or any(body is known for known in found):
            continue
        found.append(body)
        pending.extend(called for spot in body.spots if (called := _called(spot)) is not None)
    return found


def _called(spot: Spot) -> FunctionType | None:
    """The function of the user's own that a call runs right there."""
    if not isinstance(spot.node, ast.Call) or not spot.is_direct:
        return None
    match infer(spot.node.func, spot.scope):
        case Live(TraceFunction() as trace):
            return unwrapped(trace.func)
        case Live(FunctionType() as function):
            return unwrapped(function)
        case _:
            return None


def _message(called: Inferred, words: str) -> str:
    """What is wrong with a call on the loop; empty when nothing is.

    Args:
        called: what is called.
        words: as the user wrote it.
    """
    match called:
        case Live(TaskTemplate() as task):
            if is_async(task) or function_of(task) is None:
                return ""
            return f"{words} is a sync task, called in async code: write `await {words}.aio(...)`"
        case Method(TaskTemplate() as task, "forward"):
            if is_async(task) or function_of(task) is None:
                return ""
            return f"{words} blocks: write `{THREAD.format(name=words)}`"
        case Live(mapping) if mapping is flyte_map:
            return f"{words} blocks: write `async for ... in {words}.aio(...)`"
        case Live(SyncFunction()):
            return f"{words} blocks: write `await {words}.aio(...)`"
        case Live(value) if (cure := BLOCKING.get(_name_of(value))) is not None:
            return f"{words} blocks: write `{cure.format(name=words)}`"
        case _:
            return ""


def _name_of(value: Any) -> str:
    """Package and name: `urllib.urlopen`, whichever of the package's modules has it."""
    package = str(getattr(value, "__module__", "") or "").partition(".")[0]
    return f"{'os' if package in ('posix', 'nt') else package}.{getattr(value, '__qualname__', '')}"
