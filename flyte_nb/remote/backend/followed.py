"""A backend's run as it stands now: what the run of this process is to the explorer, for one that lives elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from flyte_nb.models import ActionPhase
from flyte_nb.store.rows import ActionRow, RunRow

__all__ = ["FollowedAction", "FollowedRun"]

ROOT = "a0"


@dataclass(slots=True)
class FollowedAction(ActionRow):
    """An action of a followed run.

    Attributes:
        index: its place in the run's order.
    """

    index: int = 0


class FollowedRun:
    """A run that its watch stream keeps up to date. One thread changes it; any thread reads.

    Args:
        row: the run as it stood when it was first asked for.

    Attributes:
        row: the run as it stands.
        order: its actions, parents before their children.
        actions: the same by name.
        closed: whether it is over, and nothing changes any more.
        names: names of the inputs of its tasks, by the number of their declaration, as far as they are known.
        note: what whoever shows it says of it as it stands.
    """

    lineage = ""
    parent_run = ""

    def __init__(self, row: RunRow) -> None:
        self.row = row
        self.order: list[FollowedAction] = []
        self.actions: dict[str, FollowedAction] = {}
        self.closed = False
        self.names: dict[int, list[str]] = {}
        self.note = ""
        self._orphans: dict[str, ActionRow] = {}
        self._changed: dict[str, FollowedAction] = {}

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def phase(self) -> str:
        return self.row.phase

    @property
    def labels(self) -> dict[str, str]:
        return self.row.labels

    @property
    def started_ns(self) -> int:
        return self.row.started_ns

    @property
    def counts(self) -> dict[str, int]:
        """How many actions are in each phase."""
        return Counter(action.phase for action in list(self.order))

    @property
    def is_whole(self) -> bool:
        """Whether every action is over and has its parent: nothing is left to be asked."""
        return not self._orphans and all(ActionPhase(action.phase).is_terminal for action in self.order)

    def take(self, changed: Iterable[ActionRow]) -> None:
        """Enters what the stream told. An action whose parent was not told yet waits for it."""
        waiting = self._orphans | {row.name: row for row in changed}
        while ready := [row for row in waiting.values() if not row.parent or row.parent in self.actions]:
            for row in ready:
                del waiting[row.name]
                self._enter(row)
        self._orphans = waiting

    def take_changed(self) -> list[FollowedAction]:
        """The actions that changed since the last time."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def _enter(self, row: ActionRow) -> None:
        known = self.actions.get(row.name)
        index = known.index if known is not None else len(self.order)
        told = {field.name: getattr(row, field.name) for field in fields(ActionRow)}
        action = FollowedAction(**told, index=index)
        if known is None:
            self.order.append(action)
        else:
            self.order[index] = action
        self.actions[row.name] = self._changed[row.name] = action
        self.row.action_count = len(self.order)
        if row.name == ROOT and not ActionPhase(self.phase).is_terminal:
            self.row.phase = row.phase
