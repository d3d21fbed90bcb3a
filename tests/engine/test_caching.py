"""The cache of results across runs: when an earlier result may stand for a new one, and when not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flyte_nb as flyte
from flyte_nb.engine.caching import CacheEntry, ResultCache
from flyte_nb.engine.session import end_session, session
from flyte_nb.errors import RuntimeUserError
from flyte_nb.remote import Run

env = flyte.TaskEnvironment("cached")
HOUR_NS = 3600 * 10**9

Task = flyte.TaskTemplate[Any, Any]


@env.task(cache="auto")
async def double(x: int, comment: str = "") -> int:
    return 2 * x


@env.task(cache="auto")
def double_in_a_thread(x: int) -> int:
    return 2 * x


@env.task(cache="auto")
async def with_a_child(x: int) -> int:
    return await double(x)


@env.task(cache="auto")
async def total(array: np.ndarray) -> float:
    return float(array.sum())


@env.task
async def changes_its_array_between_two_calls() -> list[float]:
    array = np.zeros(4)
    first = await total(array)
    array[0] = 1
    return [first, await total(array)]


@env.task(cache="auto")
async def a_list() -> list[int]:
    return [1]


@env.task
async def changes_what_it_was_given() -> list[list[int]]:
    first = await a_list()
    first.append(2)
    return [first, await a_list()]


@env.task(cache="auto")
async def fails(x: int) -> int:
    raise ValueError(x)


@dataclass
class VersionOne(flyte.CachePolicy):
    version: str = "one"

    def get_version(self, salt: str, params: Any) -> str:
        return self.version + salt


def executed(run: Run) -> bool:
    """Whether the root task ran; if not, its result came from the cache."""
    assert run.phase == "succeeded"
    assert (run.root.where == "cache") == run.root.source.startswith("cache:")
    return run.root.where != "cache"


def executions(*runs: tuple[Task, dict[str, Any]]) -> list[bool]:
    """Which of these runs, one after the other, execute."""
    return [executed(flyte.run(task, **inputs)) for task, inputs in runs]


def declare(cache: Any, body: Callable[[int], int] = lambda x: x) -> Task:
    """A task of one name with this cache, which reaches this code."""

    @env.task(cache=cache)
    async def declared(x: int, y: int = 0) -> int:
        return body(x)

    return declared


@pytest.mark.parametrize("task", [double, double_in_a_thread, with_a_child], ids=lambda task: task.name)
def test_equal_inputs_and_code_hit(task: Task) -> None:
    first, second = flyte.run(task, 4), flyte.run(task, 4)
    assert (executed(first), executed(second)) == (True, False)
    assert first.outputs() == second.outputs() == (8,)
    assert second.root.source == f"cache:{first.name}/a0"
    assert len(second.actions()) == 1


def test_other_inputs_miss() -> None:
    assert executions((double, {"x": 1}), (double, {"x": 2}), (double, {"x": 1, "comment": "!"})) == [True] * 3


def test_a_default_counts_as_the_input_it_stands_for() -> None:
    assert executions((double, {"x": 1}), (double, {"x": 1, "comment": ""})) == [True, False]


def test_a_child_is_looked_up_too() -> None:
    first = flyte.run(double, 4)
    child = flyte.run(with_a_child, 4).actions(task="double")[0]
    assert child.source == f"cache:{first.name}/a0"


def test_another_process_of_the_store_hits() -> None:
    flyte.run(double, 4)
    end_session()
    assert not executed(flyte.run(double, 4))


def test_override_executes_and_replaces() -> None:
    overriding = double.override(cache="override")
    assert executions((double, {"x": 1}), (overriding, {"x": 1}), (overriding, {"x": 1})) == [True] * 3
    latest = next(iter(Run.listall()))
    assert flyte.run(double, 1).root.source == f"cache:{latest.name}/a0"


def test_disable_neither_reads_nor_writes() -> None:
    disabled = double.override(cache="disable")
    assert executions((disabled, {"x": 1}), (double, {"x": 1}), (disabled, {"x": 1})) == [True] * 3


def test_disable_run_cache_neither_reads_nor_writes() -> None:
    without = flyte.with_runcontext(disable_run_cache=True)
    assert executed(without.run(double, 1))
    assert executed(flyte.run(double, 1))
    assert executed(without.run(double, 1))


def test_overwrite_cache_executes_and_replaces() -> None:
    flyte.run(double, 1)
    again = flyte.with_runcontext(overwrite_cache=True).run(double, 1)
    assert executed(again)
    assert flyte.run(double, 1).root.source == f"cache:{again.name}/a0"


def test_ignored_inputs_do_not_count() -> None:
    task = declare(flyte.Cache("auto", ignored_inputs=("y",)))
    assert executions((task, {"x": 1, "y": 1}), (task, {"x": 1, "y": 2}), (task, {"x": 2, "y": 1})) == [
        True,
        False,
        True,
    ]


def test_an_edit_of_the_task_or_of_what_it_reaches_misses() -> None:
    before, after = (declare("auto", body) for body in (lambda x: x + 1, lambda x: x + 2))
    assert executions((before, {"x": 1}), (after, {"x": 1}), (before, {"x": 1})) == [True, True, False]


def test_a_version_of_ones_own_stands_for_the_code() -> None:
    def version(text: str) -> flyte.Cache:
        return flyte.Cache("auto", version_override=text)

    before, edited = declare(version("1"), lambda x: x + 1), declare(version("1"), lambda x: x + 2)
    assert executions((before, {"x": 1}), (edited, {"x": 1})) == [True, False]
    assert executed(flyte.run(declare(version("2")), 1))


def test_policies_of_ones_own_say_the_version() -> None:
    def policy(*policies: flyte.CachePolicy, salt: str = "") -> flyte.Cache:
        return flyte.Cache("auto", policies=list(policies), salt=salt)

    before, edited = declare(policy(VersionOne()), lambda x: x + 1), declare(policy(VersionOne()), lambda x: x + 2)
    assert executions((before, {"x": 1}), (edited, {"x": 1})) == [True, False]
    assert executed(flyte.run(declare(policy(VersionOne("two"))), 1))
    assert executed(flyte.run(declare(policy(VersionOne(), salt="salt")), 1))


def test_a_salt_makes_other_keys() -> None:
    plain, salted = declare("auto"), declare(flyte.Cache("auto", salt="x"))
    assert executions((plain, {"x": 1}), (salted, {"x": 1}), (salted, {"x": 1})) == [True, True, False]


@pytest.mark.parametrize(
    ("max_age", "age_ns", "hits"),
    [
        (None, 1000 * HOUR_NS, True),
        (0, 1000 * HOUR_NS, True),
        (timedelta(hours=2), HOUR_NS, True),
        (timedelta(hours=2), 3 * HOUR_NS, False),
        (7200, HOUR_NS, True),
        (7200, 3 * HOUR_NS, False),
    ],
)
def test_a_result_older_than_max_age_misses(
    tmp_path: Path, max_age: timedelta | int | None, age_ns: int, hits: bool
) -> None:
    stored_ns = 1_700_000_000 * 10**9
    ResultCache(tmp_path).put("0" * 32, CacheEntry(b"", "run", "a0", stored_ns))
    found = ResultCache(tmp_path).get("0" * 32, max_age, stored_ns + age_ns)
    assert (found is not None) == hits


@pytest.mark.parametrize(
    ("max_age", "hits"), [(timedelta(hours=1), True), (timedelta(microseconds=1), False), (0, True)]
)
def test_max_age_is_what_the_task_says(max_age: timedelta | int, hits: bool) -> None:
    task = declare(flyte.Cache("auto", max_age=max_age))
    assert executions((task, {"x": 1}), (task, {"x": 1})) == [True, not hits]


def test_an_array_changed_in_place_between_two_calls_misses() -> None:
    assert flyte.run(changes_its_array_between_two_calls).outputs()[0] == [0.0, 1.0]


def test_an_equal_array_hits() -> None:
    assert executions((total, {"array": np.arange(5)}), (total, {"array": np.arange(5)})) == [True, False]


def test_each_caller_gets_a_result_of_its_own() -> None:
    assert flyte.run(changes_what_it_was_given).outputs()[0] == [[1, 2], [1]]


def test_errors_are_not_cached() -> None:
    for _ in range(2):
        with pytest.raises(RuntimeUserError) as raised:
            flyte.run(fails, 1)
        assert raised.value.run.root.where == "kernel"


def test_an_unreadable_entry_is_computed_again() -> None:
    flyte.run(double, 4)
    entries = [path for path in session().home.cache.rglob("*") if path.is_file()]
    assert len(entries) == 1
    entries[0].write_bytes(b"torn")
    end_session()
    assert executions((double, {"x": 4}), (double, {"x": 4})) == [True, False]
