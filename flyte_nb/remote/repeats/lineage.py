"""The tree of a run that recovered or forked another, as if it had made all of it alone.

What it took over stands with the calls that the earlier run made for it. Of what it was interrupted in, those calls
stand there, too, that the earlier run made and it had not yet come to.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from flyte_nb.engine.history import FINISHED
from flyte_nb.remote.repeats.histories import LINEAGE, REUSING
from flyte_nb.remote.source import source
from flyte_nb.store.rows import ActionRow, RunRow, TaskRow
from flyte_nb.types.trees import identity_of

__all__ = ["tree_of"]

Placed: TypeAlias = "tuple[Recorded, ActionRow]"
"""An action, and the run that it is of."""


class Recorded:
    """One run of those that repeat one another.

    Args:
        row: the run.
        first_spec: number of its first task among those of all these runs.
    """

    def __init__(self, row: RunRow, first_spec: int) -> None:
        self.row = row
        self.first_spec = first_spec
        self.tasks = source.tasks(row.name)
        self.actions: dict[str, ActionRow] = {}
        self.children: defaultdict[str, list[ActionRow]] = defaultdict(list)
        for action in source.action_rows(row.name):
            self.actions[action.name] = action
            self.children[action.parent].append(action)

    @property
    def last_spec(self) -> int:
        """Number behind those of its tasks."""
        return self.first_spec + max((task.spec + 1 for task in self.tasks), default=0)


class Lineage:
    """A run, the one that it recovered or forked, and so on."""

    def __init__(self, row: RunRow) -> None:
        self._newest = Recorded(row, 0)
        self._known: dict[str, Recorded] = {row.name: self._newest}

    def actions(self) -> Iterator[ActionRow]:
        """The whole tree, parents before their children; each action as the run recorded it that executed it."""
        pending: deque[Placed] = deque((self._newest, root) for root in self._newest.children[""])
        while pending:
            run, action = self._origin(*pending.popleft())
            spec = action.spec + run.first_spec if action.kind == "task" else action.spec
            yield replace(action, spec=spec)
            pending.extend(self._calls(run, action))

    def tasks(self) -> list[TaskRow]:
        """The tasks of all these actions, numbered as there."""
        return [replace(task, spec=task.spec + run.first_spec) for run in self._known.values() for task in run.tasks]

    def _origin(self, run: Recorded, action: ActionRow) -> Placed:
        """The action where it was executed."""
        while action.phase == "recovered":
            name, _, earlier = action.source.partition("/")
            older = self._run(name)
            if older is None or earlier not in older.actions:
                break
            run, action = older, older.actions[earlier]
        return run, action

    def _calls(self, run: Recorded, action: ActionRow) -> Iterator[Placed]:
        """The calls that an action made; of one that did not finish also those that it only made in the earlier run."""
        children = run.children[action.name]
        yield from ((run, child) for child in children)
        older = self._run(run.row.parent_run) if run.row.options.get(LINEAGE) in REUSING else None
        if action.phase in FINISHED or older is None or action.name not in older.actions:
            return
        made = Counter(map(call_of, children))
        for owner, child in self._calls(*self._origin(older, older.actions[action.name])):
            made[call_of(child)] -= 1
            if made[call_of(child)] < 0:
                yield owner, child

    def _run(self, name: str) -> Recorded | None:
        """A run of the store; None when it was pruned."""
        if name not in self._known:
            try:
                row = source.run(name)
            except KeyError:
                return None
            self._known[name] = Recorded(row, max(run.last_spec for run in self._known.values()))
        return self._known[name]


def call_of(action: ActionRow) -> tuple[str, str, bytes]:
    """What makes calls under one parent equal, whatever their code."""
    return action.task, action.group, identity_of(action.inputs)


def tree_of(row: RunRow) -> tuple[list[ActionRow], list[TaskRow]]:
    """The actions of a run and of what it took over, parents before their children, and their tasks by `spec`."""
    lineage = Lineage(row)
    actions = list(lineage.actions())
    return actions, lineage.tasks()
