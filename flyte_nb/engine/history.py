"""What a run may reuse of earlier ones: actions that finished there, by name.

    recover   the same code: every finished action counts
    fork      the code as it stands: a finished action counts when all the code that it reaches is the same

Names hold position, inputs and own code (docs/evaluation.md), so an equal name is the same call of the same code. A run
that itself recovered or forked another may have ended before it came to all that was finished there: that counts, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from flyte_nb.engine.identity import ROOT
from flyte_nb.engine.secrets.masking import MASKED_NOTE
from flyte_nb.store.rows import ActionRow, OutcomeRow, TaskRow
from flyte_nb.types.trees import identity_of

__all__ = ["FINISHED", "History", "Reusable", "with_ancestors"]

FINISHED = frozenset({"succeeded", "recovered"})
FAULTY = frozenset({"failed", "timed_out"})
"""What ended so, ended later than any success that an earlier run knows of."""


class Reusable(msgspec.Struct, frozen=True, gc=False):
    """A result that need not be computed again.

    Attributes:
        outputs: as recorded.
        source: RUN/ACTION where they were.
    """

    outputs: bytes
    source: str


class History:
    """What became of the actions of a run.

    Args:
        run: its name.
        raw_data_path: folder of its files.
        outcomes: of its actions.
        tasks: its declarations.
        is_same_code: the code that runs now is the recorded code.
        forced: names of actions that shall run again, and of those that contain them.
        older: of the run that this one repeated.
    """

    def __init__(
        self,
        run: str,
        raw_data_path: str,
        outcomes: Collection[OutcomeRow],
        tasks: Collection[TaskRow],
        is_same_code: bool,
        forced: Collection[str] = (),
        older: History | None = None,
    ) -> None:
        self.run = run
        self.raw_data_path = raw_data_path
        self._outcomes = {outcome.name: outcome for outcome in outcomes}
        self._deep_digests = {task.spec: task.deep_digest for task in tasks}
        self._is_same_code = is_same_code
        self._forced = frozenset(forced)
        self._older = older

    def find(self, name: str, deep_digest: str) -> Reusable | None:
        """The outputs of a task's action that need not run again, None when it must."""
        known = self._outcomes.get(name)
        is_same = known is not None and known.kind == "task" and self._is_same(known, deep_digest)
        if known is not None and is_same and (found := self._reusable(known)):
            return found
        return self._older.find(name, deep_digest) if self._older is not None and self._may_be_older(name) else None

    def find_root(self, deep_digest: str, inputs: bytes) -> Reusable | None:
        """The same for the root, whose name says nothing of its inputs."""
        known = self._outcomes.get(ROOT)
        if known is None or self._reusable(known) is None or identity_of(known.inputs) != identity_of(inputs):
            return None
        return self.find(ROOT, deep_digest)

    def find_trace(self, name: str) -> Reusable | None:
        """The result of a step of a traced function, or the answer to a condition; None when it must be had again."""
        known = self._outcomes.get(name)
        if known is not None and known.kind != "task" and (found := self._reusable(known)):
            return found
        return self._older.find_trace(name) if self._older is not None and self._may_be_older(name) else None

    def interrupted(self, name: str, deep_digest: str, inputs: bytes) -> Iterator[History]:
        """The runs in which the same call of the same code did not finish, the last first: it can go on from there."""
        known = self._outcomes.get(name)
        if known is not None and known.phase not in FINISHED and name not in self._forced:
            has_same_inputs = name != ROOT or identity_of(known.inputs) == identity_of(inputs)
            if has_same_inputs and self._is_same(known, deep_digest):
                yield self
        if self._older is not None:
            yield from self._older.interrupted(name, deep_digest, inputs)

    def _is_same(self, known: OutcomeRow, deep_digest: str) -> bool:
        """Whether all the code that an action reaches is what it was."""
        return self._is_same_code or self._deep_digests.get(known.spec) == deep_digest

    def _reusable(self, known: OutcomeRow) -> Reusable | None:
        if known.phase not in FINISHED or known.outputs is None or MASKED_NOTE in known.note:
            return None
        return Reusable(known.outputs, f"{self.run}/{known.name}") if known.name not in self._forced else None

    def _may_be_older(self, name: str) -> bool:
        """Whether a success that an earlier run knows of is the last word."""
        known = self._outcomes.get(name)
        return name not in self._forced and (known is None or known.phase not in FAULTY)

    def __len__(self) -> int:
        return len(self._outcomes)


def with_ancestors(actions: Collection[ActionRow | OutcomeRow], names: Collection[str]) -> set[str]:
    """The names, and those of all actions that contain them.

    Raises:
        KeyError: there is no action of such a name.
    """
    parents = {action.name: action.parent for action in actions}
    found: set[str] = set()
    for name in names:
        if name not in parents:
            raise KeyError(name)
        while name and name not in found:
            found.add(name)
            name = parents[name]
    return found
