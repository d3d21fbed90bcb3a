"""What a check gives back, and what it does not do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from tests.checking.programs import notebook

PIPELINE = """
# %%
import flyte_nb as flyte

env = flyte.TaskEnvironment("planned")
heavy = flyte.TaskEnvironment("heavy", cache="auto", depends_on=[env], resources=flyte.Resources(memory="64Mi"))


@flyte.trace
async def ask(prompt: str) -> str:
    return prompt


@heavy.task
async def fit(x: int) -> str:
    return await ask(str(x))


@env.task
async def again(n: int) -> int:
    return 0 if n == 0 else await again(n - 1)


# %%
def helper(n: int):
    return fit(n)


@env.task
async def main(n: int) -> int:
    await helper(n)
    await fit(n)
    return await again(n)


# %%
@env.task
async def wrong(n: int) -> int:
    await main(n)
    return await again("<b>three</b>")
"""


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Mapping[str, Any]]:
    with notebook(PIPELINE, tmp_path) as found:
        yield found


def test_the_graph_holds_all_that_can_be_reached_through_helpers_and_recursion(names: Mapping[str, Any]) -> None:
    graph = flyte.check(names["main"]).graph
    assert set(graph.nodes) == {"planned.main", "heavy.fit", "planned.again", "ask"}
    assert set(graph.edges) == {
        *(("planned.main", "heavy.fit"), ("planned.main", "planned.again")),
        *(("heavy.fit", "ask"), ("planned.again", "planned.again")),
    }
    fit = graph.nodes["heavy.fit"]
    assert (fit.kind, fit.isolation, fit.cached, fit.signature) == ("task", "process", True, "(x: int) -> str")
    assert graph.nodes["ask"].kind == "trace" and graph.nodes["planned.main"].place.endswith("line 5")


def test_a_check_is_true_when_nothing_is_wrong(names: Mapping[str, Any]) -> None:
    assert flyte.check(names["main"])
    assert not flyte.check(names["wrong"])


def test_a_problem_says_its_kind_place_task_and_what_to_do(names: Mapping[str, Any]) -> None:
    (problem,) = flyte.check(names["wrong"]).problems
    assert (problem.kind, problem.task, problem.line) == ("types", "planned.wrong", 4)
    assert problem.message.startswith("again takes n: int, and gets '<b>three</b>' (str). Pass a value of that type")
    assert str(problem).startswith("<cell 3>, line 4: again takes")


def test_the_text_draws_a_tree_and_names_what_is_drawn_above(names: Mapping[str, Any]) -> None:
    assert repr(flyte.check(names["main"])).splitlines() == [
        "✓ planned.main: no mistakes in 3 tasks",
        "  planned.main(n: int) -> int",
        "    heavy.fit(x: int) -> str [cached, process]",
        "      ask(prompt) [trace]",
        "    planned.again(n: int) -> int",
        "      planned.again(n: int) -> int [see above]",
    ]


def test_what_the_users_code_says_is_text_in_the_html(names: Mapping[str, Any]) -> None:
    html = flyte.check(names["wrong"])._repr_html_()
    assert "&lt;b&gt;three&lt;/b&gt;" in html and "<b>" not in html
    assert "<script" not in html and "planned.main" in html


def test_nothing_is_run_or_recorded(tmp_path: Path, flyte_nb_home: Path) -> None:
    program = """
# %%
import flyte_nb as flyte

env = flyte.TaskEnvironment("dangerous")
ran = []


@env.task
async def main(n: int) -> int:
    import antigravity_of_mine

    ran.append(n)
    return antigravity_of_mine.fly(n)
"""
    (tmp_path / "antigravity_of_mine.py").write_text("raise SystemExit('it was imported')\n")
    with notebook(program, tmp_path) as found:
        assert flyte.check(found["main"])
        assert found["ran"] == []
    assert "antigravity_of_mine" not in sys.modules and not flyte_nb_home.exists()


def test_a_function_whose_source_is_not_what_runs_is_named_not_guessed(tmp_path: Path) -> None:
    program = """
# %%
import flyte_nb as flyte

env = flyte.TaskEnvironment("generated")
exec("def helper(n):\\n    return n")


@env.task
async def main(n: int) -> int:
    return helper(n)
"""
    with notebook(program, tmp_path) as found:
        checked = flyte.check(found["main"])
    assert checked.unread == ("helper",)
    assert "Not checked, as the source that runs cannot be found: helper" in repr(checked)


def test_a_task_that_is_defined_again_is_checked_as_it_stands(names: Mapping[str, Any]) -> None:
    again = names["again"]
    exec("@env.task\nasync def again(text: str) -> int:\n    return 0\n", dict_of(names))
    assert names["again"] is not again
    (problem,) = flyte.check(names["main"]).problems
    assert problem.message.startswith("again takes text: str, and gets int")


def test_what_is_no_task_is_refused(names: Mapping[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"flyte.check takes a task, got <function helper.*Declare it with @env.task"):
        flyte.check(names["helper"])


def dict_of(names: Mapping[str, Any]) -> dict[str, Any]:
    assert isinstance(names, dict)
    return names
