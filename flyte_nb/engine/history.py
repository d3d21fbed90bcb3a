"""What a run may reuse of earlier ones: actions that finished there, by name.

    recover   the same code: every finished action counts
    fork      the code as it stands: a finished action counts when all the code that it reaches is the same

Names hold position, inputs and own code (docs/evaluation.md), so an equal name is the same call of the same code. A run
that itself recovered or forked another may have ended before it came to all that was finished there: that counts, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from flyte_nb.engine.identity import ROOT
from flyte_nb.engine.secrets.masking import MASKED_NOTE
from flyte_nb.store.rows import ActionRow, OutcomeRow, TaskRow
from flyte_nb.types.trees import identity_of

__all__ = ["FINISHED", "Finished", "History", "Reusable", "with_ancestors"]

FINISHED = frozenset({"succeeded", "recovered"})
FAULTY = frozenset({"failed", "timed_out"})
"""What ended so, ended later than any success that an earlier run knows of."""


class Finished(msgspec.Struct, frozen=True, gc=False):
    """One finished action.

    Attributes:
        deep_digest: of its code and all that it reaches; empty for a trace.
        inputs: as recorded.
        outputs: as recorded.
    """

    kind: str
    deep_digest: str
    inputs: bytes
    outputs: bytes


class Reusable(msgspec.Struct, frozen=True, gc=False):
    """A result that need not be computed again.

    Attributes:
        outputs: as recorded.
        source: RUN/ACTION where they were.
    """

    outputs: bytes
    source: str


class History:
    """The finished actions of a run.

    Args:
        run: its name.
        finished: by name.
        faulty: names of actions that ended by a fault.
        is_same_code: the code that runs now is the recorded code.
        older: of the run that this one repeated.
    """

    def __init__(
        self,
        run: str,
        finished: Mapping[str, Finished],
        faulty: Collection[str],
        is_same_code: bool,
        older: History | None = None,
    ) -> None:
        self.run = run
        self._finished = finished
        self._faulty = faulty
        self._is_same_code = is_same_code
        self._older = older

    @classmethod
    def of(
        cls,
        run: str,
        outcomes: Collection[OutcomeRow],
        tasks: Collection[TaskRow],
        is_same_code: bool,
        forced: Collection[str] = (),
        older: History | None = None,
    ) -> History:
        """The history that a store's rows tell.

        Args:
            outcomes: of the run.
            tasks: its declarations.
            is_same_code: see the class.
            forced: names of actions that shall run again, and of those that contain them.
            older: see the class.
        """
        deep_digests = {task.spec: task.deep_digest for task in tasks}
        rerun = set(forced)
        finished = {
            one.name: Finished(one.kind, deep_digests.get(one.spec, ""), one.inputs, one.outputs)
            for one in outcomes
            if one.phase in FINISHED and one.outputs is not None
            if one.name not in rerun and MASKED_NOTE not in one.note
        }
        faulty = {outcome.name for outcome in outcomes if outcome.phase in FAULTY} | rerun
        return cls(run, finished, faulty, is_same_code, older)

    def find(self, name: str, deep_digest: str) -> Reusable | None:
        """The outputs of a task's action that need not run again, None when it must."""
        known = self._finished.get(name)
        if known is not None and known.kind == "task" and (self._is_same_code or known.deep_digest == deep_digest):
            return Reusable(known.outputs, f"{self.run}/{name}")
        return self._older.find(name, deep_digest) if self._older is not None and name not in self._faulty else None

    def find_root(self, deep_digest: str, inputs: bytes) -> Reusable | None:
        """The same for the root, whose name says nothing of its inputs."""
        known = self._finished.get(ROOT)
        if known is None or identity_of(known.inputs) != identity_of(inputs):
            return None
        return self.find(ROOT, deep_digest)

    def find_trace(self, name: str) -> Reusable | None:
        """The result of a step of a traced function, None when it must be taken again."""
        known = self._finished.get(name)
        if known is not None and known.kind == "trace":
            return Reusable(known.outputs, f"{self.run}/{name}")
        return self._older.find_trace(name) if self._older is not None and name not in self._faulty else None

    def __len__(self) -> int:
        return len(self._finished)


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
