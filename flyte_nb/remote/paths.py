"""Actions by the tasks that lead to them: `run["report/share[1]"]`.

A path is the names of tasks from a caller to what it called, with `/` between them; `[i]` picks the i-th of the calls
that one caller made of a task, from 0 on, `[-1]` the last. It may begin anywhere in the tree, as long as it fits one
action only; from the root on it always does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cached_property

from flyte_nb.remote.source import source

__all__ = ["Outline", "find_action", "outline_of"]

PART = re.compile(r"(?P<task>[^/\[\]]+)(?:\[(?P<at>-?\d+)\])?")
CANDIDATES = 5
"""Of more actions that fit, so many are named."""


class Outline:
    """The tree of a run: who called what.

    Args:
        rows: (action, parent, task) of its actions, in the order in which they were called.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self._rows = {name: (parent, task) for name, parent, task in rows}

    def __contains__(self, action: str) -> bool:
        return action in self._rows

    def __iter__(self) -> Iterator[str]:
        """The names of the actions, in the order in which they were called."""
        return iter(self._rows)

    def path_of(self, action: str) -> str:
        """The path of an action from the root on."""
        parent, task = self._rows[action]
        siblings = self._siblings[parent, short(task)]
        of_task = [name for name in siblings if self._rows[name][1] == task]
        label = short(task) if len(of_task) == len(siblings) else task
        part = label if len(of_task) == 1 else f"{label}[{of_task.index(action)}]"
        return f"{self.path_of(parent)}/{part}" if parent in self._rows else part

    def fitting(self, path: str) -> list[str]:
        """The actions that a path fits, in the order in which they were called; those from the root on, if any."""
        parts = [PART.fullmatch(part) for part in path.split("/")]
        if not all(parts):
            return []
        asked = [(part["task"], part["at"]) for part in parts[::-1] if part is not None]
        above = {name: self._above(name, asked) for name in self._rows}
        found = [name for name, parent in above.items() if parent is not None]
        return [name for name in found if above[name] == ""] or found

    def near(self, words: str) -> list[str]:
        """Names of tasks that are like the last one of a path."""
        tasks = {short(task) for _, task in self._rows.values()}
        last = words.rpartition("/")[2].partition("[")[0]
        return get_close_matches(last, sorted(tasks), n=3, cutoff=0.6)

    @cached_property
    def _siblings(self) -> dict[tuple[str, str], list[str]]:
        """The calls of one caller of tasks of one name."""
        siblings: dict[tuple[str, str], list[str]] = {}
        for name, (parent, task) in self._rows.items():
            siblings.setdefault((parent, short(task)), []).append(name)
        return siblings

    def _above(self, action: str, asked: list[tuple[str, str | None]]) -> str | None:
        """The caller of the first action of a path that leads to this one, empty for the root; None if it does not."""
        for wanted, at in asked:
            if action not in self._rows:
                return None
            parent, task = self._rows[action]
            if wanted not in (task, short(task)) or (
                at is not None and action not in self._at(parent, wanted, int(at))
            ):
                return None
            action = parent
        return action

    def _at(self, parent: str, wanted: str, at: int) -> list[str]:
        """The at-th of the calls of one caller of a task of that short or full name, in a list; empty if too few."""
        calls = self._siblings[parent, short(wanted)]
        if wanted != short(wanted):
            calls = [name for name in calls if self._rows[name][1] == wanted]
        return [calls[at]] if -len(calls) <= at < len(calls) else []

    def candidates(self, actions: list[str]) -> Iterator[str]:
        """Their paths, the first few."""
        yield from map(self.path_of, actions[:CANDIDATES])
        if len(actions) > CANDIDATES:
            yield "..."


def short(task: str) -> str:
    """A task's name without its environment."""
    return task.rpartition(".")[2]


def outline_of(run: str) -> Outline:
    """The tree of a run, as it stands."""
    return Outline(source.outline(run))


def find_action(run: str, words: str) -> str:
    """The name of the action that is meant.

    Args:
        run: name of the run.
        words: the action's name, an unambiguous beginning of it, or its path.

    Raises:
        KeyError: there is none, or more than one; the message names those that fit, or near ones.
    """
    outline = outline_of(run)
    if words in outline:
        return words
    found = outline.fitting(words)
    if len(found) > 1:
        known = ", ".join(outline.candidates(found))
        raise KeyError(f"{len(found)} actions of run {run} are {words!r}: {known}. Say which.")
    if found:
        return found[0]
    near = outline.near(words)
    if near or not words.isalnum():
        there = [name for task in near for name in outline.fitting(task)]
        known = ", ".join(outline.candidates(there))
        hint = f"did you mean {known}?" if known else "a path is names of tasks, as in report/share[1]."
        raise KeyError(f"Run {run} has no action {words!r}; {hint}")
    return str(source.action(run, words).name)
