"""Two real kernels on one store: each sees the other's live runs, and can end them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from tests.notebook.conftest import Kernel, running_kernel
from tests.processes import until

DECLARED = """
fast = flyte.TaskEnvironment("fast", reusable=flyte.ReusePolicy(replicas=(1, 1)))

@fast.task
def pooled(seconds: float) -> None:
    time.sleep(seconds)

@env.task
async def block(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

@env.task
async def tolerant(seconds: float) -> str:
    try:
        await wait(seconds)
    except flyte.errors.ActionAbortedError:
        return "aborted"
    return "done"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("shared") / "home")


@pytest.fixture(scope="module")
def kernels(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Kernel]]:
    """A kernel that runs, and one that looks on."""
    with ExitStack() as started:
        one, two = (
            started.enter_context(running_kernel(tmp_path_factory.mktemp(name), home.path)) for name in ("one", "two")
        )
        one.ok(DECLARED)
        yield one, two


def start_cell(kernel: Kernel, home: Home, call: str) -> str:
    """Has the kernel execute a cell that runs a task, and returns the run's name as soon as the store tells it."""
    known = {run.name for run in Store(home).runs()}
    kernel.client.execute(f"run = flyte.with_runcontext().run({call})", stop_on_error=False)

    def started() -> list[str]:
        return [run.name for run in Store(home).runs(phase="running") if run.name not in known]

    return until(started)[0]


def test_a_kernel_sees_the_others_live_run(kernels: tuple[Kernel, Kernel], home: Home) -> None:
    one, two = kernels
    one.ok("run = flyte.with_runcontext(name='seen').start(wait, 3600.0)")
    seen = two.ok("run = flyte.remote.Run.get('seen')\nprint(run.phase.value, len(run.actions()))")
    assert seen.stdout == "running 1\n"
    assert [content["data"] for content in two.ok("%flyte show seen").of("execute_result")]
    assert two.ok("print([run.name for run in flyte.remote.Run.listall(in_phase='running')])").stdout == "['seen']\n"
    two.ok("run.abort()")
    assert Store(home).run("seen").phase == "aborted"
    assert one.ok("print(run.phase.value)").stdout == "aborted\n"


@pytest.mark.parametrize(
    "call", ["wait, 3600.0", "pooled, 3600.0", "block, 3600.0"], ids=["async", "in_a_process", "blocking_the_loop"]
)
def test_a_kernel_ends_a_run_of_another(kernels: tuple[Kernel, Kernel], home: Home, call: str) -> None:
    one, two = kernels
    run = start_cell(one, home, call)
    told = two.ok(f"%flyte abort {run} --reason 'had enough'").stdout
    assert told == f"Run {run} is aborted.\n"
    row = Store(home).run(run)
    assert row.phase == "aborted"
    assert row.error is not None
    assert row.error.message == "the run was aborted: had enough"
    assert one.ok("print(flyte.run(wait, 0.0).outputs()[0])").stdout == "0.0\n"
    assert not list(home.requests.iterdir())


def test_a_kernel_ends_one_action_of_anothers_run_and_the_run_goes_on(
    kernels: tuple[Kernel, Kernel], home: Home
) -> None:
    one, two = kernels
    run = start_cell(one, home, "tolerant, 3600.0")
    until(lambda: len(Store(home).actions(run)) == 2)
    child = Store(home).actions(run)[1].name
    told = two.ok(f"%flyte abort {run} {child}").stdout
    assert told == f"quick.wait ({child}) of run {run} is aborted.\n"
    assert one.ok("print(run.outputs()[0])").stdout == "aborted\n"
    assert Store(home).run(run).phase == "succeeded"


def test_what_is_over_stays_as_it_is(kernels: tuple[Kernel, Kernel], home: Home) -> None:
    one, two = kernels
    run = one.ok("print(flyte.run(wait, 0.0).name)").stdout.strip()
    assert two.ok(f"%flyte abort {run}").stdout == f"Run {run} is over already: succeeded.\n"
    assert "No action of run" in two.run(f"%flyte abort {run} nothing").stderr


def test_a_process_that_does_not_answer_is_named_and_ends_the_run_when_it_goes_on(
    kernels: tuple[Kernel, Kernel], home: Home
) -> None:
    one, two = kernels
    two.ok("from flyte_nb.remote import aborting\naborting.TAKEN_SECONDS = 0.5")
    process = one.manager.provisioner.pid
    run = start_cell(one, home, "wait, 3600.0")
    os.kill(process, signal.SIGSTOP)
    try:
        told = two.run(f"%flyte abort {run}").stderr
    finally:
        os.kill(process, signal.SIGCONT)
    assert f"Process {process}, in which run {run} lives, has not answered" in told
    until(lambda: Store(home).run(run).phase == "aborted")


def test_the_run_of_a_killed_kernel_needs_no_abort(
    home: Home, kernels: tuple[Kernel, Kernel], start_kernel: Callable[[Path], Kernel]
) -> None:
    _, two = kernels
    third = start_kernel(home.path)
    run = third.ok("print(flyte.with_runcontext(name='doomed').start(wait, 3600.0).name)").stdout.strip()
    assert two.ok(f"print(flyte.remote.Run.get({run!r}).phase.value)").stdout == "running\n"
    os.kill(third.manager.provisioner.pid, signal.SIGKILL)
    until(lambda: Store(home).run(run).phase == "aborted")
    assert two.ok(f"%flyte abort {run}").stdout == f"Run {run} is over already: aborted.\n"
