"""Two runs side by side: what is matched with what, and what is said to differ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.notebook.magics.commands import execute
from flyte_nb.notebook.views.comparison import COMPARISON_MIME, ROWS, Comparison, bounded
from flyte_nb.notebook.views.matching import matched
from flyte_nb.notebook.views.saving import saving
from flyte_nb.remote.errors import CommandError
from flyte_nb.store.rows import ActionRow
from flyte_nb.types.trees import pack

env = flyte.TaskEnvironment("cmp")


@env.task
async def fit(x: int, scale: int) -> int:
    if x == scale:
        raise ValueError(f"<b>unlucky {x}</b>")
    return x * scale


@env.task
async def extra(x: int) -> int:
    return x


@env.task
async def main(n: int, scale: int = 10) -> int:
    found = await asyncio.gather(*[fit(x, scale) for x in range(n)], return_exceptions=True)
    if n > 3:
        await extra(n)
    return len(found)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path))


def rows_of(comparison: Comparison) -> dict[str, Any]:
    return {(row["right"] or row["left"])["label"]: row for row in comparison.document["rows"]}


def test_runs_of_the_same_inputs_have_no_difference() -> None:
    comparison = Comparison(flyte.run(main, 3).name, flyte.run(main, 3).name)
    assert comparison.document["same"] == comparison.document["total"] == 4
    assert "All 4 actions are the same." in repr(comparison)


def test_inputs_outcomes_and_what_one_run_only_has_are_told() -> None:
    left, right = flyte.run(main, 3), flyte.run(main, 4, 2)
    comparison = Comparison(left.name, right.name)
    rows = rows_of(comparison)
    assert rows["n=4, scale=2"]["inputs"] == [["n", "3", "4"], ["scale", "10", "2"]]
    assert rows["x=1, scale=2"]["inputs"] == [["scale", "10", "2"]]
    assert rows["x=1, scale=2"]["outputs"] == [["o0", "10", "2"]]
    assert "outcome" in rows["x=2, scale=2"]["differs"]
    assert rows["x=4"]["left"] is None and rows["x=4"]["differs"] == ["missing"]
    text = repr(comparison)
    assert "✓ succeeded → ✗ failed (ValueError: <b>unlucky 2</b>" in text
    assert f"+ cmp.extra  x=4 · only in {right.name}" in text
    before = comparison.document
    end_session()
    assert Comparison(left.name, right.name).document["rows"] == before["rows"], "recorded runs compare the same"


def double(x: int) -> int:
    return 2 * x


def triple(x: int) -> int:
    return 3 * x


def program(step: Callable[[int], int], retries: int) -> Any:
    edited = flyte.TaskEnvironment("edited")

    @edited.task(retries=retries)
    async def apply(x: int) -> int:
        return step(x)

    @edited.task
    async def apply_all(xs: list[int]) -> list[int]:
        return list(await asyncio.gather(*[apply(x) for x in xs]))

    return apply_all


def test_edited_code_is_told_and_its_actions_are_matched_by_their_inputs() -> None:
    left = flyte.run(program(double, 0), [1, 2])
    right = flyte.run(program(triple, 1), [2, 1])
    document = Comparison(left.name, right.name).document
    told = [what for what, _, _ in document["differences"]]
    assert "code of edited.apply" in told and "retries of edited.apply" in told
    pairs = {row["left"]["label"]: row["right"]["label"] for row in document["rows"] if row["task"] == "edited.apply"}
    assert pairs == {"x=1": "x=1", "x=2": "x=2"}
    assert {row["outputs"][0][1] for row in document["rows"] if row["task"] == "edited.apply"} == {"2", "4"}


def action(name: str, parent: str, task: str, inputs: int) -> ActionRow:
    return ActionRow("r", name, parent, "task", task, 0, "", "succeeded", 0, inputs=pack([inputs]))


@st.composite
def trees(draw: Any) -> list[ActionRow]:
    rows = [action("a0", "", "main", 0)]
    for at in range(1, draw(st.integers(1, 30))):
        parent = rows[draw(st.integers(0, at - 1))].name
        task, number = draw(st.sampled_from("fg")), draw(st.integers(0, 2))
        rows.append(action(f"{parent}{task}{number}.{at if draw(st.booleans()) else -at}", parent, task, number))
    return rows


@given(trees(), trees())
def test_every_action_is_in_one_pair_and_matches_its_own_task_under_matched_parents(
    left: list[ActionRow], right: list[ActionRow]
) -> None:
    pairs = list(matched(left, right))
    assert sorted(pair.left.name for pair in pairs if pair.left) == sorted(row.name for row in left)
    assert sorted(pair.right.name for pair in pairs if pair.right) == sorted(row.name for row in right)
    seen: set[int] = set()
    for pair in pairs:
        if pair.left and pair.right:
            assert pair.left.task == pair.right.task
            assert pair.parent is None or (pair.parent.left and pair.parent.right)
        assert pair.parent is None or id(pair.parent) in seen, "parents stand before their children"
        seen.add(id(pair))


def test_equal_calls_are_matched_first_and_the_others_in_the_order_of_their_calls() -> None:
    left = [action("a0", "", "main", 0), *(action(f"l{k}", "a0", "f", k) for k in (1, 2, 3))]
    right = [action("a0", "", "main", 0), *(action(f"r{k}", "a0", "f", k) for k in (3, 9, 8))]
    pairs = {pair.left.name: pair.right.name for pair in matched(left, right) if pair.left and pair.right}
    assert pairs == {"a0": "a0", "l3": "r3", "l1": "r9", "l2": "r8"}


def test_of_many_actions_those_that_differ_are_listed_with_their_parents() -> None:
    rows = [action("a0", "", "main", 0), *(action(f"x{k}", "a0", "f", k) for k in range(3 * ROWS))]
    pairs = list(matched(rows, rows))
    told = [{"differs": ["outcome"] if at > 3 * ROWS - 5 else []} for at in range(len(pairs))]
    kept = bounded(pairs, told)
    assert len(kept) == ROWS and kept[0] == 0 and {at for at, row in enumerate(told) if row["differs"]} <= set(kept)


def test_compare_draws_itself_for_every_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = flyte.run(main, 3), flyte.run(main, 4, 2)
    bundle = execute({}, f"compare {left.name}")._repr_mimebundle_()
    assert bundle[COMPARISON_MIME]["right"]["run"] == right.name
    json.dumps(bundle)
    assert "<b>unlucky" not in bundle["text/html"] and "&lt;b&gt;unlucky 2" in bundle["text/html"]
    monkeypatch.setattr(saving, "previews", False)
    kept = json.dumps(execute({}, f"compare {left.name}")._repr_mimebundle_())
    assert "scale" in kept and "x=1" not in kept and "10 → 2" not in kept, "names stay, values do not"
    with pytest.raises(CommandError, match="nothere"):
        execute({}, "compare nothere")
