"""One mistake that a check found: what kind it is, where it stands, and what to do about it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from types import FunctionType
from typing import Literal, get_args

from flyte_nb.engine.tracebacks import place_of

__all__ = ["KINDS", "Kind", "Problem", "problem_at"]

Kind = Literal[
    "arguments",
    "types",
    "missing-await",
    "blocking-call",
    "changing-global",
    "unpicklable-global",
    "resources",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake.

    Attributes:
        kind: of the classes of mistakes, see docs/checking.md.
        message: what is wrong, and what to do.
        file: the file, or the name under which the cell was compiled; empty for a task that is no function.
        line: in it, from 1.
        task: full name of the task that reaches it first.
    """

    kind: Kind
    message: str
    file: str
    line: int
    task: str

    @property
    def place(self) -> str:
        """Where it stands, in the user's words: `cell 3, line 7` or `train.py, line 12`."""
        return place_of(self.file, self.line) if self.file else self.task

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.kind}, in {self.task}]"


def problem_at(kind: Kind, message: str, function: FunctionType, node: ast.expr | ast.stmt, task: str) -> Problem:
    """A mistake in a function's source."""
    return Problem(kind, message, function.__code__.co_filename, node.lineno, task)
