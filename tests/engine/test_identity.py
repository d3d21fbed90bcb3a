"""Names of actions: by position, not by time; see docs/evaluation.md."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flyte_nb as flyte
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.identity import ROOT, action_name, call_position, new_run_name, root_position
from flyte_nb.remote import Run

env = flyte.TaskEnvironment("names")


@env.task
async def leaf(x: int) -> int:
    return x


@env.task
async def inner(x: int) -> int:
    return await leaf(x) + await leaf(x)


@env.task
async def calls_in_this_order(order: list[int]) -> int:
    return sum(await asyncio.gather(*[inner(x) for x in order]))


@env.task
def calls_in_threads(order: list[int]) -> int:
    return sum(flyte.map(leaf, order))


@env.task
async def with_groups(x: int) -> int:
    with flyte.group("first"):
        first = await leaf(x)
    with flyte.group("second"):
        return first + await leaf(x)


def names(run: Run, task: str = "") -> dict[str, tuple[str, str, str | None]]:
    """What each action is, by its name: task, inputs, group."""
    return {
        action.name: (action.task_name, str(action.inputs().to_dict()), action.group)
        for action in run.actions(task=task or None)
        if action.name != ROOT
    }


def names_of_leaves(**tasks: flyte.TaskTemplate) -> dict[str, set[str]]:  # type: ignore[type-arg]
    """The names of `leaf`'s actions under each of the root tasks, run with x=1."""
    return {key: set(names(flyte.run(task, 1), "names.leaf")) for key, task in tasks.items()}


def test_pinned_names_hold_in_every_release() -> None:
    position = root_position("env.main")
    assert position.hex() == "90d913c36633fe659b83fdffc19e2934"
    child = call_position(position, "env.fit", None, 0, b"\x91\x01")
    assert child.hex() == "3fb09c406c48c4b798048ab88bc86b6c"
    assert call_position(child, "env.fit", "group", 7, b"\x90").hex() == "2ebbd4aaef80c788714ab709c3ee4c74"
    assert action_name(child, bytes(16)) == "40c5a9b81a0a01ee"


def test_positions_are_the_documented_hashes() -> None:
    root = root_position("t")
    child = call_position(root, "c", None, 3, b"i")
    assert root == hash_struct("root", "t")
    assert child == hash_struct("call", root, "c", "", 3, b"i")
    assert action_name(child, b"code") == hash_struct("action", child, b"code").hex()[:16]


@given(
    first=st.tuples(st.binary(), st.text(), st.none() | st.text(min_size=1), st.integers(0, 2**31), st.binary()),
    second=st.tuples(st.binary(), st.text(), st.none() | st.text(min_size=1), st.integers(0, 2**31), st.binary()),
)
def test_calls_that_differ_in_anything_have_positions_of_their_own(
    first: tuple[bytes, str, str | None, int, bytes], second: tuple[bytes, str, str | None, int, bytes]
) -> None:
    assert (call_position(*first) == call_position(*second)) == (first == second)


@settings(max_examples=10)
@given(order=st.lists(st.integers(0, 5), min_size=1, max_size=8), seed=st.integers(0, 1000))
def test_names_do_not_depend_on_the_order_of_the_calls(order: list[int], seed: int) -> None:
    shuffled = random.Random(seed).sample(order, len(order))
    for task in (calls_in_this_order, calls_in_threads):
        assert names(flyte.run(task, order)) == names(flyte.run(task, shuffled))


def test_equal_calls_get_names_of_their_own() -> None:
    run = flyte.run(calls_in_this_order, [4, 4, 4])
    assert len(names(run, "names.inner")) == 3
    assert len(names(run, "names.leaf")) == 6


def test_a_group_is_part_of_a_name() -> None:
    run = flyte.run(with_groups, 1)
    assert [group for _, _, group in names(run).values()] == ["first", "second"]
    assert not set(names(run)) & set(names(flyte.run(inner, 1)))


def test_inputs_of_the_root_rename_only_children_whose_own_inputs_changed() -> None:
    few, more = names(flyte.run(calls_in_this_order, [1])), names(flyte.run(calls_in_this_order, [1, 2]))
    assert set(few) < set(more)


def test_editing_a_parent_renames_none_of_its_children() -> None:
    @env.task(short_name="edited")
    async def parent(x: int) -> int:
        return await leaf(x)

    before = parent

    @env.task(short_name="edited")  # type: ignore[no-redef]  # the cell is edited and runs again
    async def parent(x: int) -> int:
        print("edited")
        return await leaf(x) * 2

    found = names_of_leaves(before=before, after=parent)
    assert found["before"] == found["after"]


def test_editing_a_task_renames_its_actions_and_none_below() -> None:
    def declare(factor: int) -> flyte.TaskTemplate:  # type: ignore[type-arg]
        @env.task
        async def middle(x: int) -> int:
            return factor * await leaf(x)

        @env.task
        async def above(x: int) -> int:
            return await middle(x)

        return above

    first, second = (flyte.run(declare(factor), 1) for factor in (1, 2))
    assert not set(names(first, "names.middle")) & set(names(second, "names.middle"))
    assert names(first, "names.leaf") == names(second, "names.leaf")


@pytest.mark.parametrize(
    "settings",
    [
        {"retries": 3},
        {"timeout": 60},
        {"cache": "auto"},
        {"short_name": "other"},
        {"resources": flyte.Resources(cpu=1)},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_are_no_part_of_a_name(settings: dict[str, Any]) -> None:
    def declare(**given: Any) -> flyte.TaskTemplate:  # type: ignore[type-arg]
        child = leaf.override(**given) if given else leaf

        @env.task
        async def above(x: int) -> int:
            return int(await child(x))

        return above

    found = names_of_leaves(plain=declare(), changed=declare(**settings))
    assert len(found["plain"]) == 1
    assert found["plain"] == found["changed"]


def test_new_run_names_are_short_lower_case_and_differ() -> None:
    made = {new_run_name() for _ in range(1000)}
    assert len(made) == 1000
    assert all(name.isalnum() and name == name.lower() and len(name) == 10 and name[0] == "r" for name in made)
