"""The cache of results across runs: when an earlier result may stand for a new one, and when not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session, session
from flyte_nb.errors import RuntimeUserError
from flyte_nb.io import File
from flyte_nb.remote import Run
from flyte_nb.store.cached_results import CachedResult, stored_results, write_file
from flyte_nb.store.frames import pack_frames
from flyte_nb.types.trees import pack

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
async def large(n: int) -> np.ndarray:
    return np.arange(n)


@env.task(cache="auto")
def writes_a_file(text: str) -> File[str]:
    file: File[str] = File.new_remote()
    Path(file.path).parent.mkdir(parents=True, exist_ok=True)
    Path(file.path).write_text(text)
    return file


@env.task(cache="auto")
async def fails(x: int) -> int:
    raise ValueError(x)


@dataclass
class VersionOne(flyte.CachePolicy):
    version: str = "one"

    def get_version(self, salt: str, params: Any) -> str:
        return self.version + salt


def results() -> Iterator[tuple[Path, CachedResult]]:
    """The results that are stored now."""
    return stored_results(session().home.cache)


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
    ("max_age", "age_hours", "hits"),
    [
        (None, 1000, True),
        (0, 1000, True),
        (timedelta(hours=2), 1, True),
        (timedelta(hours=2), 3, False),
        (7200, 1, True),
        (7200, 3, False),
    ],
)
def test_a_result_older_than_max_age_misses(max_age: timedelta | int | None, age_hours: int, hits: bool) -> None:
    task = declare(flyte.Cache("auto", max_age=max_age))
    flyte.run(task, 1)
    (path, stored), *_ = results()
    write_file(str(path), msgspec.structs.replace(stored, at_ns=stored.at_ns - age_hours * HOUR_NS))
    assert executed(flyte.run(task, 1)) == (not hits)


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


@pytest.mark.parametrize("spelling", ["auto", "enable", "ENABLED", "on", "true", "Yes"])
def test_spellings_of_auto_hit(spelling: Any) -> None:
    task = declare(spelling)
    assert executions((task, {"x": 1}), (task, {"x": 1})) == [True, False]


@pytest.mark.parametrize("spelling", ["disable", "off", "FALSE", "no", "none"])
def test_spellings_of_disable_execute(spelling: Any) -> None:
    task = declare(spelling)
    assert executions((task, {"x": 1}), (task, {"x": 1})) == [True, True]
    assert list(results()) == []


def test_one_ignored_input_may_be_written_as_text() -> None:
    task = declare(flyte.Cache("auto", ignored_inputs="y"))
    assert executions((task, {"x": 1, "y": 1}), (task, {"x": 1, "y": 2})) == [True, False]


def test_a_salt_does_not_count_beside_a_version_of_ones_own() -> None:
    plain = declare(flyte.Cache("auto", version_override="1"))
    salted = declare(flyte.Cache("auto", version_override="1", salt="x"))
    assert executions((plain, {"x": 1}), (salted, {"x": 1})) == [True, False]


def test_what_another_process_stored_or_cleared_counts_at_once() -> None:
    first = flyte.run(double, 1)
    (path, stored), *_ = results()
    write_file(str(path), msgspec.structs.replace(stored, payload=pack([5]), run="elsewhere"))
    second = flyte.run(double, 1)
    assert (second.outputs()[0], second.root.source) == (5, "cache:elsewhere/a0")
    path.unlink()
    assert executed(first) and executed(flyte.run(double, 1))


def test_a_large_array_that_is_changed_in_place_misses() -> None:
    array = np.zeros(500_000)
    first = flyte.run(total, array)
    array[400_000] = 1
    assert [run.outputs()[0] for run in (first, flyte.run(total, array))] == [0.0, 1.0]


def test_a_result_whose_large_value_is_gone_is_computed_again() -> None:
    assert executions((large, {"n": 500_000}), (large, {"n": 500_000})) == [True, False]
    for path in session().home.values.rglob("*"):
        if path.is_file():
            path.unlink()
    end_session()
    assert executions((large, {"n": 500_000}), (large, {"n": 500_000})) == [True, False]
    assert next(iter(results()))[1].why.startswith("a large value of the result of ")


def test_a_result_whose_file_is_gone_is_computed_again() -> None:
    first = flyte.run(writes_a_file, "hello")
    assert executions((writes_a_file, {"text": "hello"})) == [False]
    Path(first.outputs()[0].path).unlink()
    assert executions((writes_a_file, {"text": "hello"}), (writes_a_file, {"text": "hello"})) == [True, False]


def test_a_result_that_its_types_cannot_read_is_computed_again(caplog: pytest.LogCaptureFixture) -> None:
    flyte.run(double, 1)
    (path, stored), *_ = results()
    write_file(str(path), msgspec.structs.replace(stored, payload=pack([1, 2])))
    assert executed(flyte.run(double, 1))
    assert "cannot be read, and is computed again" in caplog.text


@pytest.mark.parametrize("content", [b"", b"torn", "half", "flipped"])
def test_a_damaged_file_is_a_miss_and_a_warning(content: bytes | str, caplog: pytest.LogCaptureFixture) -> None:
    flyte.run(double, 4)
    (path, _), *_ = results()
    whole = path.read_bytes()
    flipped = whole[:30] + bytes([whole[30] ^ 1]) + whole[31:]
    damaged = {"half": whole[: len(whole) // 2], "flipped": flipped}
    path.write_bytes(content if isinstance(content, bytes) else damaged[content])
    assert executions((double, {"x": 4}), (double, {"x": 4})) == [True, False]
    assert "is damaged" in caplog.text


def test_a_file_of_another_release_is_a_silent_miss(caplog: pytest.LogCaptureFixture) -> None:
    flyte.run(double, 4)
    (path, _), *_ = results()
    path.write_bytes(pack_frames([msgspec.msgpack.encode(["result 99", "what it may hold"])]))
    old = session().home.cache / "ab" / ("ab" * 16)
    old.parent.mkdir()
    old.write_bytes(msgspec.msgpack.encode([b"payload", "run", "a0", 1]))
    assert executed(flyte.run(double, 4))
    assert caplog.text == ""
    assert len(list(results())) == 1


def test_a_cache_that_cannot_be_written_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    session().home.cache.rmdir()
    session().home.cache.write_text("in the way")
    assert executions((double, {"x": 4}), (double, {"x": 4})) == [True, True]
    assert "The result of cached.double is not cached" in caplog.text


@pytest.mark.usefixtures("no_process_left")
def test_a_result_of_a_process_stands_for_one_of_the_kernel_and_the_other_way_round() -> None:
    in_process = flyte.with_runcontext(isolation="process")
    first, second = in_process.run(total, np.arange(5)), flyte.run(total, np.arange(5))
    third, fourth = flyte.run(double, 3), in_process.run(double, 3)
    assert [executed(run) for run in (first, second, third, fourth)] == [True, False, True, False]
    assert (second.outputs()[0], fourth.outputs()[0]) == (10.0, 6)
