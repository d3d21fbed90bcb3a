"""`%flyte cache`: the cached results, why a call was or was not answered by one, and how to be rid of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.launching import read_line
from flyte_nb.notebook.magics.words import split_words
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import did_you_mean, find_task, tasks_in
from flyte_nb.remote.upkeep.cache import (
    CACHE_COLUMNS,
    NOTHING_CACHED,
    cached_rows,
    clear,
    explain_action,
    explain_call,
    explain_run,
    explain_task,
)
from flyte_nb.store.table import Table

__all__ = ["CACHE"]


def cache(namespace: Mapping[str, Any], line: str) -> Table | None:
    """The cached results as a table, or `explain`, or `clear`."""
    what, _, rest = line.partition(" ")
    if what == "explain":
        print(explain(namespace, rest.strip()))
    elif what == "clear":
        print(clear_line(namespace, rest.strip()))
    elif what:
        near = did_you_mean(what, ("explain", "clear"))
        raise CommandError(f"%flyte cache lists, %flyte cache explain | clear; got {what!r}.{near}")
    elif rows := cached_rows():
        return Table(CACHE_COLUMNS, rows)
    else:
        print(NOTHING_CACHED)
    return None


def explain(namespace: Mapping[str, Any], line: str) -> str:
    """Why, for a run, an action, a task, or a call that might be made."""
    words = split_words(line)
    if not words:
        raise CommandError("Say of what: %flyte cache explain RUN, RUN/ACTION, or TASK [--name value ...]")
    name = words[0].plain
    run, slash, action = name.partition("/")
    if slash:
        return explain_action(run, action)
    if name not in tasks_in(namespace) and "." not in name:
        return explain_run(name)
    if len(words) > 1:
        given = read_line(namespace, line)
        given.check()
        return explain_call(given.task, given.inputs)
    task = tasks_in(namespace).get(name)
    return explain_task(name if task is None else task.name, task)


def clear_line(namespace: Mapping[str, Any], line: str) -> str:
    """Clears what the line says."""
    given = CLEAR.read(split_words(line))
    task = given["task"]
    if task in tasks_in(namespace):
        task = find_task(namespace, task).name
    return clear(task, given["all"], given["older_than"])


CLEAR = Command(
    "cache clear",
    "Removes cached results.",
    clear,
    (
        Argument("TASK", "only this task's", kind="task", required=False),
        Argument("--all", "all", "flag", default=False),
        Argument("--older-than", "only those stored so long ago, as 7d or 12h"),
    ),
)

CACHE = Command(
    "cache",
    "Lists cached results; `explain` says why a call hits or misses and what differs; `clear` removes them.",
    cache,
    raw=True,
    usage="[explain RUN[/ACTION] | explain TASK [--name value ...] | clear [TASK] [--older-than TIME] [--all]]",
    arguments=(
        Argument("WHAT", "`explain`, `clear`, or nothing to list them", kind="cache"),
        Argument(
            "RUN/ACTION", "with explain: a run or an action of it; were they answered from the cache?", kind="cached"
        ),
        Argument("TASK", "with explain: what is cached of it; with inputs: would that call be answered?", kind="task"),
        Argument("--older-than", "with clear: only results stored so long ago, as 7d or 12h"),
        Argument("--all", "with clear: everything", kind="flag"),
    ),
    examples=(
        "%flyte cache",
        "%flyte cache explain last",
        "%flyte cache explain fit --depth 3",
        "%flyte cache clear fit",
    ),
)
