"""What surrounds a call: groups, custom context, `ctx()`, checkpoints."""

from __future__ import annotations

import asyncio
from typing import Any

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.group import ctx, custom_context, get_custom_context, group
from flyte_nb.models import GroupData

env = TaskEnvironment("groups")


@env.task
async def read_context() -> dict[str, str]:
    return get_custom_context()


def test_calls_in_a_group_are_of_the_innermost_one(inside_task: Any) -> None:
    with group("outer"):
        asyncio.run(read_context())
        with group("inner"):
            assert ctx().group_data == GroupData("inner")
            asyncio.run(read_context())
        asyncio.run(read_context())
    asyncio.run(read_context())
    assert [name for _, name, _, _ in inside_task.calls] == ["outer", "inner", "outer", None]


def test_custom_context_is_handed_down_and_merged(inside_task: Any) -> None:
    with custom_context(k="outer", only="outer"):
        with custom_context(k="inner"):
            assert asyncio.run(read_context()) == {"k": "inner", "only": "outer"}
        assert asyncio.run(read_context()) == {"k": "outer", "only": "outer"}
    assert asyncio.run(read_context()) == {}
    assert ctx().custom_context == {}


def test_outside_a_task_all_this_does_nothing() -> None:
    with group("g"), custom_context(k="v"):
        assert get_custom_context() == {}
        assert not ctx()


def test_what_is_read_cannot_change_what_is_handed_down(inside_task: Any) -> None:
    with custom_context(k="v"):
        get_custom_context()["k"] = "changed"
        assert get_custom_context() == {"k": "v"}


def test_the_context_gives_one_checkpoint(inside_task: Any) -> None:
    checkpoint = ctx().checkpoint
    assert checkpoint is ctx().checkpoint
    assert checkpoint.remote_destination == str(inside_task.folder / "1")
    assert checkpoint.remote_source == str(inside_task.folder / "0")
