"""The memory limit: what counts, what does not, and who is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flyte_nb.executors.limits.memory import MemoryWatch, data_limit_bytes
from flyte_nb.executors.limits.resident import FIND_SECONDS, PortableTrees, ProcTrees, Tree, Trees
from tests.processes import until

MIB = 1 << 20
LIMIT = 1 << 40
SLACK = 8 * MIB
"""What an interpreter may take for itself meanwhile."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

PUPPET = """
import json, mmap, os, subprocess, sys, threading, time
for line in sys.stdin:
    exec(json.loads(line))
    print("done", flush=True)
"""
FORKS = """
pids = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        {body}
        os.write(ready_w, b".")
        time.sleep(3600)
    pids.append(pid)
for _ in pids:
    os.read(ready_r, 1)
"""


class Puppet:
    """A process of its own session, as workers are, that does what it is told."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PUPPET],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.do("ready_r, ready_w = os.pipe(); go_r, go_w = os.pipe()")

    def tell(self, code: str) -> None:
        """Tells it to run code, and does not wait."""
        assert self._process.stdin is not None
        print(json.dumps(code), file=self._process.stdin, flush=True)

    def do(self, code: str) -> None:
        """Has it run code."""
        assert self._process.stdout is not None
        self.tell(code)
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        """Kills it and all of its session."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    puppet = Puppet()
    yield puppet
    puppet.end()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


@pytest.fixture(params=[pytest.param(ProcTrees, marks=linux), PortableTrees])
def trees(request: pytest.FixtureRequest) -> Trees:
    made: Trees = request.param()
    return made


@pytest.fixture
def tree(trees: Trees, puppet: Puppet) -> Iterator[Tree]:
    before = open_files()
    tree = trees.open(puppet.pid)
    yield tree
    tree.close()
    assert open_files() <= before


def used(tree: Tree, limit_bytes: int = LIMIT) -> int:
    used_bytes = tree.used_bytes(limit_bytes)
    assert used_bytes is not None
    return used_bytes


def found(trees: Trees, tree: Tree) -> int:
    """What is used, processes that were started meanwhile included."""
    trees.find()
    return used(tree)


# ---------------------------------------------------------------- what counts


def test_private_memory_counts_as_it_comes_and_goes(tree: Tree, puppet: Puppet) -> None:
    assert used(tree) < SLACK
    puppet.do("x = b'x' * (64 << 20)")
    assert 64 * MIB <= used(tree) < 64 * MIB + SLACK
    puppet.do("del x")
    assert used(tree) < SLACK


def test_what_the_process_had_before_does_not_count(trees: Trees, puppet: Puppet) -> None:
    puppet.do("x = b'x' * (64 << 20)")
    tree = trees.open(puppet.pid)
    puppet.do("y = sum(x)")
    assert used(tree) < SLACK
    tree.close()


def test_memory_that_was_never_touched_does_not_count(tree: Tree, puppet: Puppet) -> None:
    puppet.do("x = mmap.mmap(-1, 2 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)")
    assert used(tree) < SLACK


def test_threads_do_not_count(tree: Tree, puppet: Puppet) -> None:
    puppet.do(
        "stop = threading.Event()\nthreads = [threading.Thread(target=stop.wait, daemon=True) for _ in range(32)]\n"
        "for thread in threads: thread.start()"
    )
    assert used(tree) < SLACK
    puppet.do("stop.set()")


MAPS = """
file = os.open({path!r}, os.O_RDONLY)
x = mmap.mmap(file, 0, access=mmap.ACCESS_COPY)
read = sum(x[::4096])
"""


@linux
def test_a_mapped_file_does_not_count_but_what_is_written_to_it_does(puppet: Puppet, tmp_path: Path) -> None:
    tree = ProcTrees().open(puppet.pid)
    (tmp_path / "value").write_bytes(bytes(64 * MIB))
    puppet.do(MAPS.format(path=str(tmp_path / "value")))
    assert used(tree) < SLACK
    puppet.do("x[: 32 << 20] = b'x' * (32 << 20)")
    assert 32 * MIB <= used(tree) < 32 * MIB + SLACK
    tree.close()


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no file system in memory")
@linux
def test_a_mapped_file_does_not_count_on_a_file_system_in_memory_either(puppet: Puppet) -> None:
    path = Path(f"/dev/shm/flyte-nb-test-{os.getpid()}")
    path.write_bytes(bytes(64 * MIB))
    try:
        tree = ProcTrees().open(puppet.pid)
        puppet.do(MAPS.format(path=str(path)))
        assert used(tree, limit_bytes=16 * MIB) < SLACK
        tree.close()
    finally:
        path.unlink()


def test_a_process_that_it_starts_counts(trees: Trees, tree: Tree, puppet: Puppet) -> None:
    puppet.do(STARTS.format(new_session=False))
    trees.find()
    assert 64 * MIB <= used(tree) < 64 * MIB + 4 * SLACK
    puppet.do("child.kill(); child.wait(); child.stdout.close()")
    assert used(tree) < SLACK


STARTS = """
program = "import time; x = b'x' * (64 << 20); print('filled', flush=True); time.sleep(3600)"
child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session={new_session})
child.stdout.readline()
"""


def test_a_process_that_left_its_session_counts(trees: Trees, tree: Tree, puppet: Puppet) -> None:
    puppet.do(STARTS.format(new_session=True))
    trees.find()
    assert used(tree) >= 64 * MIB
    puppet.do("child.kill(); child.wait(); child.stdout.close()")


@linux
def test_an_orphan_of_its_session_counts(puppet: Puppet) -> None:
    trees = ProcTrees()
    tree = trees.open(puppet.pid)
    puppet.do(
        "if os.fork() == 0:\n"
        "    if os.fork() == 0: x = b'x' * (64 << 20); os.write(ready_w, b'.'); time.sleep(3600)\n"
        "    os._exit(0)\n"
        "os.wait(); os.read(ready_r, 1)"
    )
    until(lambda: found(trees, tree) >= 64 * MIB)
    tree.close()


@linux
def test_what_forks_share_with_their_parent_counts_once_and_what_they_take_counts(puppet: Puppet) -> None:
    trees = ProcTrees()
    tree = trees.open(puppet.pid)
    puppet.do("x = b'x' * (64 << 20)")
    puppet.do(FORKS.format(body="pass"))
    trees.find()
    assert 64 * MIB <= used(tree) < 64 * MIB + SLACK
    puppet.do("for pid in pids: os.kill(pid, 9); os.waitpid(pid, 0)")
    puppet.do(FORKS.format(body="y = b'y' * (16 << 20)"))
    until(lambda: found(trees, tree) >= 128 * MIB)
    assert used(tree) < 128 * MIB + SLACK
    tree.close()


@linux
def test_what_a_fork_rewrites_of_its_parents_memory_counts_twice(puppet: Puppet) -> None:
    trees = ProcTrees()
    tree = trees.open(puppet.pid)
    private = "x = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); x[:] = bytes(64 << 20)"
    puppet.do(private)
    puppet.do(FORKS.format(body="x[: 16 << 20] = bytes(16 << 20)"))
    until(lambda: found(trees, tree) >= 128 * MIB)
    assert used(tree) < 128 * MIB + SLACK
    tree.close()


@linux
def test_a_fork_that_calls_exec_counts_from_zero(puppet: Puppet) -> None:
    trees = ProcTrees()
    tree = trees.open(puppet.pid)
    puppet.do("x = b'x' * (64 << 20)")
    program = "import sys; x = b'x' * (64 << 20); sys.stdin.readline()"
    puppet.do(
        f"pid = os.fork()\nif pid == 0:\n    os.read(go_r, 1)\n    os.dup2(go_r, 0)\n"
        f"    os.execv(sys.executable, [sys.executable, '-c', {program!r}])"
    )
    trees.find()
    assert used(tree) < 64 * MIB + SLACK
    puppet.do("os.write(go_w, b'.')")
    until(lambda: used(tree) >= 128 * MIB)
    tree.close()


@linux
def test_a_shared_segment_counts_once_however_many_have_opened_it(puppet: Puppet) -> None:
    trees = ProcTrees()
    tree = trees.open(puppet.pid)
    puppet.do("x = mmap.mmap(-1, 64 << 20); x[:] = bytes(64 << 20)")
    puppet.do(FORKS.format(body="y = sum(x[::4096])"))
    trees.find()
    assert 64 * MIB <= used(tree, limit_bytes=65 * MIB) < 64 * MIB + SLACK
    tree.close()


@linux
def test_a_child_that_is_long_about_to_call_exec_does_not_count_its_parents_memory(
    puppet: Puppet, tmp_path: Path
) -> None:
    trees = ProcTrees()
    tree = trees.open(puppet.pid)
    puppet.do("x = b'x' * (64 << 20)")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    opened = f"file_actions=[(os.POSIX_SPAWN_OPEN, 0, {str(gate)!r}, os.O_RDONLY, 0)]"
    puppet.tell(f"os.waitpid(os.posix_spawn('/bin/true', ['true'], os.environ, {opened}), 0)")
    until(lambda: bool(psutil.Process(puppet.pid).children()))
    most = 0
    for _ in range(20):  # more often than it is looked at what a fork has for itself
        trees.find()
        most = max(most, used(tree))
        time.sleep(FIND_SECONDS)
    gate.write_bytes(b"")
    assert most < 64 * MIB + SLACK
    tree.close()


@linux
def test_a_child_that_is_about_to_call_exec_does_not_count_its_parents_memory(puppet: Puppet) -> None:
    trees = ProcTrees()
    tree = trees.open(puppet.pid)
    puppet.do("x = b'x' * (64 << 20)")
    most = [0]
    finished = threading.Event()

    def read_on() -> None:
        while not finished.is_set():
            trees.find()
            most[0] = max(most[0], used(tree))

    reader = threading.Thread(target=read_on)
    reader.start()
    puppet.do("for _ in range(50): subprocess.run(['true'])")
    finished.set()
    reader.join()
    assert most[0] < 64 * MIB + 2 * SLACK
    tree.close()


def test_a_process_that_has_ended_has_no_reading(trees: Trees) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    tree = trees.open(process.pid)
    process.communicate("\n")
    assert tree.used_bytes(LIMIT) is None
    tree.close()
    with pytest.raises(ProcessLookupError, match=f"there is no process {process.pid}"):
        trees.open(process.pid)


# ---------------------------------------------------------------- the watch


class Told:
    """What the watch said."""

    def __init__(self) -> None:
        self.peaks: list[int] = []
        self.threads: list[str] = []
        self.said = threading.Event()

    def exceeded(self, peak_bytes: int) -> None:
        self.peaks.append(peak_bytes)
        self.threads.append(threading.current_thread().name)
        self.said.set()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def watch(trees: Trees) -> Iterator[MemoryWatch]:
    watch = MemoryWatch(trees)
    yield watch
    until(lambda: "flyte-memory" not in [thread.name for thread in threading.enumerate()])


def test_who_takes_too_much_is_told_once_with_the_peak(watch: MemoryWatch, puppet: Puppet, told: Told) -> None:
    watch.watch(puppet.pid, 32 * MIB, told.exceeded)
    puppet.do("x = b'x' * (64 << 20)")
    assert told.said.wait(60)
    puppet.do("y = b'y' * (64 << 20)")
    assert 32 * MIB < told.peaks[0] <= 64 * MIB + SLACK
    assert len(told.peaks) == 1
    assert told.threads == ["flyte-memory"]


@linux
def test_it_is_told_while_the_memory_still_grows(puppet: Puppet, told: Told) -> None:
    MemoryWatch().watch(puppet.pid, 64 * MIB, told.exceeded)
    puppet.tell("x = []\nwhile len(x) < 4096: x.append(b'x' * (1 << 20)); time.sleep(0.001)")
    assert told.said.wait(60)
    assert told.peaks[0] < 2048 * MIB


def test_who_stays_below_the_limit_is_left_alone(watch: MemoryWatch, puppet: Puppet, told: Told) -> None:
    unwatch = watch.watch(puppet.pid, 128 * MIB, told.exceeded)
    puppet.do("x = b'x' * (64 << 20)")
    until(lambda: watch.peak_bytes(puppet.pid) >= 64 * MIB)
    puppet.do("del x")
    assert watch.used_bytes(puppet.pid) < SLACK
    assert watch.peak_bytes(puppet.pid) >= 64 * MIB
    unwatch()
    unwatch()
    assert not told.peaks
    assert watch.used_bytes(puppet.pid) == watch.peak_bytes(puppet.pid) == 0


def test_several_are_watched_by_one_thread_which_ends_with_the_last(watch: MemoryWatch, told: Told) -> None:
    puppets = [Puppet() for _ in range(3)]
    before = open_files()
    unwatches = [watch.watch(puppet.pid, 1 << 30, told.exceeded) for puppet in puppets]
    assert [thread.name for thread in threading.enumerate()].count("flyte-memory") == 1
    for unwatch in unwatches:
        unwatch()
    until(lambda: "flyte-memory" not in [thread.name for thread in threading.enumerate()])
    assert open_files() <= before
    again = watch.watch(puppets[0].pid, 32 * MIB, told.exceeded)
    puppets[0].do("x = b'x' * (64 << 20)")
    assert told.said.wait(60)
    again()
    for puppet in puppets:
        puppet.end()


def test_a_process_that_ends_is_forgotten(watch: MemoryWatch, told: Told) -> None:
    puppet = Puppet()
    watch.watch(puppet.pid, 1 << 30, told.exceeded)
    puppet.end()
    until(lambda: "flyte-memory" not in [thread.name for thread in threading.enumerate()])
    assert watch.used_bytes(puppet.pid) == 0
    assert not told.peaks


def test_the_one_who_is_told_may_end_the_watch_and_start_another(
    watch: MemoryWatch, puppet: Puppet, told: Told
) -> None:
    def exceeded(peak_bytes: int) -> None:
        unwatch()
        unwatches.append(watch.watch(puppet.pid, 16 * MIB, told.exceeded))

    unwatches: list[Callable[[], None]] = []
    unwatch = watch.watch(puppet.pid, 16 * MIB, exceeded)
    puppet.do("x = b'x' * (32 << 20)")
    until(lambda: unwatches)
    puppet.do("y = b'y' * (32 << 20)")
    assert told.said.wait(60)


def test_a_process_that_does_not_exist_cannot_be_watched(watch: MemoryWatch, told: Told) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        watch.watch(process.pid, MIB, told.exceeded)


@pytest.mark.parametrize(("limit_mib", "allowed_mib"), [(1, 257), (256, 512), (4096, 8192)])
def test_the_limit_of_the_operating_system_leaves_room_for_what_is_only_mapped(
    limit_mib: int, allowed_mib: int
) -> None:
    assert data_limit_bytes(limit_mib * MIB) == allowed_mib * MIB
