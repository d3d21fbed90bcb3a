"""What holds for workers that are forked from a zygote: what they inherit, and that nothing survives its parent."""

from __future__ import annotations

import _json
import asyncio
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flyte_nb.executors.processes.spawning import Zygote
from flyte_nb.executors.processes.worker_process import WorkerProcess
from tests.executors.puppeteer import ENTRY, GRANDCHILDREN, ask, end, is_alive, settings, tell
from tests.processes import until_aio

PROJECT = Path(__file__).resolve().parents[2]

KERNEL = """
import asyncio, ctypes, json, os, time
from flyte_nb.executors.processes.spawning import FreshInterpreters, Zygote
from flyte_nb.executors.processes.worker_process import WorkerProcess
from tests.executors.puppeteer import ENTRY, GRANDCHILDREN, ask, settings, tell

async def main():
    spawner = {spawner}(entry=ENTRY)
    asleep, busy, parent = [await spawner.start(settings()) for _ in range(3)]
    pids = [process.pid for process in (asleep, busy, parent)]
    parent_of_all = await ask(asleep, "import os; answer = os.getppid()")
    if parent_of_all != os.getpid():
        pids.append(parent_of_all)
    await tell(asleep, "import time; time.sleep(1000)")
    await tell(busy, "{busy}")
    pids += await ask(parent, GRANDCHILDREN)
    {more}
    print(json.dumps(pids), flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""
IN_C_CODE = "sum(range(10**15))"


@pytest.fixture
async def zygote() -> AsyncIterator[Zygote]:
    made = Zygote(entry=ENTRY)
    yield made
    made.close()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Writes and imports modules, by name and what they do in a zygote but not here."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def write(**sources: str) -> list[str]:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(f"import sys\nif 'pytest' not in sys.modules:\n    {source}\n")
            importlib.import_module(name)
            names.append(name)
        return names

    yield write
    for name in names:
        del sys.modules[name]


async def loaded(zygote: Zygote, preload: list[str]) -> list[str]:
    """Which of the modules a worker has when it starts."""
    worker = await zygote.start(settings(preload=preload))
    names: list[str] = await ask(worker, f"import sys; answer = [name for name in {preload} if name in sys.modules]")
    assert await ask(worker, "import os; answer = len(os.listdir('/proc/self/task'))") == 1
    await end(worker)
    return names


# ---------------------------------------------------------------- what workers inherit


async def test_workers_inherit_what_the_kernel_has_imported(zygote: Zygote) -> None:
    import numpy  # noqa: F401

    worker = await zygote.start(settings(preload=["numpy", "no_such_module"]))
    assert await ask(worker, "import sys; answer = ['numpy' in sys.modules, 'pandas' in sys.modules]") == [True, False]
    assert psutil.Process(await ask(worker, "import os; answer = os.getppid()")).num_threads() == 1
    await end(worker)


async def test_workers_do_not_draw_the_same_numbers(zygote: Zygote) -> None:
    drawn = set()
    for _ in range(3):
        worker = await zygote.start(settings(preload=["numpy"]))
        drawn |= set(await ask(worker, "import numpy, random; answer = [numpy.random.random(), random.random()]"))
        await end(worker)
    assert len(drawn) == 6


async def test_a_module_that_starts_threads_is_not_kept_and_running_workers_stay(
    zygote: Zygote, write: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    early = await zygote.start(settings())
    parent = await ask(early, "import os; answer = os.getppid()")
    threaded = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    names = write(plain_first="pass", threaded=threaded, plain_last="pass")
    with caplog.at_level("INFO", "flyte"):
        assert await loaded(zygote, names) == ["plain_first", "plain_last"]
    assert "workers import threaded themselves, the zygote does not: it has 2 threads" in caplog.text
    assert await loaded(zygote, names) == ["plain_first", "plain_last"]
    assert await ask(early, "answer = os.getppid()") == parent
    await tell(early, "os._exit(3)")
    assert os.waitstatus_to_exitcode(await early.exited) == 3
    early.socket.close()


async def test_an_openmp_runtime_is_not_kept(zygote: Zygote, write: Callable[..., list[str]], tmp_path: Path) -> None:
    assert _json.__file__ is not None
    library = shutil.copy(_json.__file__, tmp_path / "libgomp-like.so.1")
    names = write(parallel=f"import ctypes; ctypes.PyDLL({str(library)!r})", plain="pass")
    assert await loaded(zygote, names) == ["plain"]


@pytest.mark.parametrize("failure", ["raise ValueError('not here')", "import os; os._exit(1)"], ids=["raises", "exits"])
async def test_a_module_that_fails_in_the_zygote_is_left_to_the_workers(
    zygote: Zygote, write: Callable[..., list[str]], failure: str
) -> None:
    assert await loaded(zygote, write(failing=failure)) == []


async def test_a_module_from_another_place_than_the_kernels_is_not_kept(
    zygote: Zygote, write: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write(twice="pass")
    other = tmp_path / "other"
    other.mkdir()
    (other / "twice.py").write_text("")
    monkeypatch.syspath_prepend(other)
    assert await loaded(zygote, names) == []


async def test_what_lies_beside_the_notebook_does_not_shadow_the_standard_library(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "select", "ctypes", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('shadowed')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    worker = await zygote.start(settings())
    assert (await ask(worker, "import sys; answer = sys.path"))[0] == ""
    await end(worker)


@pytest.mark.parametrize("variable", ["PYTHONSAFEPATH", "PYTHONDEVMODE", "PYTHONOPTIMIZE"])
async def test_variables_of_the_interpreter_do_no_harm(
    zygote: Zygote, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    assert await loaded(zygote, []) == []


async def test_where_a_fork_is_not_safe_workers_are_fresh_interpreters(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a library of LD_PRELOAD that has threads."""
    source = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    (tmp_path / "sitecustomize.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = await zygote.start(settings())
    assert await ask(worker, "import os; answer = os.getppid()") == os.getpid()
    assert "the zygote cannot fork, it has 2 threads" in caplog.text
    await end(worker)


# ---------------------------------------------------------------- nothing survives


class Kernel:
    """A kernel that is a process of its own, and all that came from it."""

    def __init__(self, folder: Path, spawner: str, busy: str, more: str) -> None:
        code = KERNEL.format(spawner=spawner, busy=busy, more=more)
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        self.process = psutil.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=folder, env=environment)
        pids = json.loads(self.process.stdout.readline())
        self.workers = [psutil.Process(pid) for pid in pids]
        descendants = self.process.children(recursive=True)
        zygotes = {each for worker in self.workers for each in [worker, *worker.children(recursive=True)]}
        self.forks = [each for each in descendants if each not in zygotes]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        for left in filter(is_alive, [*self.workers, *self.forks]):
            left.kill()


@pytest.fixture
def kernel(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    made = Kernel(tmp_path, *request.param)
    yield made
    made.end()


@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(("Zygote", IN_C_CODE, "pass"), id="zygote"),
        pytest.param(("Zygote", IN_C_CODE, "os.fork() or time.sleep(1000)"), id="a fork lives on"),
        pytest.param(
            ("Zygote", IN_C_CODE, "ctypes.CDLL(None).fork() or time.sleep(1000)"), id="a fork holds the sockets"
        ),
    ],
    indirect=True,
)
async def test_nothing_survives_the_kernel(kernel: Kernel) -> None:
    kernel.process.kill()
    await until_aio(lambda: not any(map(is_alive, kernel.workers)))
    assert all(map(is_alive, kernel.forks))


@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(("FreshInterpreters", "time.sleep(1000)", "pass"), id="fresh"),
        pytest.param(("FreshInterpreters", "time.sleep(1000)", "os.fork() or time.sleep(1000)"), id="a fork lives on"),
    ],
    indirect=True,
)
async def test_no_fresh_worker_survives_the_kernel(kernel: Kernel) -> None:
    """What it has started may: nobody is left to end that."""
    kernel.process.kill()
    await until_aio(lambda: not any(map(is_alive, kernel.workers[:3])))
    assert all(map(is_alive, kernel.forks))


async def test_a_fork_of_the_kernel_neither_keeps_nor_ends_anything(zygote: Zygote) -> None:
    worker = await zygote.start(settings())
    native = worker.native
    pid = os.fork()
    if pid == 0:
        closed = worker.socket.fileno() == -1
        del native
        os._exit(0 if closed else 1)
    _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once
    assert status == 0
    assert await ask(worker, "print('still here', flush=True); answer = 1") == 1
    await end(worker)
    assert native.tail() == "still here"


async def test_nothing_survives_the_zygote_and_the_next_start_makes_another(zygote: Zygote) -> None:
    workers = [await zygote.start(settings()) for _ in range(2)]
    started = [psutil.Process(pid) for pid in await ask(workers[0], GRANDCHILDREN)]
    await tell(workers[1], "sum(range(10**15))")
    os.kill(await ask(workers[0], "answer = os.getppid()"), signal.SIGKILL)
    for worker in workers:
        assert os.WTERMSIG(await worker.exited) == signal.SIGKILL
        worker.socket.close()
    await until_aio(lambda: not any(map(is_alive, started)))
    third = await zygote.start(settings())
    assert await ask(third, "answer = 1") == 1
    await end(third)


async def test_a_start_meets_a_zygote_that_is_just_killed(zygote: Zygote) -> None:
    for _ in range(5):
        worker = await zygote.start(settings())
        os.kill(await ask(worker, "import os; answer = os.getppid()"), signal.SIGKILL)
        next_one = await zygote.start(settings())
        assert await ask(next_one, "answer = 1") == 1
        worker.socket.close()
        await end(next_one)


async def test_a_request_to_end_does_not_end_a_zygote_whose_kernel_lives(zygote: Zygote) -> None:
    worker = await zygote.start(settings())
    parent = await ask(worker, "import os; answer = os.getppid()")
    os.kill(parent, signal.SIGTERM)
    os.kill(parent, signal.SIGINT)
    another = await zygote.start(settings())
    assert await ask(another, "import os; answer = os.getppid()") == parent
    await end(worker)
    await end(another)


def test_another_loop_gets_another_zygote() -> None:
    zygote = Zygote(entry=ENTRY)

    async def start() -> tuple[WorkerProcess, list[psutil.Process]]:
        worker = await zygote.start(settings())
        parent = await ask(worker, "import os; answer = os.getppid()")
        return worker, [psutil.Process(worker.pid), psutil.Process(parent)]

    first, first_processes = asyncio.run(start())
    second, second_processes = asyncio.run(start())
    assert not any(map(is_alive, first_processes))
    assert all(map(is_alive, second_processes))
    zygote.close()
    assert not any(map(is_alive, second_processes))
    first.socket.close()
    second.socket.close()
