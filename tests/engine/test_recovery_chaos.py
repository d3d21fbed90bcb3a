"""A kernel is killed at any moment of a run, another recovers it: no step that its caller saw finish starts again.

A witness file, written by the tasks themselves, tells each start of a step and each moment when its caller went on.
"""

from __future__ import annotations

import random
import shutil
import time
from bisect import bisect
from collections import Counter
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from tests.engine.cells import WITNESS, Kernels
from tests.processes import processes_of, until

FEW, MANY = 5, 200
ANSWER = 2546
"""What the run comes to, see `CELLS`."""
PHASES = ("async trace", "sync trace", "generator", "task", "thread", "pooled", "process", "fold", "between")

CELLS = """
import time

STEP_SECONDS = 0.03
env = flyte.TaskEnvironment("chaos")
pool = flyte.TaskEnvironment("chaospool", reusable=flyte.ReusePolicy(replicas=1, concurrency=8))
cold = flyte.TaskEnvironment("chaoscold", env_vars={"COLD": "1"})

@flyte.trace
async def think(n: int) -> int:
    note(f"start async-trace {n}")
    await asyncio.sleep(STEP_SECONDS)
    return n * 2

@flyte.trace
def compute(n: int) -> int:
    note(f"start sync-trace {n}")
    time.sleep(STEP_SECONDS / 4)  # it blocks the loop, so it stands in the way of all others
    return n * 3

@flyte.trace
async def stream(n: int):
    note(f"start generator {n}")
    for item in range(3):
        yield n + item
        await asyncio.sleep(STEP_SECONDS)

@env.task
async def leaf(n: int) -> int:
    note(f"start task {n}")
    await asyncio.sleep(STEP_SECONDS)
    return n + 1

@env.task
def leaf_in_a_thread(n: int) -> int:
    note(f"start thread {n}")
    time.sleep(2 * STEP_SECONDS)
    return n + 2

@pool.task
async def pooled(n: int) -> int:
    note(f"start pooled {n}")
    thought = await think(n + 100)
    note(f"told async-trace {n + 100}")
    computed = compute(n + 100)
    note(f"told sync-trace {n + 100}")
    child = await leaf(n + 100)
    note(f"told task {n + 100}")
    return thought + computed + child

@cold.task
def in_a_process(n: int) -> int:
    note(f"start process {n}")
    time.sleep(2 * STEP_SECONDS)
    return n + 4

@env.task
async def lane(n: int) -> int:
    note(f"start lane {n}")
    total = await think(n)
    note(f"told async-trace {n}")
    total += compute(n)
    note(f"told sync-trace {n}")
    total += sum([item async for item in stream(n)])
    note(f"told generator {n}")
    total += await leaf(n)
    note(f"told task {n}")
    total += await leaf_in_a_thread.aio(n)
    note(f"told thread {n}")
    total += await pooled(n)
    note(f"told pooled {n}")
    total += await in_a_process.aio(n)
    note(f"told process {n}")
    return total

@env.task
async def main() -> int:
    total = 0
    for n, result in enumerate(await asyncio.gather(*[lane(n) for n in range(4)])):
        note(f"told lane {n}")
        total += result
    return total
"""

FOLDS = """
import threading
from flyte_nb.remote import Run

is_over = threading.Event()

def folds_without_pause():
    while not is_over.wait(0.02):
        note("start fold 0")
        list(Run.listall())
        note("told fold 0")

folder = threading.Thread(target=folds_without_pause, daemon=True)
folder.start()
"""
END = """
is_over.set()
folder.join()
"""
RUN = "answer(flyte.with_runcontext(name='chaos').run(main).outputs()[0])"
RECOVER = "answer(flyte.rerun({run!r}, recover=True).outputs()[0])"
NEXT_KERNEL = "next kernel"


class Killed:
    """One run that is killed, maybe more than once, and recovered in the end."""

    def __init__(self, folder: Path) -> None:
        self.kernels = Kernels(folder)
        self.witness = self.kernels.witness
        self.witness.touch()

    def kill_after(self, steps: int, delay_seconds: float, *cells: str) -> set[str] | None:
        """Runs cells and kills their kernel, so long after so many lines; what it was at, None if it ended before."""
        kernel = self.kernels.start(*cells)
        before = len(self.lines())
        until(lambda: len(self.steps(before)) >= steps or kernel.poll() is not None)
        time.sleep(delay_seconds)
        kernel.kill()
        _, errors = kernel.communicate()
        assert kernel.returncode in (0, -9), errors
        until(lambda: not processes_of(self.kernels.home))
        if kernel.returncode == 0:
            return None
        phases = self.open_phases(before)
        with self.witness.open("a") as witness:
            witness.write(f"{NEXT_KERNEL}\n")
        return phases

    def lines(self) -> list[str]:
        return self.witness.read_text().splitlines()

    def steps(self, since: int = 0) -> list[str]:
        """Of the lines those which the run writes itself."""
        return [line for line in self.lines()[since:] if "fold" not in line]

    def open_phases(self, since: int) -> set[str]:
        """The kinds of the steps that had begun and that their callers had not seen finish."""
        opened: dict[str, None] = {}
        for line in self.lines()[since:]:
            verb, label = line.split(" ", 1)
            if verb == "start":
                opened[label] = None
            else:
                opened.pop(label, None)
        return {label.rpartition(" ")[0].replace("-", " ") for label in opened} - {"lane"} or {"between"}

    def again(self) -> list[str]:
        """The steps that began in a kernel after their callers had seen them finish in an earlier one."""
        told: set[str] = set()
        told_now: set[str] = set()
        found = []
        for line in self.lines():
            if line == NEXT_KERNEL:
                told |= told_now
                continue
            verb, label = line.split(" ", 1)
            if verb == "told":
                told_now.add(label)
            elif label in told and not label.startswith("fold"):
                found.append(label)
        return found


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """When a run that nobody kills writes its lines, in seconds since the first."""
    whole = Killed(tmp_path_factory.mktemp("whole"))
    kernel = whole.kernels.start(FOLDS, CELLS, RUN, END)
    written_at: list[float] = []
    while kernel.poll() is None:
        written_at += [time.monotonic()] * (len(whole.steps()) - len(written_at))
        time.sleep(0.001)
    kernel.communicate()
    assert kernel.returncode == 0
    return [at - written_at[0] for at in written_at]


def kill_and_recover(folder: Path, seed: int, moments: list[float]) -> Counter[str]:
    """Kills a run once or twice, at moments uniform over it, and recovers it; returns what it was at."""
    chance = random.Random(seed)
    killed = Killed(folder)
    hit: Counter[str] = Counter()
    cells = [FOLDS, CELLS, RUN, END]
    begun = 0
    for _ in range(chance.choice([1, 1, 2])):
        moment = chance.uniform(moments[begun], moments[-1])
        reached = bisect(moments, moment)
        phases = killed.kill_after(reached - begun, moment - moments[reached - 1], *cells)
        if phases is None:
            break
        hit.update(phases)
        begun = reached - 1
        cells = [FOLDS, RECOVER.format(run=Store.open(killed.kernels.home).runs()[0].name), END]
    assert killed.kernels.run(*cells) == ANSWER
    assert not killed.again()
    return hit


STEPS = """
env = flyte.TaskEnvironment("torn")

@flyte.trace
async def traced(x: int) -> int:
    note(f"traced {x}")
    return x

@env.task
async def step(x: int) -> int:
    note(f"step {x}")
    return x

@env.task
async def main() -> int:
    total = 0
    for x in range(3):
        total += await step(x) + await traced(x)
    if not os.path.exists("recovers"):
        os.kill(os.getpid(), 9)
    return total
"""


@pytest.mark.filterwarnings("ignore::flyte_nb.store.errors.StoreWarning")  # it says how many bytes are lost
@pytest.mark.parametrize("stride", [97, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_a_journal_torn_at_any_byte_is_recovered_from_its_last_whole_frame(
    stride: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = Kernels(tmp_path)
    kernels.run(STEPS, "flyte.with_runcontext(name='torn').run(main)", killed=True)
    assert len(kernels.noted()) == 6
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WITNESS, str(kernels.witness))
    (tmp_path / "recovers").touch()
    (journal,) = (kernels.home / "journals").glob("*.0000")
    whole = journal.read_bytes()
    begins = whole.index(b"torn.main")
    executed = []
    for end in range(begins, len(whole) + 1, stride):
        home = tmp_path / f"torn at {end}"
        shutil.copytree(kernels.home, home)
        torn = home / journal.relative_to(kernels.home)
        torn.write_bytes(whole[:end])
        monkeypatch.setenv("FLYTE_NB_HOME", str(home))
        if Store(Home(home)).runs() == []:
            assert not executed, "once its beginning is whole, a run is there"
            continue
        assert flyte.rerun("torn", recover=True).outputs()[0] == 6
        end_session()
        executed.append(len(kernels.noted()))
        shutil.rmtree(home, ignore_errors=True)  # the database may be closing
    assert executed == sorted(executed, reverse=True)
    assert executed[0] == 6
    assert executed[-1] == 0 or stride > 1


@pytest.mark.parametrize("seed", range(FEW))
def test_no_step_that_its_caller_saw_finish_starts_again(seed: int, tmp_path: Path, moments: list[float]) -> None:
    kill_and_recover(tmp_path, seed, moments)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_step_that_its_caller_saw_finish_starts_again_after_kills_in_every_phase(
    tmp_path: Path, moments: list[float]
) -> None:
    hit: Counter[str] = Counter()
    for seed in range(MANY):
        folder = tmp_path / str(seed)
        folder.mkdir()
        hit += kill_and_recover(folder, 1000 + seed, moments)
    print(f"\nkilled in: {dict(hit)}")
    assert all(hit[phase] >= 20 for phase in PHASES)
