"""Where tasks run, and why."""

from __future__ import annotations

import pytest

import flyte_nb as flyte
from flyte_nb.engine.isolation import decide
from flyte_nb.engine.options import RunOptions

too_large = flyte.TaskEnvironment("too_large", resources=flyte.Resources(cpu=4096))
modest = flyte.TaskEnvironment("modest", resources=flyte.Resources(cpu=1))


@too_large.task
async def wants_a_datacentre() -> int:
    return 1


@modest.task
async def wants_one_cpu() -> int:
    return 1


def test_more_cpus_than_there_are_fail_at_once_and_say_what_there_is() -> None:
    with pytest.raises(flyte.errors.ResourceExhaustedError, match=r"wants_a_datacentre asks for 4096 cpus.*has \d"):
        flyte.run(wants_a_datacentre)


def test_cpus_that_there_are_leave_a_task_in_the_kernel() -> None:
    assert decide(wants_one_cpu, RunOptions()) == ("kernel", "nothing asks for a process")


def test_a_run_that_wants_the_kernel_gets_it_and_says_what_does_not_hold() -> None:
    isolation, reason = decide(wants_a_datacentre, RunOptions(isolation="kernel"))
    assert isolation == "kernel"
    assert "more cpus than there are" in reason
