"""Tasks and runs by what a person types: a name, the beginning of one, `last`."""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.session import current_session
from flyte_nb.errors import RemoteTaskNotFoundError
from flyte_nb.remote.deploying.deployed import find, load
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.run import Run
from flyte_nb.remote.source import source

__all__ = ["LAST", "did_you_mean", "find_deployed_task", "find_run", "find_task", "last_run", "tasks_in"]

LAST = "last"
"""Stands for the run that was started last."""
RUNS_SEARCHED = 10_000


def find_task(namespace: Mapping[str, Any], words: str) -> TaskTemplate[Any, Any]:
    """The task that is meant.

    Args:
        namespace: the user's names.
        words: a name in it, also dotted (`module.task`), or a task's full name (`environment.task`); of a deployed
            task also with its version (`environment.task:version`).

    Raises:
        CommandError: there is none; the message says what the name is, and names near tasks.
    """
    found = _looked_up(namespace, words)
    if isinstance(found, TaskTemplate):
        return found
    tasks = tasks_in(namespace)
    if words in tasks:
        return tasks[words]
    if found is None and (deployed := find_deployed_task(words)) is not None:
        return deployed
    elsewhere = [task for task, _ in source.deployed_names()] if "." in words else []
    near = did_you_mean(words, sorted({*tasks, *elsewhere}))
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in words.split(".")):
        raise CommandError(f"Say which task by its name; {words!r} is not a name.{near}")
    if found is None:
        known = ", ".join(sorted(tasks)[:10]) or "none yet; declare one with @env.task"
        raise CommandError(f"No task is named {words!r}.{near or f' Tasks here: {known}.'}")
    kind = "a function" if callable(found) and hasattr(found, "__code__") else f"of type {type(found).__name__}"
    hint = " Declare it with @env.task." if kind == "a function" else ""
    raise CommandError(f"{words!r} is {kind}, not a task.{hint}{near}")


def find_deployed_task(words: str) -> TaskTemplate[Any, Any] | None:
    """The deployed task that is meant, None where none has the name.

    Args:
        words: its full name, with its version behind a colon unless the latest is meant.

    Raises:
        CommandError: it has no such version; the message names near ones.
    """
    name, colon, version = words.partition(":")
    if not words.isprintable() or "." not in name:
        return None
    try:
        return load(find(name, version or None))
    except RemoteTaskNotFoundError as error:
        if colon:
            raise CommandError(error.args[0]) from None
        return None


def tasks_in(namespace: Mapping[str, Any]) -> dict[str, TaskTemplate[Any, Any]]:
    """The tasks that can be named here: by their names in the namespace, and by their full names."""
    named: dict[str, TaskTemplate[Any, Any]] = {}
    for environment in [value for value in namespace.values() if isinstance(value, TaskEnvironment)]:
        named.update(environment.tasks)
    own = {name: value for name, value in namespace.items() if isinstance(value, TaskTemplate) and name[:1] != "_"}
    named.update({task.name: task for task in own.values()})
    return {**named, **own}


def find_run(words: str) -> Run:
    """The run that is meant.

    Args:
        words: its name, the beginning of it, or `last`.

    Raises:
        CommandError: there is none, or more than one.
    """
    if words == LAST:
        last = last_run()
        if last is None:
            raise CommandError("There are no runs yet: flyte.run(task) starts one")
        return last
    try:
        return Run(words)
    except KeyError as error:
        starting = [name for name in _known() if words and name.startswith(words)]
        if len(starting) == 1:
            return Run(starting[0])
        if starting:
            some = f"{len(starting)} runs start with {words!r}: {', '.join(starting[:5])} ..."
            raise CommandError(f"{some} Give more of the name.") from None
        raise CommandError(str(error.args[0])) from None


def last_run() -> Run | None:
    """The run that was started last: from this process, here or at the backend that is connected, else the newest that
    is listed; None before the first."""
    active = current_session()
    started = [source.backend.last_started] if source.backend is not None and source.backend.last_started[0] else []
    if active is not None and active.runs:
        latest = active.runs[next(reversed(active.runs))]
        started.append((latest.name, latest.started_ns))
    if started:
        return Run(max(started, key=itemgetter(1))[0])
    rows = source.runs(limit=1)
    return Run(rows[0].name) if rows else None


def did_you_mean(words: str, known: Iterable[str]) -> str:
    """` Did you mean fit or fit2?` where something known is near, else empty."""
    near = difflib.get_close_matches(words, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _looked_up(namespace: Mapping[str, Any], words: str) -> Any:
    first, *rest = words.split(".")
    found = namespace.get(first)
    for part in rest:
        found = getattr(found, part, None)
    return found


def _known() -> list[str]:
    return [row.name for row in source.runs(limit=RUNS_SEARCHED)]
