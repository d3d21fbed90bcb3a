"""Why calls hit or miss the cache, in words; and clearing it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import flyte_nb as flyte
from flyte_nb.errors import RuntimeUserError
from flyte_nb.remote import Run
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.plain import run_tree
from flyte_nb.remote.source import source
from flyte_nb.remote.upkeep.cache import cached_rows, clear, explain_action, explain_call, explain_run, explain_task
from flyte_nb.store.cached_results import stored_results, write_file

env = flyte.TaskEnvironment("explained")
HOUR_NS = 3600 * 10**9
FACTOR = 3

Task = flyte.TaskTemplate[Any, Any]


def scaled(x: int) -> int:
    return x * FACTOR


def declare(cache: Any = "auto") -> Task:
    @env.task(cache=cache)
    async def scale(x: int, label: str = "") -> int:
        return scaled(x)

    return scale


scale = declare()


@env.task
async def plain(x: int) -> int:
    return x


@env.task(cache="auto")
async def fails(x: int) -> int:
    raise ValueError(x)


@env.task
async def several(n: int) -> list[int]:
    return [await scale(at) for at in range(n)]


def explained(run: Run) -> str:
    return explain_action(run.name, "a0")


def test_a_hit_names_the_action_that_computed_it_and_what_is_equal() -> None:
    first, second = flyte.run(scale, 1), flyte.run(scale, 1)
    text = explained(second)
    assert f"answered from the cache: {first.name}/a0 computed it" in text
    assert "equal: x=1, label=" in text and "equal: code, digest " in text


def test_a_hit_says_what_does_not_count() -> None:
    task = declare(flyte.Cache("auto", ignored_inputs="label"))
    flyte.run(task, 1, "one")
    assert "does not count: label" in explained(flyte.run(task, 1, "two"))


def test_a_hit_whose_source_was_cleared_says_so() -> None:
    flyte.run(scale, 1)
    hit = flyte.run(scale, 1)
    clear("explained.scale", False, None)
    assert explained(hit).endswith("that result was replaced or cleared since.")


def test_the_first_call_of_a_task_had_nothing_to_hit() -> None:
    assert "no result of this task was stored before" in explained(flyte.run(scale, 1))


def test_a_miss_names_the_inputs_that_differ_from_the_nearest_result() -> None:
    flyte.run(scale, 1, "a")
    near = flyte.run(scale, 2, "b")
    text = explained(flyte.run(scale, 2, "c"))
    assert near.name in text
    assert text.splitlines()[1:] == ["  input label: c; before b"]


def test_a_miss_names_the_constant_that_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    flyte.run(scale, 1)
    monkeypatch.setitem(globals(), "FACTOR", 4)
    assert explained(flyte.run(scale, 1)).splitlines()[1:] == ["  code: value scaled: FACTOR changed"]


def test_a_miss_names_the_helper_that_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    flyte.run(scale, 1)

    def scaled(x: int) -> int:
        return x + FACTOR

    scaled.__qualname__ = "scaled"
    monkeypatch.setitem(globals(), "scaled", scaled)
    assert explained(flyte.run(scale, 1)).splitlines()[1:] == ["  code: function scaled changed"]


def test_a_miss_names_another_salt_and_another_version() -> None:
    flyte.run(scale, 1)
    assert "salt: 'x'; before ''" in explained(flyte.run(declare(flyte.Cache("auto", salt="x")), 1))
    assert "version: '7'; before digest " in explained(flyte.run(declare(flyte.Cache("auto", version_override="7")), 1))


def test_a_miss_names_another_interface() -> None:
    flyte.run(declare(flyte.Cache("auto", version_override="1")), 1)

    @env.task(cache=flyte.Cache("auto", version_override="1"))
    async def scale(x: float, label: str = "") -> int:
        return int(x)

    text = explained(flyte.run(scale, 1.0))
    assert "interface: (x: float, label: str) -> int; before (x: int, label: str) -> int" in text


def test_a_miss_for_age_says_how_old() -> None:
    task = declare(flyte.Cache("auto", max_age=3600))
    first = flyte.run(task, 1)
    (path, stored), *_ = stored_results(source.store.home.cache)
    write_file(str(path), msgspec.structs.replace(stored, at_ns=stored.at_ns - 2 * HOUR_NS))
    assert f"would execute: the result of {first.name}/a0 was 2:00:0" in explain_call(task, {"x": 1})
    assert "and max_age is 1:00:00" in explained(flyte.run(task, 1))


def test_what_overrides_the_cache_is_said() -> None:
    flyte.run(scale, 1)
    assert "cache='override' executes every call" in explained(flyte.run(scale.override(cache="override"), 1))
    assert "overwrite_cache" in explained(flyte.with_runcontext(overwrite_cache=True).run(scale, 1))
    assert "disable_run_cache" in explained(flyte.with_runcontext(disable_run_cache=True).run(scale, 1))
    assert "would execute: cache='override'" in explain_call(scale.override(cache="override"), {"x": 1})


def test_a_task_without_a_cache_and_a_failed_action_are_explained() -> None:
    assert "its cache is disabled" in explained(flyte.run(plain, 1))
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(fails, 1)
    assert "it is failed; only results of succeeded actions are cached" in explained(raised.value.run)


def test_a_call_that_was_not_made_is_explained() -> None:
    run = flyte.run(scale, 1)
    assert f"scale(x=1, label=) would be answered from the cache: by {run.name}/a0" in explain_call(scale, {"x": 1})
    assert "would execute. The nearest result" in explain_call(scale, {"x": 2})
    with pytest.raises(CommandError, match="Missing required inputs: x"):
        explain_call(scale, {})


def test_a_task_is_explained_by_the_versions_of_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    flyte.run(scale, 1)
    flyte.run(scale, 2)
    monkeypatch.setitem(globals(), "FACTOR", 4)
    before = explain_task(scale.name, scale)
    assert "2 cached results of 1 version" in before and "since then code: value scaled: FACTOR changed" in before
    flyte.run(scale, 1)
    after = explain_task(scale.name, scale)
    assert "3 cached results of 2 versions" in after and ": the code as it stands" in after
    assert "2 versions" in explain_task(scale.name, None)


def test_each_cached_action_of_a_run_gets_a_line() -> None:
    flyte.run(scale, 1)
    lines = explain_run(flyte.run(several, 3).name).splitlines()
    assert len(lines) == 3
    assert ["answered from the cache" in line for line in lines] == [False, True, False]
    assert explain_run(flyte.run(plain, 1).name).startswith("No task of run")


def test_what_is_not_there_is_one_clear_error() -> None:
    run = flyte.run(scale, 1)
    with pytest.raises(CommandError, match=r"Nothing is cached of 'explained\.scal'\. Did you mean explained\.scale"):
        explain_task("explained.scal", None)
    with pytest.raises(CommandError, match="disabled"):
        explain_task(plain.name, plain)
    with pytest.raises(CommandError):
        explain_action(run.name, "nothing")


def test_clearing_takes_what_was_asked_for_and_gives_back_its_space() -> None:
    for x in range(3):
        flyte.run(scale, x)
    other = declare(flyte.Cache("auto", salt="old"))
    flyte.run(other, 1)
    (path, stored), *_ = [one for one in stored_results(source.store.home.cache) if one[1].salt]
    write_file(str(path), msgspec.structs.replace(stored, at_ns=stored.at_ns - 2 * HOUR_NS))
    assert clear(None, False, "1h").startswith("1 cached result cleared")
    assert clear("explained.scale", False, "1h").startswith("0 cached results cleared")
    assert clear("explained.scale", False, None).startswith("3 cached results cleared")
    assert list(source.store.home.cache.iterdir()) == []


def test_clearing_all_leaves_only_locks() -> None:
    flyte.run(scale, 1)
    cache = source.store.home.cache
    (cache / "ab").mkdir()
    (cache / "ab" / "of-an-earlier-release").write_bytes(b"?")
    held = next(path for path in cache.glob("*/*") if len(path.name) == 32).with_suffix(".lock")
    held.touch()
    assert clear(None, True, None).startswith("1 cached result cleared")
    assert [path for path in cache.rglob("*") if path.is_file()] == [held]


@pytest.mark.parametrize(
    ("task", "everything", "older_than", "message"),
    [
        (None, False, None, "Say what to clear"),
        ("explained.scale", True, None, "leave TASK and --older-than out"),
        (None, False, "soon", "a length of time"),
    ],
)
def test_clearing_without_saying_what_is_refused(
    task: str | None, everything: bool, older_than: str | None, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        clear(task, everything, older_than)


def test_the_list_says_what_each_result_is_of() -> None:
    run = flyte.run(scale, 1, "a")
    ((task, inputs, computed_by, stored_at, seconds, size_bytes, code),) = cached_rows()
    assert (task, inputs, computed_by) == ("explained.scale", "x=1, label=a", f"{run.name}/a0")
    assert stored_at.tzinfo is not None and 0 <= seconds < 100 and 0 < size_bytes < 1_000 and len(code) == 8


def test_the_text_of_a_run_says_where_a_result_comes_from() -> None:
    first = flyte.run(scale, 1)
    for run in (flyte.run(scale, 1), flyte.run(several, 2)):
        assert f"cached from {first.name}/a0" in run_tree(source.run(run.name), source.actions(run.name), {})
