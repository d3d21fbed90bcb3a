"""The actions of a run as they change, read once for all who watch them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from flyteidl2.workflow import run_definition_pb2

from flyte_nb.server.wire.messages import Scope
from flyte_nb.server.wire.records import Records
from flyte_nb.store.pages import Condition, ListedAction

__all__ = ["OVERLAP_NS", "FollowedRun", "State", "state_of"]

State = tuple[Any, ...]

OVERLAP_NS = 5_000_000_000
"""What happened so long before the last look is looked at again: it may have been recorded after it."""


class FollowedRun:
    """One run, for as long as somebody watches it.

    Args:
        records: the store.
        scope: under what those who watch look for it.
        run: name of the run.
        filters: which of its actions.
    """

    def __init__(self, records: Records, scope: Scope, run: str, filters: Sequence[Condition]) -> None:
        self.is_over = False
        self._records = records
        self._scope = scope
        self._run = run
        self._filters = filters
        self._guard = asyncio.Lock()
        self._revision = ""
        self._states: dict[str, State] = {}
        self._latest: dict[str, tuple[int, run_definition_pb2.Action]] = {}
        """Each action with the look that found it changed, in the order of the looks."""
        self._looks = 0
        self._looked_at_ns = 0

    async def look(self, revision: str) -> None:
        """Reads what has changed, unless that was done for this revision of the store.

        Who looks may be gone before the answer is there: what was read is only noted here, in one go.

        Raises:
            KeyError: there is no such run; the message names near ones.
        """
        async with self._guard:
            if self.is_over or self._revision == revision:
                return
            is_over, changed = await self._records.ask(self._read)
            self._looks += 1
            for row, message in changed:
                self._states[row.name] = state_of(row)
                self._latest.pop(row.name, None)
                self._latest[row.name] = (self._looks, message)
                self._looked_at_ns = max(self._looked_at_ns, row.updated_ns)
            self._revision, self.is_over = revision, is_over

    def news(self, look: int) -> tuple[int, list[run_definition_pb2.Action]]:
        """What has changed since a look.

        Args:
            look: number of the look after which somebody was told last; 0 for all.

        Returns:
            The number of the latest look, and the actions.
        """
        newest_first = takewhile(lambda found: found[0] > look, reversed(self._latest.values()))
        return self._looks, [message for _, message in newest_first][::-1]

    def _read(self) -> tuple[bool, list[tuple[ListedAction, run_definition_pb2.Action]]]:
        since_ns = self._looked_at_ns - OVERLAP_NS
        is_over, rows = self._records.changed_actions(self._run, self._filters, since_ns)
        changed = [row for row in rows if self._states.get(row.name) != state_of(row)]
        return is_over, [(row, self._records.message(self._scope, row)) for row in changed]


def state_of(row: ListedAction) -> State:
    """What is other than before when a row has changed."""
    return row.phase, row.attempt, row.updated_ns, row.labels
