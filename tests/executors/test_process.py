"""The process executor: fresh processes, pools, and virtual environments keep the contract of executors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.engine.worker_values import OPEN_VALUES
from flyte_nb.errors import ResourceExhaustedError
from flyte_nb.executors.images.virtualenv import Virtualenvs
from flyte_nb.executors.limits.admission import Admission
from flyte_nb.executors.limits.machine import Machine
from flyte_nb.executors.losses import WorkerLostError
from flyte_nb.executors.placement import Needs, Placement
from flyte_nb.executors.process import ProcessExecutor
from flyte_nb.store.home import Home
from flyte_nb.store.values import ValueStore
from tests.executors.contract import ExecutorContract
from tests.executors.environments import build_default
from tests.executors.shipped_calls import ShippedCalls
from tests.processes import is_alive, until_aio

FRESH = Placement("process", "a test")
POOLED = Placement("process", "a test", environment="pooled", reuse=ReusePolicy(replicas=2))


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.find(tmp_path_factory.mktemp("store"))


@pytest.fixture
def values(home: Home) -> ValueStore:
    return ValueStore(home)


@asynccontextmanager
async def opened(home: Home) -> AsyncIterator[ProcessExecutor]:
    machine = Machine(cpus=4, memory_bytes=1 << 33, gpus=())
    executor = ProcessExecutor((OPEN_VALUES, str(home.path)), Admission(machine))
    yield executor
    executor.close()
    await asyncio.sleep(0.01)  # for the connections, which close on this loop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(home: Home) -> AsyncIterator[ProcessExecutor]:
    """One for all tests, as a session has it."""
    async with opened(home) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def own_executor(home: Home) -> AsyncIterator[ProcessExecutor]:
    async with opened(home) as made:
        yield made


@pytest.fixture
def calls(values: ValueStore, tmp_path: Path) -> ShippedCalls:
    return ShippedCalls(FRESH, values, tmp_path)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of virtual environments, with the default one in it."""
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_IMAGES", str(folder))
        virtualenvs = Virtualenvs()
        build_default(virtualenvs)
        virtualenvs.close()
        yield folder


class TestFreshProcesses(ExecutorContract):
    @pytest.fixture
    def calls(self, values: ValueStore, tmp_path: Path) -> ShippedCalls:
        return ShippedCalls(FRESH, values, tmp_path)


class TestPooledProcesses(ExecutorContract):
    @pytest.fixture
    def calls(self, values: ValueStore, tmp_path: Path) -> ShippedCalls:
        return ShippedCalls(POOLED, values, tmp_path)


class TestVirtualEnvironments(ExecutorContract):
    @pytest.fixture
    def calls(self, values: ValueStore, tmp_path: Path, images: Path) -> ShippedCalls:
        return ShippedCalls(Placement("virtualenv", "a test", environment="isolated"), values, tmp_path)


# ---------------------------------------------------------------- fresh ones


async def test_every_call_gets_a_process_of_its_own_which_is_gone_afterwards(
    executor: ProcessExecutor, calls: ShippedCalls
) -> None:
    pids = [calls.value(await executor.execute(calls.call("pid", False))) for _ in range(3)]
    assert len({*pids, os.getpid()}) == 4
    await until_aio(lambda: not any(map(is_alive, pids)))


async def test_what_a_call_goes_through_is_told(executor: ProcessExecutor, calls: ShippedCalls) -> None:
    pid = calls.value(await executor.execute(calls.call("pid", False)))
    assert calls.notes.phases == [("initializing", ""), ("running", f"process ({pid})")]


async def test_output_reaches_the_host_before_the_outcome(executor: ProcessExecutor, calls: ShippedCalls) -> None:
    await executor.execute(calls.call("says", True, {"text": "hello"}))
    assert calls.notes.output == [("stdout", "hello\n")]


async def test_variables_are_set_in_the_process_only(executor: ProcessExecutor, calls: ShippedCalls) -> None:
    calls.placement = Placement("process", "a test", variables={"COLOUR": "blue"})
    assert calls.value(await executor.execute(calls.call("shows_variable", True, {"name": "COLOUR"}))) == "blue"
    assert "COLOUR" not in os.environ


async def test_the_traceback_ends_in_the_users_function(executor: ProcessExecutor, calls: ShippedCalls) -> None:
    outcome = await executor.execute(calls.call("raises", False))
    assert outcome.error is not None
    traceback = outcome.error.__traceback__
    assert traceback is not None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback.tb_frame.f_code.co_name == "raises"
    assert traceback.tb_frame.f_code.co_filename.endswith("callees.py")


async def test_a_call_larger_than_the_machine_is_refused(executor: ProcessExecutor, calls: ShippedCalls) -> None:
    calls.placement = Placement("process", "a test", needs=Needs(cpu=64))
    with pytest.raises(ResourceExhaustedError, match="64 cpus"):
        await executor.execute(calls.call("pid", False))


async def test_calls_wait_for_room_on_the_machine(
    executor: ProcessExecutor, calls: ShippedCalls, tmp_path: Path
) -> None:
    calls.placement = Placement("process", "a test", needs=Needs(cpu=4))
    first = asyncio.create_task(executor.execute(calls.call("lingers", True, {"folder": str(tmp_path)})))
    await until_aio((tmp_path / "began").exists)
    second = asyncio.create_task(executor.execute(calls.call("pid", False)))
    await until_aio(lambda: ("waiting_for_resources", "") in calls.notes.phases)
    assert not second.done()
    (tmp_path / "go").touch()
    await asyncio.gather(first, second)


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("function", ["waits", "waits_in_c", "refuses"])
@pytest.mark.parametrize("placement", [FRESH, POOLED], ids=["fresh", "pooled"])
async def test_cancellation_ends_the_code(
    executor: ProcessExecutor, calls: ShippedCalls, tmp_path: Path, function: str, placement: Placement
) -> None:
    calls.placement = placement
    running = asyncio.create_task(
        executor.execute(calls.call(function, function != "waits_in_c", {"folder": str(tmp_path)}))
    )
    await until_aio((tmp_path / "began").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (tmp_path / "ended").exists() == (function == "waits")
    assert calls.value(await executor.execute(calls.call("pid", False))) != os.getpid()


async def test_a_second_cancellation_does_not_leave_the_code_running(
    executor: ProcessExecutor, calls: ShippedCalls, tmp_path: Path
) -> None:
    running = asyncio.create_task(executor.execute(calls.call("refuses", True, {"folder": str(tmp_path)})))
    await until_aio((tmp_path / "began").exists)
    ((_, where),) = [told for told in calls.notes.phases if told[0] == "running"]
    pid = int(where.strip(")").rpartition("(")[2])
    for _ in range(5):
        running.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_aio(lambda: not is_alive(pid))


async def test_closing_ends_what_runs(own_executor: ProcessExecutor, calls: ShippedCalls, tmp_path: Path) -> None:
    running = asyncio.create_task(own_executor.execute(calls.call("waits_in_c", False, {"folder": str(tmp_path)})))
    await until_aio((tmp_path / "began").exists)
    await asyncio.to_thread(own_executor.close)
    with pytest.raises(WorkerLostError):
        await running


# ---------------------------------------------------------------- pools


async def test_calls_that_agree_share_a_pool_and_others_do_not(
    own_executor: ProcessExecutor, calls: ShippedCalls
) -> None:
    policy = ReusePolicy(replicas=(0, 1), concurrency=2)

    async def pid(**changes: Any) -> int:
        calls.placement = Placement("process", "a test", **{"environment": "e", "reuse": policy, **changes})
        return int(calls.value(await own_executor.execute(calls.call("pid", True))))

    first = await pid()
    assert await pid() == first
    others = [
        await pid(environment="f"),
        await pid(variables={"A": "1"}),
        await pid(needs=Needs(cpu=1)),
        await pid(scope="run"),
        await pid(reuse=ReusePolicy(replicas=(0, 2), concurrency=2)),
    ]
    assert len({first, *others}) == 6
    assert len(own_executor.pools) == 6


async def test_the_pools_of_a_run_end_with_it(executor: ProcessExecutor, calls: ShippedCalls) -> None:
    calls.placement = Placement("process", "a test", environment="e", reuse=ReusePolicy(replicas=1), scope="run-1")
    pid = calls.value(await executor.execute(calls.call("pid", False)))
    executor.end_scope("run-2")
    assert is_alive(pid)
    before = len(executor.pools)
    executor.end_scope("run-1")
    await until_aio(lambda: not is_alive(pid))
    assert len(executor.pools) == before - 1
