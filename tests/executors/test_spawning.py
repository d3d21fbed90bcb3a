"""What holds for every worker process, forked or fresh."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from flyte_nb.errors import RuntimeSystemError
from flyte_nb.executors.processes.interpreter import Interpreter
from flyte_nb.executors.processes.spawning import FreshInterpreters, Spawner, Zygote, default_spawner
from tests.executors.puppeteer import ENTRY, GRANDCHILDREN, answer_of, ask, end, is_alive, settings, tell
from tests.processes import until_aio


@pytest.fixture(params=[Zygote, FreshInterpreters], ids=["zygote", "fresh"])
async def spawner(request: pytest.FixtureRequest) -> AsyncIterator[Spawner]:
    made: Spawner = request.param(entry=ENTRY)
    yield made
    made.close()
    await asyncio.sleep(0)


async def gone(processes: list[psutil.Process]) -> None:
    """Waits until no such process runs any more."""
    await until_aio(lambda: not any(is_alive(process) for process in processes))


async def test_a_worker_runs_in_a_session_of_its_own(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    assert await ask(worker, "import os; answer = [os.getpid(), os.getsid(0)]") == [worker.pid, worker.pid]
    await end(worker)


async def test_a_worker_sees_its_variables_its_folder_and_the_kernels_path(spawner: Spawner, tmp_path: Path) -> None:
    told = settings(variables={"GREETING": "hello"}, folder=str(tmp_path), path=["/somewhere", *sys.path])
    worker = await spawner.start(told)
    answer = await ask(worker, "import os, sys; answer = [os.environ['GREETING'], os.getcwd(), sys.path]")
    assert answer == ["hello", str(tmp_path), ["/somewhere", *sys.path]]
    await end(worker)


async def test_a_worker_starts_although_its_folder_was_removed(spawner: Spawner, tmp_path: Path) -> None:
    worker = await spawner.start(settings(folder=str(tmp_path / "removed")))
    assert await ask(worker, "answer = 1") == 1
    await end(worker)


async def test_the_environment_is_the_kernels_as_it_is_now(spawner: Spawner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOVED_LATER", "1")
    first = await spawner.start(settings())
    monkeypatch.delenv("REMOVED_LATER")
    monkeypatch.setenv("SET_LATER", "ü")
    monkeypatch.setitem(os.environb, b"NOT_TEXT", b"\xff")
    second = await spawner.start(settings(variables={"MINE": "3"}))
    shown = "import os; answer = [os.environ.get(n) for n in ('REMOVED_LATER', 'SET_LATER', 'MINE', 'OMP_NUM_THREADS')]"
    assert await ask(first, shown) == ["1", None, None, os.environ.get("OMP_NUM_THREADS")]
    assert await ask(second, shown) == [None, "ü", "3", os.environ.get("OMP_NUM_THREADS")]
    assert await ask(second, "answer = os.environb[b'NOT_TEXT'] == b'\\xff'")
    await end(first)
    await end(second)


async def test_variables_that_no_socket_buffer_holds_arrive(spawner: Spawner) -> None:
    variables = {f"LARGE_{number}": "x" * 50_000 for number in range(40)}
    worker = await spawner.start(settings(variables=variables))
    assert (
        await ask(worker, "import os; answer = sum(len(v) for n, v in os.environ.items() if 'LARGE_' in n)")
        == 2_000_000
    )
    await end(worker)


async def test_the_main_module_is_new_and_has_no_file(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    answer = await ask(worker, "import sys; main = sys.modules['__main__']; answer = [sorted(vars(main)), sys.argv]")
    assert answer == [["__doc__", "__loader__", "__name__", "__package__", "__spec__"], [""]]
    await end(worker)


async def test_a_worker_inherits_its_socket_and_its_outputs_only(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    code = "import glob, os; answer = [os.readlink(f) for f in glob.glob('/proc/self/fd/*') if os.path.lexists(f)]"
    opened = await ask(worker, code)
    assert sum("socket:" in name for name in opened) == 1
    lifeline = isinstance(spawner, FreshInterpreters)
    assert len(opened) == 3 + 1 + lifeline
    standard = await ask(worker, "import os; answer = [os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)]")
    assert standard[0] == os.devnull
    assert all(output.startswith("pipe:") for output in standard[1:])
    assert standard[1] != standard[2]
    await end(worker)


async def test_threads_of_native_libraries_follow_the_cpus(spawner: Spawner) -> None:
    import numpy  # noqa: F401  # the zygote imports what the kernel has

    cores = min(2, len(os.sched_getaffinity(0)))  # of more than there are these libraries make no use
    for cpus in (1.0, cores + 0.5):
        worker = await spawner.start(settings(cpus=cpus, preload=["numpy"]))
        code = "import numpy, threadpoolctl; answer = [p['num_threads'] for p in threadpoolctl.threadpool_info()]"
        assert set(await ask(worker, code)) == {int(cpus)}
        assert await ask(worker, "import os; answer = os.environ['OMP_NUM_THREADS']") == str(int(cpus))
        await end(worker)
    told = settings(cpus=2, variables={"OPENBLAS_NUM_THREADS": "1"}, preload=["numpy"])
    worker = await spawner.start(told)
    assert set(await ask(worker, code)) == {1}, "the user's own word counts"
    await end(worker)


async def test_one_absurd_allocation_is_a_memory_error(spawner: Spawner) -> None:
    worker = await spawner.start(settings(data_limit_bytes=200_000_000))
    code = "try:\n    bytearray(2_000_000_000)\nexcept MemoryError:\n    answer = 'too much'"
    assert await ask(worker, code) == "too much"
    assert await ask(worker, "answer = len(bytearray(100_000_000))") == 100_000_000
    assert await ask(worker, "import resource; answer = resource.getrlimit(resource.RLIMIT_CORE)[0]") == 0
    await end(worker)


async def test_when_the_machine_is_out_of_memory_workers_go_before_the_kernel(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    read = "answer = [open(f'/proc/{pid}/oom_score_adj').read() for pid in (os.getpid(), KERNEL)]"
    mine, kernels = await ask(worker, f"import os; {read}".replace("KERNEL", str(os.getpid())))
    assert int(mine) > int(kernels)
    await end(worker)


async def test_an_interrupt_does_not_reach_a_worker(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    assert await ask(worker, "answer = 1") == 1
    os.kill(worker.pid, signal.SIGINT)
    assert await ask(worker, "answer = 2") == 2
    await end(worker)


async def test_native_output_is_read_and_its_tail_kept(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    texts: list[str] = []
    errors: list[str] = []
    worker.native.on_text = lambda stream, text: (texts if stream == "stdout" else errors).append(text)
    await ask(worker, "import os, subprocess; os.write(1, 'grüße\\n'.encode()); subprocess.run(['echo', 'from echo'])")
    await ask(worker, "import sys; print('printed'); [os.write(2, f'line {n}\\n'.encode()) for n in range(50_000)]")
    await end(worker)
    assert "".join(texts) == "grüße\nfrom echo\nprinted\n"
    assert "".join(errors).startswith("line 0\n")
    assert "".join(errors).endswith("line 49999\n")
    assert worker.native.tail(2) == "line 49998\nline 49999"


async def test_a_crash_gives_the_signal_and_the_traceback(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    await tell(worker, "import ctypes; ctypes.string_at(0)")
    status = await worker.exited
    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert "Segmentation fault" in worker.native.tail(100)
    assert "string_at" in worker.native.tail(100)
    worker.socket.close()


async def test_an_exit_of_its_own_gives_the_code(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    await tell(worker, "import os; os._exit(7)")
    assert os.waitstatus_to_exitcode(await worker.exited) == 7
    worker.socket.close()


async def test_a_worker_ends_when_its_entry_returns_or_raises(spawner: Spawner) -> None:
    returning, leaving, failing = [await spawner.start(settings()) for _ in range(3)]
    returning.socket.close()
    await tell(leaving, "raise SystemExit(5)")
    await tell(failing, "raise KeyboardInterrupt")
    exits = [await worker.exited for worker in (returning, leaving, failing)]
    assert [os.waitstatus_to_exitcode(status) for status in exits] == [0, 5, 1]
    assert "KeyboardInterrupt" in failing.native.tail()
    leaving.socket.close()
    failing.socket.close()


async def test_a_traceback_comes_out_of_c_code_and_the_worker_goes_on(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    await tell(worker, "import os, time; os.write(1, b'asleep'); time.sleep(0.3); answer = 'awake'")
    await until_aio(lambda: "asleep" in worker.native.tail())
    worker.interrupt_with_traceback()
    await until_aio(lambda: "puppet.py" in worker.native.tail(100))
    assert await answer_of(worker) == "awake"
    await end(worker)


async def test_kill_ends_what_the_worker_has_started_daemons_too(spawner: Spawner) -> None:
    worker = await spawner.start(settings())
    started = [psutil.Process(pid) for pid in await ask(worker, GRANDCHILDREN)]
    threading.Thread(target=worker.kill).start()
    assert os.WTERMSIG(await worker.exited) == signal.SIGKILL
    await gone(started)
    worker.kill()
    worker.interrupt_with_traceback()
    worker.socket.close()


async def test_what_a_worker_leaves_behind_ends_with_it_and_the_others_keep_theirs(spawner: Spawner) -> None:
    leaving, staying = await spawner.start(settings()), await spawner.start(settings())
    left = [psutil.Process(pid) for pid in await ask(leaving, GRANDCHILDREN)]
    kept = [psutil.Process(pid) for pid in await ask(staying, GRANDCHILDREN)]
    await tell(leaving, "os._exit(0)")
    await leaving.exited
    await gone(left)
    assert all(process.is_running() for process in kept)
    await end(staying)
    await gone(kept)
    leaving.socket.close()


async def test_close_ends_everything_from_any_thread(spawner: Spawner) -> None:
    workers = [await spawner.start(settings()) for _ in range(2)]
    started = [psutil.Process(pid) for worker in workers for pid in await ask(worker, GRANDCHILDREN)]
    thread = threading.Thread(target=spawner.close)
    thread.start()
    for worker in workers:
        assert os.WIFSIGNALED(await worker.exited)
        worker.socket.close()
    await gone(started)
    thread.join()
    with pytest.raises(RuntimeSystemError, match="leaving"):
        await spawner.start(settings())


async def test_a_start_that_is_cancelled_leaves_no_process(spawner: Spawner) -> None:
    await end(await spawner.start(settings()))
    before = set(psutil.Process().children(recursive=True))
    for delay in (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005):
        task = asyncio.ensure_future(spawner.start(settings()))
        done, _ = await asyncio.wait([task], timeout=delay)
        if not task.cancel():
            await end((await asyncio.gather(*done))[0])
        else:
            with pytest.raises(asyncio.CancelledError):
                await task
    await until_aio(lambda: not set(psutil.Process().children(recursive=True)) - before)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.long)])
async def test_many_starts_leave_no_process_descriptor_or_thread(spawner: Spawner, count: int) -> None:
    async def one() -> None:
        worker = await spawner.start(settings())
        assert await ask(worker, "answer = 1") == 1
        await end(worker)

    if isinstance(spawner, FreshInterpreters):
        count //= 20
    await one()
    gc.collect()
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    children = set(psutil.Process().children(recursive=True))
    for _ in range(0, count, 5):
        await asyncio.gather(*(one() for _ in range(5)))
    await until_aio(lambda: threading.active_count() <= threads)
    await until_aio(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    await until_aio(lambda: set(psutil.Process().children(recursive=True)) <= children)


async def test_a_worker_that_cannot_run_says_why() -> None:
    for spawner in (Zygote(entry="no_such_module:main"), Zygote(Interpreter("/no/such/python"), ENTRY)):
        with pytest.raises(RuntimeSystemError, match=r"no_such_module|no/such/python"):
            await spawner.start(settings())
        spawner.close()
    fresh = FreshInterpreters(entry="no_such_module:main")
    worker = await fresh.start(settings())
    assert os.waitstatus_to_exitcode(await worker.exited) == 1
    assert "no_such_module" in worker.native.tail()
    worker.socket.close()
    fresh.close()


async def test_a_kernel_with_too_many_open_files_says_so(spawner: Spawner) -> None:
    await end(await spawner.start(settings()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    held = [os.dup(0) for _ in range(highest)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
    try:
        with pytest.raises(RuntimeSystemError, match="Too many open files"):
            await spawner.start(settings())
        os.close(held.pop(0))
        os.close(held.pop(0))
        with pytest.raises(RuntimeSystemError, match="Too many open files"):
            await spawner.start(settings())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
    await end(await spawner.start(settings()))


def test_linux_forks() -> None:
    spawner = default_spawner()
    assert isinstance(spawner, Zygote)
    spawner.close()


async def test_a_worker_of_another_interpreter_finds_its_own_packages(tmp_path: Path) -> None:
    """The kernel's Python without its packages stands for another: what it needs comes from the support folder."""
    site = Path(pytest.__file__).parents[1]
    support = tmp_path / "support"
    support.mkdir()
    for name, where in {"flyte_nb": Path.cwd(), "msgspec": site, "tests": Path.cwd()}.items():
        (support / name).symlink_to(where / name)
    spawner = Zygote(Interpreter(sys._base_executable, str(support)), ENTRY)  # type: ignore[attr-defined]
    worker = await spawner.start(settings(path=["/users/project", *sys.path]))
    path = await ask(worker, "import sys; answer = sys.path")
    assert path[0] == str(support)
    assert "/users/project" in path[1:]
    assert str(site) not in path
    await end(worker)
    spawner.close()
