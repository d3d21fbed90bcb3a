"""Several actions of a run: a list that can be narrowed down, and shown as a frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flyte_nb.models import ActionPhase

if TYPE_CHECKING:
    from flyte_nb.remote.action import Action

__all__ = ["Actions"]


class Actions(list["Action"]):
    """Actions of a run."""

    def where(
        self,
        task: str | None = None,
        phase: ActionPhase | str | Iterable[ActionPhase | str] | None = None,
        parent: str | None = None,
        kind: str | None = None,
    ) -> Actions:
        """Those that fit.

        Args:
            task: the task's full or plain function name.
            phase: one phase or several.
            parent: name of the parent action.
            kind: task, trace or condition.
        """
        phases = {phase} if isinstance(phase, str) else set(phase) if phase is not None else None
        wanted = {ActionPhase(one) for one in phases} if phases is not None else None
        return Actions(
            action
            for action in self
            if (task is None or task in (action.task_name, action.task_name.rpartition(".")[2]))
            and (wanted is None or action.phase in wanted)
            and (parent is None or action.parent_name == parent)
            and (kind is None or action.kind == kind)
        )

    def to_frame(self) -> Any:
        """A pandas frame, one row an action.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([action.to_dict() for action in self])
