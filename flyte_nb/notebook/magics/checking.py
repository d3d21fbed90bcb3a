"""`%flyte check TASK`: what is wrong with a task and all it can reach, and the planned graph, without running it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_nb.checking.check import Check, check
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.words import split_words
from flyte_nb.remote.search import find_task

__all__ = ["CHECK"]


def check_line(namespace: Mapping[str, Any], line: str) -> Check:
    return check(find_task(namespace, CHECK.read(split_words(line))["task"]))


CHECK = Command(
    "check",
    "Finds mistakes in a task and all it can reach, and draws the planned graph; runs nothing.",
    check_line,
    (Argument("TASK", "a task: its name here, or its full name", kind="task"),),
    examples=("%flyte check main",),
    raw=True,
)
