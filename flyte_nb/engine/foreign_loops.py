"""Objects that belong to another event loop: says which one a task used, and what to do about it.

A lock, a queue or a client that was made (or first waited for) in a cell belongs to the loop of the cells; tasks run on
a loop of their own. asyncio then says `<asyncio.locks.Lock object at 0x7f..> is bound to a different event loop`. What
it does not say is the name under which the task found the object.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.executors.user_code import is_engine_file, is_users_file

__all__ = ["explain_foreign_loop"]

COMPLAINTS = ("different event loop", "different loop", "Event loop is closed")
SEARCH_LEVELS = 10
SEARCH_OBJECTS = 5_000
SEARCH_ITEMS = 50
"""How many items of a container are looked at."""
OPAQUE = (str, bytes, int, float, complex, type(None), type, ModuleType, asyncio.AbstractEventLoop)
"""What holds no object that could belong to a loop."""


def explain_foreign_loop(error: BaseException) -> BaseException:
    """Adds a note to an error about another event loop: the object's name in the user's code, and the cure.

    Must be called on the loop that the task ran on. Any other error is left as it is.

    Returns:
        The error.
    """
    complaint = _complaint(error)
    if complaint is not None:
        error.add_note(_note(_find(complaint, asyncio.get_running_loop())))
    return error


def _complaint(error: BaseException | None) -> BaseException | None:
    """The error of asyncio's, which may be the cause of the given one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, BaseRuntimeError):  # a child's: explained where it was raised
            return None
        if type(error) in (RuntimeError, ValueError) and str(error).endswith((*COMPLAINTS, "loop argument")):
            return error
        error = error.__cause__ or error.__context__
    return None


def _note(found: tuple[str, Any] | None) -> str:
    if found is None:
        return (
            "An object that this task uses belongs to the event loop of the cells (or to one that has ended); tasks run"
            " on a loop of their own. Create it inside the task."
        )
    path, part = found
    name = path.partition(".")[0].partition("[")[0]
    what = "is" if path == name else f"holds `{path}`,"
    return (
        f"`{name}` {what} {_kind(part)} that belongs to the event loop of the cells (or to one that has ended); tasks"
        f" run on a loop of their own. Create `{name}` inside the task that uses it."
    )


def _kind(part: Any) -> str:
    """`an asyncio.Lock`"""
    package = type(part).__module__.partition(".")[0].lstrip("_")
    return f"{'an' if package[:1] in 'aeiou' else 'a'} {package}.{type(part).__qualname__}"


def _find(error: BaseException, running: asyncio.AbstractEventLoop) -> tuple[str, Any] | None:
    """The path and the object, from the names that the user's frames see, the task's own frame first."""
    frames = list(_frames(error.__traceback__))
    users = [_visible(frame) for frame in frames if is_users_file(frame.f_code.co_filename)]
    refused = _refused(frames)
    tests: list[Callable[[Any], bool]] = [lambda value: _loop_of(value) not in (None, running)]
    if refused is not None:
        tests.insert(0, lambda value: value is refused)
    if owners := _owners(frames):  # a client drops the connection that failed: then its method tells
        tests.append(lambda value: id(value) in owners)
    return next((found for is_it in tests for names in users if (found := _search(names, is_it)) is not None), None)


def _frames(tb: TracebackType | None) -> Iterator[FrameType]:
    while tb is not None:
        yield tb.tb_frame
        tb = tb.tb_next


def _refused(frames: list[FrameType]) -> Any:
    """The lock or queue that refused, when it is known: `self` of asyncio's own check."""
    last = frames[-1] if frames else None
    return last.f_locals.get("self") if last is not None and last.f_code.co_name == "_get_loop" else None


def _owners(frames: list[FrameType]) -> set[int]:
    """The objects whose methods, in libraries, the user's code was in."""
    files = [(frame, frame.f_code.co_filename) for frame in frames if "self" in frame.f_locals]
    return {id(frame.f_locals["self"]) for frame, file in files if not is_users_file(file) and not is_engine_file(file)}


def _visible(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame and the globals that its code names."""
    names = _global_names(frame.f_code)
    return {**{name: frame.f_globals[name] for name in names if name in frame.f_globals}, **frame.f_locals}


def _global_names(code: CodeType) -> list[str]:
    """The names that a function uses, comprehensions and inner functions included."""
    inner = [name for part in code.co_consts if isinstance(part, CodeType) for name in _global_names(part)]
    return [*code.co_names, *inner]


def _search(names: dict[str, Any], is_it: Callable[[Any], bool]) -> tuple[str, Any] | None:
    """Breadth first, so that the shortest path is found."""
    queue = deque((name, value, 0) for name, value in names.items())
    seen: set[int] = set()
    while queue and len(seen) < SEARCH_OBJECTS:
        path, value, level = queue.popleft()
        if id(value) in seen or isinstance(value, OPAQUE):
            continue
        seen.add(id(value))
        if is_it(value):
            return path, value
        if level < SEARCH_LEVELS:
            queue.extend((path + step, part, level + 1) for step, part in _parts(value))
    return None


def _loop_of(value: Any) -> asyncio.AbstractEventLoop | None:
    if isinstance(value, asyncio.Future):
        return value.get_loop()
    loop = getattr(value, "__dict__", {}).get("_loop")
    return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r}]", item) for key, item in list(value.items())[:SEARCH_ITEMS] if isinstance(key, str | int)]
    if isinstance(value, list | tuple):
        return [(f"[{at}]", item) for at, item in enumerate(value[:SEARCH_ITEMS])]
    held = getattr(value, "__dict__", None)
    return [(f".{name}", item) for name, item in list(held.items())[:SEARCH_ITEMS]] if isinstance(held, dict) else []
