"""Runs that wait for somebody's answer, and giving it."""

from __future__ import annotations

from typing import Any

import flyte_nb as flyte
from flyte_nb.engine.session import session
from flyte_nb.remote import Condition, Run
from tests.processes import until

__all__ = ["begin", "signal"]


def begin(task: Any, *args: Any, waits_for: int = 1, **options: Any) -> Run:
    """Starts a run and returns when so many conditions wait."""
    run = flyte.with_runcontext(**options).start(task, *args)
    state = session().runs[run.name]
    until(lambda: sum(one.is_open for one in list(state.conditions.values())) == waits_for)
    return run


def signal(run: Run, name: str, value: Any) -> None:
    condition = Condition.get(name, run_name=run.name)
    assert condition is not None
    condition.signal(value)
