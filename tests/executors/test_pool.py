"""The pool of an environment: when workers start and end, and who gets which place; on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from flyte_nb.executors.base import Outcome
from flyte_nb.executors.losses import WorkerLostError
from flyte_nb.executors.placement import Needs
from tests.executors.toy_workers import Toys, settle


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Toys]]:
    made: list[Toys] = []

    def make_toys(*args: Any, **kwargs: Any) -> Toys:
        made.append(Toys(*args, **kwargs))
        return made[-1]

    yield make_toys
    for toys in made:
        for task in toys.tasks.values():
            task.cancel()
        await asyncio.gather(*toys.tasks.values(), return_exceptions=True)
        toys.pool.close()


Make = Callable[..., Toys]

# ---------------------------------------------------------------- growing


async def test_a_pool_starts_nothing_before_the_first_call(make: Make) -> None:
    toys = make(replicas=2)
    await settle()
    assert toys.alive == []


async def test_it_grows_while_calls_wait_up_to_the_most(make: Make) -> None:
    toys = make(replicas=(1, 3))
    await toys.call("a")
    assert toys.alive == ["worker 1"]
    await toys.call("b")
    assert toys.alive == ["worker 1", "worker 2"]
    await toys.call("c", "d", "e")
    assert toys.alive == ["worker 1", "worker 2", "worker 3"]
    assert toys.at_work == {"worker 1": ["a"], "worker 2": ["b"], "worker 3": ["c"]}


async def test_the_first_call_starts_the_least_number(make: Make) -> None:
    toys = make(replicas=(2, 3))
    await toys.call("a")
    assert toys.alive == ["worker 1", "worker 2"]


async def test_a_free_worker_is_used_again(make: Make) -> None:
    toys = make(replicas=(0, 5))
    for name in "abc":
        await toys.call(name)
        await toys.end(name)
    assert toys.alive == ["worker 1"]


async def test_it_starts_no_more_workers_than_the_calls_that_wait_can_fill(make: Make) -> None:
    toys = make(replicas=(0, 8), concurrency=4)
    toys.may_start.clear()
    await toys.call("a", "b", "c", "d", "e")
    toys.may_start.set()
    await settle()
    assert toys.alive == ["worker 1", "worker 2"]


async def test_a_call_whose_wait_was_cancelled_starts_no_worker(make: Make) -> None:
    toys = make(replicas=(0, 5))
    await toys.call("a")
    toys.may_start.clear()
    await toys.call("b")
    toys.tasks["b"].cancel()
    await settle()
    await toys.call("c")
    toys.may_start.set()
    await settle()
    assert toys.alive == ["worker 1", "worker 2"]


# ---------------------------------------------------------------- places


async def test_so_many_calls_run_at_once_in_a_worker_as_its_policy_says(make: Make) -> None:
    toys = make(replicas=2, concurrency=2)
    await toys.call("a")
    await toys.call(*"bcdef")
    assert toys.at_work == {"worker 1": ["a", "c"], "worker 2": ["b", "d"]}
    await toys.end("a")
    assert toys.at_work == {"worker 1": ["c", "e"], "worker 2": ["b", "d"]}


async def test_the_least_loaded_worker_takes_the_next_call(make: Make) -> None:
    toys = make(replicas=2, concurrency=3)
    await toys.call("a")
    await toys.call("b", "c")
    await toys.end("b")
    await toys.call("d")
    assert toys.at_work == {"worker 1": ["a", "c"], "worker 2": ["d"]}


async def test_calls_get_their_places_in_the_order_in_which_they_came(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call(*"abcd")
    for name in "abcd":
        assert toys.at_work == {"worker 1": [name]}
        await toys.end(name)


async def test_a_result_reaches_the_caller(make: Make) -> None:
    toys = make()
    await toys.call("a")
    await toys.end("a")
    assert (await toys.tasks["a"]).value == "a"


async def test_phases_tell_what_a_call_waits_for(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("a", "b")
    await toys.end("a")
    assert [phase for name, phase in toys.phases if name == "a"] == ["initializing", "running"]
    assert [phase for name, phase in toys.phases if name == "b"] == ["waiting_for_resources", "running"]


async def test_a_cancelled_call_leaves_the_line(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("a", "b", "c")
    toys.tasks["b"].cancel()
    await toys.end("a")
    assert toys.at_work == {"worker 1": ["c"]}


@pytest.mark.parametrize("moment", range(6))
async def test_a_call_cancelled_in_the_moment_it_gets_a_place_passes_it_on(make: Make, moment: int) -> None:
    toys = make(replicas=1)
    await toys.call("a", "b", "c")
    toys.workers[0].running["a"].set_result(Outcome())
    await settle(moment)
    toys.tasks["b"].cancel()
    await settle()
    assert toys.at_work == {"worker 1": ["c"]}
    await toys.end("c")
    await toys.call("d")
    assert toys.at_work == {"worker 1": ["d"]}


async def test_a_cancelled_call_frees_its_place(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("a", "b")
    toys.tasks["a"].cancel()
    await settle()
    assert toys.at_work == {"worker 1": ["b"]}


# ---------------------------------------------------------------- parents and children


async def test_a_call_that_waits_for_a_child_leaves_it_its_place(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("child")
    assert toys.at_work == {"worker 1": ["parent", "child"]}
    await toys.end("child")
    assert (await toys.resume("parent")).done()
    await toys.call("next")
    assert toys.at_work == {"worker 1": ["parent"]}
    await toys.end("parent")
    assert toys.at_work == {"worker 1": ["next"]}


async def test_a_call_returns_ahead_of_those_that_have_not_started(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("child", "new")
    returning = await toys.resume("parent")
    assert not returning.done()
    await toys.end("child")
    assert returning.done()
    assert toys.at_work == {"worker 1": ["parent"]}


async def test_a_free_place_elsewhere_is_used_while_a_call_waits_to_return(make: Make) -> None:
    toys = make(replicas=2)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("a", "b")
    returning = await toys.resume("parent")
    await toys.end("b" if "b" in toys.at_work["worker 2"] else "a")
    assert not returning.done()
    await toys.call("c")
    assert "c" in toys.at_work["worker 2"]


async def test_a_cancelled_return_takes_no_place(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("child")
    returning = await toys.resume("parent")
    returning.cancel()
    toys.tasks["parent"].cancel()
    await settle()
    await toys.end("child")
    await toys.call("next")
    assert toys.at_work == {"worker 1": ["next"]}


@pytest.mark.parametrize("moment", range(6))
async def test_a_return_cancelled_in_the_moment_it_gets_its_place_gives_it_back(make: Make, moment: int) -> None:
    toys = make(replicas=1)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("child", "next")
    returning = await toys.resume("parent")
    toys.workers[0].running["child"].set_result(Outcome())
    await settle(moment)
    returning.cancel()
    toys.tasks["parent"].cancel()
    await settle()
    assert toys.at_work == {"worker 1": ["next"]}
    await toys.end("next")
    await toys.call("a", "b")
    assert toys.at_work == {"worker 1": ["a"]}


async def test_generations_of_calls_share_the_only_place(make: Make) -> None:
    toys = make(replicas=1)
    names = [f"level {level}" for level in range(50)]
    for name in names:
        await toys.call(name)
        toys.pause(name)
    for name in reversed(names):
        assert (await toys.resume(name)).done()
        await toys.end(name)
    assert toys.alive == ["worker 1"]


# ---------------------------------------------------------------- the machine


async def test_a_worker_at_work_holds_its_part_of_the_machine(make: Make) -> None:
    toys = make(replicas=4, needs=Needs(cpu=1.0), cpus=2)
    await toys.call("a", "b", "c")
    assert toys.at_work == {"worker 1": ["a"], "worker 2": ["b"]}
    assert toys.phases[-1] == ("c", "waiting_for_resources")
    await toys.end("a")
    assert toys.names_at_work == ["b", "c"]


async def test_the_calls_of_a_worker_share_what_it_may_hold(make: Make) -> None:
    toys = make(replicas=1, concurrency=4, needs=Needs(cpu=2.0), cpus=2)
    await toys.call(*"abcd")
    assert toys.at_work == {"worker 1": ["a", "b", "c", "d"]}


async def test_a_call_that_waits_for_a_child_leaves_it_the_machine(make: Make) -> None:
    toys = make(replicas=1, needs=Needs(cpu=2.0), cpus=2)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("child")
    assert toys.at_work == {"worker 1": ["parent", "child"]}


async def test_a_call_cancelled_while_it_waits_for_the_machine_frees_its_place(make: Make) -> None:
    toys = make(replicas=2, needs=Needs(cpu=2.0), cpus=2)
    await toys.call("a", "b", "c")
    toys.tasks["b"].cancel()
    await toys.end("a")
    assert toys.names_at_work == ["c"]


# ---------------------------------------------------------------- alone


async def test_a_call_that_must_be_alone_waits_for_an_empty_worker_and_keeps_it(make: Make) -> None:
    toys = make(replicas=1, concurrency=4)
    await toys.call("a", "b")
    await toys.call("suspect", alone=True)
    assert toys.at_work == {"worker 1": ["a", "b"]}
    await toys.end("a", "b")
    await toys.call("c")
    assert toys.at_work == {"worker 1": ["suspect"]}
    await toys.end("suspect")
    assert toys.at_work == {"worker 1": ["c"]}


async def test_newcomers_do_not_keep_a_call_waiting_that_must_be_alone(make: Make) -> None:
    toys = make(replicas=1, concurrency=2)
    await toys.call("a")
    await toys.call("suspect", alone=True)
    await toys.call("b")
    assert toys.at_work == {"worker 1": ["a"]}
    await toys.end("a")
    assert toys.at_work == {"worker 1": ["suspect"]}


async def test_children_of_a_call_that_is_alone_get_a_worker_beyond_the_most(make: Make) -> None:
    toys = make(replicas=1, concurrency=4)
    await toys.call("suspect", alone=True)
    toys.pause("suspect")
    await toys.call("child")
    assert toys.at_work == {"worker 1": ["suspect"], "worker 2": ["child"]}


async def test_a_child_that_must_be_alone_gets_a_worker_beyond_the_most(make: Make) -> None:
    toys = make(replicas=1, concurrency=4)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("suspect", alone=True)
    assert toys.at_work == {"worker 1": ["parent"], "worker 2": ["suspect"]}


# ---------------------------------------------------------------- modules that were changed


async def test_code_with_a_changed_module_runs_in_a_new_worker(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("a", helpers="1")
    await toys.end("a")
    await toys.call("b", helpers="2")
    assert toys.at_work == {"worker 2": ["b"]}
    assert toys.workers[0].ended == "retired"


async def test_a_worker_with_the_old_module_ends_its_calls_first(make: Make) -> None:
    toys = make(replicas=1, concurrency=2)
    await toys.call("a", "b", helpers="1")
    await toys.call("c", helpers="2")
    await toys.end("a")
    assert toys.at_work == {"worker 1": ["b"]}
    await toys.end("b")
    assert toys.at_work == {"worker 2": ["c"]}


async def test_a_child_with_a_changed_module_gets_a_worker_beyond_the_most(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("parent", helpers="1")
    toys.pause("parent")
    await toys.call("child", helpers="2")
    assert toys.at_work == {"worker 1": ["parent"], "worker 2": ["child"]}


async def test_workers_beyond_the_most_end_with_their_time(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("parent", helpers="1")
    toys.pause("parent")
    await toys.call("child", helpers="2")
    await toys.end("child")
    toys.clock.advance(31)
    assert toys.alive == ["worker 1"]


# ---------------------------------------------------------------- losses


async def test_a_lost_worker_is_replaced_for_those_that_wait(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("a", "b")
    toys.workers[0].lose()
    await settle()
    with pytest.raises(WorkerLostError):
        await toys.tasks["a"]
    assert toys.at_work == {"worker 2": ["b"]}


async def test_every_call_of_a_lost_worker_is_told(make: Make) -> None:
    toys = make(replicas=1, concurrency=3)
    await toys.call("a", "b", "c")
    toys.workers[0].lose()
    answers = await asyncio.gather(*toys.tasks.values(), return_exceptions=True)
    assert all(isinstance(answer, WorkerLostError) and answer.shared for answer in answers)


async def test_a_return_to_a_lost_worker_does_not_wait(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("child")
    returning = await toys.resume("parent")
    toys.workers[0].lose()
    await settle()
    assert returning.done()


async def test_a_worker_that_takes_no_more_calls_ends_those_it_has(make: Make) -> None:
    toys = make(replicas=1)
    await toys.call("parent")
    toys.pause("parent")
    await toys.call("child", "next")
    returning = await toys.resume("parent")
    toys.workers[0].dismiss()
    await settle()
    assert not returning.done()
    assert toys.at_work == {"worker 1": ["parent", "child"], "worker 2": ["next"]}
    await toys.end("child")
    assert returning.done()
    assert toys.at_work == {"worker 1": ["parent"], "worker 2": ["next"]}


async def test_a_worker_that_cannot_start_is_told_to_all_that_wait_for_it(make: Make) -> None:
    toys = make(replicas=(0, 3))
    toys.cannot_start = OSError("no room")
    await toys.call("a", "b")
    for name in "ab":
        with pytest.raises(OSError, match="no room"):
            await toys.tasks[name]
    toys.cannot_start = None
    await toys.call("c")
    assert toys.names_at_work == ["c"]


# ---------------------------------------------------------------- times to live


async def test_an_idle_pool_ends_all_its_workers(make: Make) -> None:
    toys = make(replicas=(2, 2), idle_ttl=100, scaledown_ttl=100)
    await toys.call("a", "b")
    await toys.end("a", "b")
    toys.clock.advance(99)
    assert len(toys.alive) == 2
    toys.clock.advance(2)
    assert toys.alive == []
    assert [worker.ended for worker in toys.workers] == ["retired", "retired"]


async def test_work_keeps_the_pool_warm(make: Make) -> None:
    toys = make(replicas=1, idle_ttl=100)
    for name in "abc":
        await toys.call(name)
        await toys.end(name)
        toys.clock.advance(80)
    assert toys.alive == ["worker 1"]


async def test_one_beyond_the_least_number_ends_by_itself_after_its_time(make: Make) -> None:
    toys = make(replicas=(1, 3), idle_ttl=1000, scaledown_ttl=50)
    await toys.call("a", "b", "c")
    await toys.end("b")
    toys.clock.advance(30)
    await toys.end("c")
    toys.clock.advance(21)
    assert toys.alive == ["worker 1", "worker 3"]
    toys.clock.advance(30)
    assert toys.alive == ["worker 1"]
    toys.clock.advance(500)
    assert toys.alive == ["worker 1"]


async def test_a_worker_whose_call_waits_for_a_child_is_not_idle(make: Make) -> None:
    toys = make(replicas=(0, 1), idle_ttl=30, scaledown_ttl=30)
    await toys.call("parent")
    toys.pause("parent")
    toys.clock.advance(1000)
    assert toys.alive == ["worker 1"]


async def test_a_pool_that_ended_all_its_workers_starts_again(make: Make) -> None:
    toys = make(replicas=1, idle_ttl=30)
    await toys.call("a")
    await toys.end("a")
    toys.clock.advance(31)
    await toys.call("b")
    assert toys.at_work == {"worker 2": ["b"]}


async def test_workers_that_never_had_work_end_too(make: Make) -> None:
    toys = make(replicas=(3, 3), idle_ttl=30)
    await toys.call("a")
    await toys.end("a")
    toys.clock.advance(31)
    assert toys.alive == []


# ---------------------------------------------------------------- the end


async def test_closing_kills_every_worker_and_no_other_starts(make: Make) -> None:
    toys = make(replicas=2)
    await toys.call("a")
    toys.pool.close()
    await settle()
    assert toys.workers[0].ended == "killed"
    assert toys.alive == []


async def test_a_worker_that_comes_after_the_close_is_killed(make: Make) -> None:
    toys = make(replicas=1)
    toys.may_start.clear()
    await toys.call("a")
    toys.pool.close()
    toys.may_start.set()
    await settle()
    assert toys.alive == []
    assert all(worker.ended == "killed" for worker in toys.workers)
