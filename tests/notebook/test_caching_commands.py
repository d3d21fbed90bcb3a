"""`%flyte cache`: what is cached, why, and how to be rid of it."""

from __future__ import annotations

from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.notebook.magics.commands import execute
from flyte_nb.notebook.magics.completion import complete_line
from flyte_nb.remote.errors import CommandError
from flyte_nb.store.table import Table

env = flyte.TaskEnvironment("cells")


@env.task(cache="auto")
async def fit(depth: int, kind: str = "tree") -> int:
    return depth


def said(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `%flyte cache LINE` prints."""
    capsys.readouterr()
    assert execute({"fit": fit, "env": env}, f"cache {line}") is None
    return capsys.readouterr().out


def listed() -> Any:
    return execute({}, "cache")


def test_an_empty_cache_says_how_to_fill_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "@env.task(cache='auto')" in said("", capsys)


def test_cached_results_are_a_table() -> None:
    flyte.run(fit, 3)
    table = listed()
    assert isinstance(table, Table)
    assert table["inputs"] == ["depth=3, kind=tree"]


def test_runs_actions_tasks_and_calls_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    run = flyte.run(fit, 3)
    assert "no result of this task was stored before" in said("explain last", capsys)
    assert "no result of this task was stored before" in said(f"explain {run.name[:6]}/a0", capsys)
    for name in ("fit", "cells.fit"):
        assert "1 cached result of 1 version" in said(f"explain {name}", capsys)
    assert "would be answered from the cache" in said("explain fit --depth 3", capsys)
    assert "input depth: 4; before 3" in said("explain fit depth=2+2", capsys)


def test_results_are_cleared_by_the_tasks_name_here(capsys: pytest.CaptureFixture[str]) -> None:
    flyte.run(fit, 3)
    assert said("clear fit --older-than 1d", capsys).startswith("0 cached results")
    assert said("clear fit", capsys).startswith("1 cached result cleared")
    assert said("clear --all", capsys).startswith("0 cached results")


def test_tab_offers_what_can_be_done_and_of_what() -> None:
    run = flyte.run(fit, 3)
    names = {"fit": fit, "env": env}
    assert complete_line(names, "cache e") == ["explain"]
    assert {"last", "fit", "cells.fit", run.name} <= set(complete_line(names, "cache explain "))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("explian last", "%flyte cache explain | clear; got 'explian'"),
        ("explain", "RUN, RUN/ACTION, or TASK"),
        ("explain fit --depth deep", "depth must be int"),
        ("explain nothing", "No run is named 'nothing'"),
        ("clear", "Say what to clear"),
        ("clear --al", "no option --al"),
        ("clear nothing", "Nothing is cached of 'nothing'"),
    ],
)
def test_what_cannot_be_understood_is_one_clear_error(line: str, message: str) -> None:
    flyte.run(fit, 3)
    with pytest.raises(CommandError) as raised:
        execute({"fit": fit, "env": env}, f"cache {line}")
    assert message in str(raised.value)
