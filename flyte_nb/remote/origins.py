"""Which notebook and cell, or which script, starts a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from flyte_nb.authoring.context import current_scope
from flyte_nb.engine.state import RunState

__all__ = ["origin_of_call", "origins"]

origins: list[Callable[[], tuple[str, str] | None]] = []
"""Who knows which notebook and cell start a run; the notebook room puts itself here."""


def origin_of_call() -> tuple[str, str]:
    """The notebook and cell, or the script, that start the run; a nested run names those of its parent."""
    scope = current_scope.get()
    if scope is not None:
        parent: RunState = scope.attempt.action.run_state
        return parent.notebook, parent.cell
    for origin in origins:
        found = origin()
        if found is not None:
            return found
    script = sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ""
    return (Path(script).name if script else ""), ""
