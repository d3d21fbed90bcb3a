"""Runs that a fault of the machine ended are recovered: a full disk, killed workers, a kernel killed with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.store.queries import Store
from tests.engine.cells import Kernels
from tests.engine.recovery_cells import TELL

STEPS = """
import signal, time

env = flyte.TaskEnvironment("faults")
pool = flyte.TaskEnvironment("faultspool", reusable=flyte.ReusePolicy(replicas=1))

@flyte.trace
async def traced(x: int) -> int:
    note(f"traced {x}")
    return x

@env.task
async def step(x: int) -> str:
    note(f"step {x}")
    return str(x) * 10_000

@pool.task
async def in_a_worker(n: int) -> int:
    note("in_a_worker")
    total = 0
    for x in range(n):
        total += len(await step(x)) + await traced(x)
    if not os.path.exists("mended"):
        os.kill(os.getpid(), signal.SIGKILL)
    return total

@env.task
async def main(n: int) -> int:
    total = 0
    for x in range(n):
        total += len(await step(x)) + await traced(x)
    return total

@env.task
async def over_a_worker(n: int) -> int:
    note("over_a_worker")
    return await in_a_worker(n) + len(await step(100))
"""


def recover(kernels: Kernels, run: str) -> Any:
    """The run, recovered in another kernel, and what that executed."""
    (kernels.folder / "mended").touch()
    kernels.noted()
    answer = kernels.run(TELL, f"answer(tell_again({run!r}, recover=True))")
    return answer, kernels.noted()


def test_a_run_that_a_full_disk_ended_goes_on_once_there_is_room(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    kernels.run(
        STEPS,
        """
import resource
from flyte_nb.store.errors import JournalWriteError

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    flyte.with_runcontext(name="full").run(main, 40)
except JournalWriteError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
""",
    )
    store = Store.open(kernels.home)
    assert store.run("full").phase == "failed"
    recorded = Counter(row.task for row in store.actions("full") if row.phase == "succeeded")
    assert recorded["faults.step"] > 5 and recorded["traced"] > 5
    answer, executed = recover(kernels, "full")
    assert answer["output"] == sum(len(str(x)) * 10_000 + x for x in range(40))
    assert len([line for line in executed if line.startswith("step")]) == 40 - recorded["faults.step"]
    assert len([line for line in executed if line.startswith("traced")]) == 40 - recorded["traced"]


@pytest.mark.parametrize("whose", ["its worker", "its kernel and all workers"])
def test_what_a_killed_worker_had_seen_finish_is_not_done_again(whose: str, tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    cells = STEPS
    if whose != "its worker":
        cells = STEPS.replace(
            "os.kill(os.getpid()", "os.kill(KERNEL, 9), os.kill(os.getppid(), 9), os.kill(os.getpid()"
        )
    kernels.run(
        "KERNEL = os.getpid()",
        cells,
        """
try:
    flyte.with_runcontext(name="killed").run(over_a_worker, 4)
except flyte.errors.RuntimeSystemError:
    pass
""",
        killed=whose != "its worker",
    )
    assert Store.open(kernels.home).run("killed").phase == ("failed" if whose == "its worker" else "aborted")
    assert kernels.noted()[-8:] == [f"{kind} {x}" for x in range(4) for kind in ("step", "traced")]
    answer, executed = recover(kernels, "killed")
    assert answer["output"] == 40_000 + 6 + 30_000
    assert executed == ["over_a_worker", "in_a_worker", "step 100"]
    phases = {(task, phase) for task, phase, _ in answer["actions"]}
    assert phases >= {("faults.step", "recovered"), ("traced", "recovered"), ("faultspool.in_a_worker", "succeeded")}
