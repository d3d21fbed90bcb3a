"""A run in one line of a terminal: how far it is, how fast it goes, and what stands in the line's way."""

from __future__ import annotations

import io

import pytest

import flyte_nb as flyte
from flyte_nb.engine import conditions
from flyte_nb.engine.session import session
from flyte_nb.remote import Condition, Run
from flyte_nb.remote import progress as module
from flyte_nb.remote.progress import Pace, ProgressLine
from tests.processes import flyte_nb_home, until

__all__ = ["flyte_nb_home"]

env = flyte.TaskEnvironment("progress")


@env.task
async def ask() -> bool:
    return await (await flyte.new_condition.aio("go")).wait.aio()


def test_a_fan_out_whose_number_is_known_gets_an_estimate_once_enough_has_ended() -> None:
    pace = Pace()
    assert pace.words(0, 10_000, 0, 0.01) == "0/10,000"
    assert pace.words(1_000, 10_000, 0, 1.01) == "1,000/10,000"
    assert pace.words(2_500, 10_000, 0, 2.51) == "2,500/10,000 · 1,000/s · about 8.0 s left"
    assert pace.words(10_000, 10_000, 0, 10.01) == "10,000/10,000 · 1,000/s"


def test_a_run_that_calls_one_task_after_another_gets_no_estimate() -> None:
    pace = Pace()
    assert [pace.words(k - 1, k, 0, k) for k in range(1, 60)] == [f"{k - 1}/{k}" for k in range(1, 60)]


def test_neither_what_was_reused_nor_a_person_is_estimated() -> None:
    pace = Pace()
    pace.words(90, 100, 0, 0)
    assert pace.words(95, 100, 0, 5) == "95/100 · 1.0/s · about 5.0 s left"
    assert pace.words(95, 100, 1, 5) == "95/100 · 1.0/s"


def test_the_line_gives_way_to_a_question_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "console", None)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    terminal = io.StringIO()
    line = ProgressLine(terminal, leaves_line=False)
    run: Run = flyte.with_runcontext().start(ask)
    state = session().runs[run.name]
    until(lambda: any(one.is_open for one in list(state.conditions.values())))
    line.changed(state)
    assert terminal.getvalue() == ""
    waiting = Condition.get("go", run_name=run.name)
    assert waiting is not None
    state.conditions, kept = {}, state.conditions
    line.changed(state)
    assert f"progress.ask  {run.name} · 0/2 · " in terminal.getvalue()
    state.conditions = kept
    line.changed(state)
    assert terminal.getvalue().endswith(module.ERASE)
    waiting.signal(True)
    run.wait()
