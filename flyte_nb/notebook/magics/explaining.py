"""`%flyte explain TASK`: what a task's code holds, where it runs and why, and under which version it is cached."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from flyte_nb.authoring.cache import Cache, cache_from_request
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.code.digests import Captured, deep_digest, explain, own_digest
from flyte_nb.engine.code.values import MAX_ARRAY_BYTES
from flyte_nb.engine.isolation import decide
from flyte_nb.engine.options import RunOptions
from flyte_nb.engine.plans import cache_version
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.remote.search import find_task
from flyte_nb.store.table import Table

__all__ = ["EXPLAIN"]

COLUMNS = ("name", "kind", "size_bytes", "digest")
LARGE_BYTES = MAX_ARRAY_BYTES
"""From this size on a captured value counts by type and shape, and each process is sent it with the code."""


def explain_line(namespace: Mapping[str, Any], line: str) -> Table:
    """Prints what is to be said of a task, and gives what its digest holds as a table."""
    task = find_task(namespace, line)
    captured = [(one, size_of(one, task)) for one in explain(task)]
    print("\n".join(facts_of(task)))
    for one, size_bytes in captured:
        if size_bytes >= LARGE_BYTES:
            print(
                f"Large: {one.name}, {size_bytes / 1e6:,.1f} MB. It goes with the code to every process, and what "
                "changes in it is not seen by the cache. Pass it as an input."
            )
    return Table(COLUMNS, [(one.name, one.kind, size_bytes, one.digest[:12]) for one, size_bytes in captured])


def facts_of(task: TaskTemplate[Any, Any]) -> Iterator[str]:
    own, deep = own_digest(task), deep_digest(task)
    isolation, reason = decide(task, RunOptions())
    cache: Cache = cache_from_request(task.cache)
    yield task.name
    yield f"  code    {own[:12]}, with the tasks that it can reach {deep[:12]}"
    yield f"  runs    in {WHERE[isolation]}: {reason}"
    if cache.is_enabled():
        version = cache_version(task, cache, deep)
        yield f"  cache   {cache.behavior}, version {version[:12]}"
    else:
        yield "  cache   off"


WHERE = {"kernel": "the kernel", "process": "a process", "virtualenv": "a virtual environment"}


def size_of(captured: Captured, task: TaskTemplate[Any, Any]) -> int:
    """Bytes of the value, where it is a large one that the digest knows by its shape only."""
    owner, _, name = captured.name.rpartition(": ")
    names: Mapping[str, Any] = getattr(getattr(task, "func", None), "__globals__", {})
    if captured.kind not in ("value", "opaque", "assigned") or not owner or name not in names:
        return captured.size_bytes
    return max(captured.size_bytes, bytes_in(names[name]))


def bytes_in(value: Any) -> int:
    """The memory that a value takes; of a container, without what its items hold."""
    if hasattr(value, "memory_usage") and hasattr(value, "index"):  # pandas
        usage = value.memory_usage(index=True, deep=False)
        return int(usage if isinstance(usage, int) else usage.sum())
    if hasattr(value, "estimated_size"):  # polars
        return int(value.estimated_size())
    return int(getattr(value, "nbytes", 0)) or sys.getsizeof(value)


EXPLAIN = Command(
    "explain",
    "Says of a task what its code holds, where it runs and why, and the version of its cached results.",
    explain_line,
    (Argument("TASK", "a task: its name here, or its full name", kind="task"),),
    raw=True,
    usage="TASK",
    examples=("%flyte explain fit",),
)
