"""Bad input as a new user tries it, in a real kernel: one clear message, and nothing half done left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.store.home import STORE_VERSION

LOOP_BOUND = """
class Client:
    def __init__(self):
        self._lock = asyncio.Lock()
    async def get(self):
        async with self._lock:
            await asyncio.sleep(0.001)
        return 1

lock, queue, event, client = asyncio.Lock(), asyncio.Queue(), asyncio.Event(), Client()
clients = {"main": [client]}
future = asyncio.get_running_loop().create_future()

async def hold():
    async with lock:
        await asyncio.sleep(0.001)

async def bind():
    waiting = [asyncio.create_task(queue.get()), asyncio.create_task(event.wait())]
    await asyncio.gather(hold(), hold(), client.get(), client.get())
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)

await bind()

def make():
    inner = asyncio.Lock()
    async def hold_inner():
        async with inner:
            await asyncio.sleep(0.001)
    return hold_inner

hold_inner = make()
await asyncio.gather(hold_inner(), hold_inner())
"""

SILENT_TASKS = """
@env.task
async def spins() -> int:
    print("started")
    while True:
        pass

@env.task
def spins_in_a_thread() -> int:
    print("started")
    while True:
        pass

@env.task
async def awaits() -> int:
    print("started")
    await asyncio.sleep(3600)
    return 1

@env.task
def waits_in_c() -> int:
    print("started")
    time.sleep(3600)
    return 1
"""


def last_lines(kernel: Any, code: str) -> str:
    """What a failing cell ends with: the message behind its last line of code."""
    text: str = kernel.run(code).traceback
    return text[text.rindex("\n\n") :].strip()


def count_of_runs(kernel: Any) -> int:
    return int(kernel.ok("print(len(list(flyte.remote.Run.listall(limit=1000))))").stdout)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("fit", "ValueError: Missing required inputs: x. quick.fit takes x: int."),
        ("fit, y=1", "ValueError: Missing required inputs: x, got unknown ones: y. quick.fit takes x: int."),
        ("fit, 1, 2", "expected inputs ['x'], args 2. quick.fit takes x: int."),
        ("fit, x=1, y=2", "expected inputs ['x'], args ['x', 'y']. quick.fit takes x: int."),
        ("fit, x='a'", "but got 'a' of type <class 'str'>\nTask: quick.fit"),
        ("fit(1)", "got <coroutine object fit"),
        ("'fit'", "got 'fit'. Give the task, then its inputs: flyte.run(task, x=1)."),
        ("print", "Declare it with @env.task."),
        ("", "TypeError: run() missing 1 required positional argument: 'task'"),
    ],
)
def test_a_call_that_does_not_fit_says_what_the_task_takes(kernel, call: str, message: str) -> None:
    before = count_of_runs(kernel)
    outputs = kernel.run(f"flyte.run({call})")
    assert message in outputs.traceback
    assert outputs.traceback.count("Error") <= 3 and "flyte_nb/" not in outputs.traceback
    assert not outputs.stderr and not outputs.displays
    assert count_of_runs(kernel) == before


def test_an_unknown_input_that_flyte_ignores_is_ignored_with_a_word(kernel) -> None:
    outputs = kernel.ok("print(flyte.run(main, m=3).phase.value)")
    assert "succeeded" in outputs.stdout
    assert "Unknown inputs are ignored, as Flyte does: m. quick.main takes n: int." in outputs.stderr


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("await fit()", "Missing required inputs: x. quick.fit takes x: int."),
        ("await fit(y=1)", "Missing required inputs: x, got unknown ones: y. quick.fit takes x: int."),
        ("await fit('a')", "but got 'a' of type <class 'str'>\nTask: quick.fit"),
        ("await fit(wait(1.0))", "It is a coroutine: write `await` before the call that made it"),
    ],
)
def test_a_call_inside_a_task_says_it_and_where(kernel, call: str, message: str) -> None:
    outputs = kernel.run(f"@env.task\nasync def caller() -> int:\n    return {call}\nflyte.run(caller)")
    assert message in outputs.traceback and f"----> 3     return {call}" in outputs.traceback
    assert re.search(r"in caller \(action a0, cell \d+, line 3\) of run", outputs.traceback)
    assert "never awaited" not in outputs.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("fit(1)", "It is a coroutine: write `await` before the call that made it"),
        ("'x'", "Expected value of type <class 'int'> but got 'x'"),
        ("threading.Lock()", "quick.gives variable o0"),
    ],
)
def test_a_wrong_result_says_which_task_gave_it_and_where_it_is_declared(kernel, body: str, message: str) -> None:
    outputs = kernel.run(f"@env.task\nasync def gives() -> int:\n    return {body}\nflyte.run(gives)")
    assert message in outputs.traceback
    assert re.search(r"in gives \(action a0, declared in cell \d+, line 1\) of run", outputs.traceback)
    assert "never awaited" not in outputs.stderr


def test_a_value_that_cannot_be_pickled_is_named_with_the_cure(kernel) -> None:
    kernel.ok("@env.task\nasync def takes(x: object) -> int:\n    return 1")
    text = kernel.run(
        "class Box:\n    pass\nbox = Box()\nbox.lock = threading.Lock()\nflyte.run(takes, x=box)"
    ).traceback
    assert "Box cannot be passed between tasks: its part `lock` (a _thread.lock) cannot be pickled" in text
    assert "create such an object inside the task that uses it" in text and "Task: quick.takes" in text


def test_an_exception_that_cannot_be_pickled_or_shown_is_recorded_all_the_same(kernel) -> None:
    outputs = kernel.run(
        "class Odd(Exception):\n"
        "    def __init__(self, a, b):\n        self.lock = threading.Lock()\n"
        "    def __str__(self):\n        raise KeyError('no text')\n"
        "@env.task\nasync def odd() -> int:\n    raise Odd(1, 2)\n"
        "@env.task\nasync def parent() -> int:\n    return await odd()\n"
        "flyte.run(parent)"
    )
    assert "RuntimeUserError: <Odd whose text cannot be shown: KeyError>" in outputs.traceback
    assert "raise Odd(1, 2)" in outputs.traceback
    shown = kernel.ok("r = next(iter(flyte.remote.Run.listall(limit=1)))\nprint(r.phase.value, r.error_info.code)")
    assert shown.stdout == "failed Odd\n"


def test_a_redefined_helper_or_task_is_used_from_then_on(kernel) -> None:
    kernel.ok(
        "def step(x): return x\n@env.task\nasync def one(x: int) -> int:\n    return step(x)\n"
        "@env.task\nasync def outer(x: int) -> int:\n    return await one(x)"
    )
    found = "print(flyte.run(outer, x=3).outputs()[0])"
    assert kernel.ok(found).stdout == "3\n"
    kernel.ok("def step(x): return x * 10")
    assert kernel.ok(found).stdout == "30\n"
    cell = "@env.task\nasync def one(x: int) -> int:\n    return -x"
    kernel.ok(cell)
    kernel.ok(cell)  # a cell run twice
    assert kernel.ok(found).stdout == "-3\n"


def test_the_old_name_of_a_renamed_task_is_answered_with_the_new_one(kernel) -> None:
    kernel.ok("@env.task\nasync def training(x: int) -> int:\n    return x")
    kernel.ok("@env.task\nasync def calls(x: int) -> int:\n    return await training(x)")
    kernel.ok("@env.task\nasync def training_all(x: int) -> int:\n    return x\ndel training")
    assert "No task is named 'training'. Did you mean training_all" in kernel.run("%flyte run training --x 1").stderr
    assert last_lines(kernel, "flyte.run(calls, x=1)").startswith(
        "RuntimeUserError: name 'training' is not defined\nin"
    )


@pytest.mark.parametrize(
    ("body", "name", "held"),
    [
        ("await asyncio.gather(hold(), hold())", "lock", "is an asyncio.Lock"),
        ("await asyncio.gather(client.get(), client.get())", "client", "holds `client._lock`, an asyncio.Lock"),
        (
            "await asyncio.gather(*[clients['main'][0].get() for _ in 'ab'])",
            "clients",
            "holds `clients['main'][0]._lock`",
        ),
        ("await asyncio.gather(hold_inner(), hold_inner())", "inner", "is an asyncio.Lock"),
        ("await queue.get()", "queue", "is an asyncio.Queue"),
        ("await event.wait()", "event", "is an asyncio.Event"),
        ("await future", "future", "is an asyncio.Future"),
        ("await asyncio.gather(future)", "future", "is an asyncio.Future"),
        ("await asyncio.wait_for(future, 5)", "future", "is an asyncio.Future"),
    ],
)
def test_an_object_of_the_kernels_loop_is_named_with_the_cure(kernel, body: str, name: str, held: str) -> None:
    if not kernel.run("client").of("execute_result"):
        kernel.ok(LOOP_BOUND)
    outputs = kernel.run(f"@env.task\nasync def uses() -> int:\n    {body}\n    return 1\nflyte.run(uses)")
    assert f"`{name}` {held}" in outputs.traceback
    assert f"Create `{name}` inside the task that uses it." in outputs.traceback
    recorded = kernel.ok("print(next(iter(flyte.remote.Run.listall(limit=1))).error_info.traceback)").stdout
    assert f"Create `{name}` inside the task that uses it." in recorded


def test_a_client_that_dropped_its_connection_is_still_named(kernel) -> None:
    kernel.ok(
        "import httpx\n"
        "async def serve(reader, writer):\n"
        "    while await reader.readuntil(b'\\r\\n\\r\\n'):\n"
        "        writer.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi')\n"
        "server = await asyncio.start_server(serve, '127.0.0.1', 0)\n"
        "url = 'http://%s:%s/' % server.sockets[0].getsockname()\n"
        "web = httpx.AsyncClient(trust_env=False)\n"
        "print((await web.get(url)).text)"
    )
    text = kernel.run(
        "@env.task\nasync def asks() -> str:\n    return (await web.get(url)).text\nflyte.run(asks)"
    ).traceback
    assert "Create `web` inside the task that uses it." in text
    kernel.ok("server.close()")


def test_an_object_of_a_loop_given_as_input_is_refused_with_the_cure(kernel) -> None:
    kernel.ok("@env.task\nasync def takes(x: object) -> int:\n    return 1")
    kernel.ok("busy = asyncio.Lock()")
    text = kernel.run("flyte.run(takes, x=[busy])").traceback
    assert (
        "asyncio.locks.Lock cannot be passed between tasks: it cannot be pickled: Lock belongs to an event loop" in text
    )


def test_a_task_that_prints_100_megabytes_leaves_the_cell_small_and_the_kernel_alive(kernel) -> None:
    outputs = kernel.ok(
        "@env.task\ndef loud() -> int:\n    line = ('x' * 99 + chr(10)) * 10_000\n    for _ in range(100):\n"
        "        print(line, end='')\n    return 1\nr = flyte.run(loud)"
    )
    assert 100_000 < len(outputs.stdout) < 300_000
    assert outputs.stdout.endswith("more output of this action stands in its log: %flyte logs\n")
    assert sum(len(str(message["content"])) for message in outputs.messages) < 500_000
    assert "the log goes on in " in kernel.ok("print(r.logs(limit=1))").stdout
    assert kernel.ok("print(sum(len(entry) for entry in r.get_logs()) > 90_000_000)").stdout == "True\n"


@pytest.mark.parametrize("megabytes", [64, pytest.param(1024, marks=pytest.mark.long)])
def test_a_task_that_returns_much_records_a_preview_and_does_not_copy_it_about(
    start_kernel: Callable[[Path], Any], tmp_path: Path, megabytes: int
) -> None:
    kernel = start_kernel(tmp_path / "home")
    kernel.ok("import numpy as np, resource\nr = flyte.run(fit, x=1)")
    outputs = kernel.ok(
        f"@env.task\nasync def ones() -> np.ndarray:\n    return np.ones({megabytes} * 2**17)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "r = flyte.run(ones)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, r.outputs()[0].sum())"
    )
    shutil.rmtree(tmp_path / "home" / "values")  # pytest would keep them; deleting values harms no kernel
    grown_megabytes, total = outputs.stdout.split()
    assert float(total) == megabytes * 2**17
    assert int(grown_megabytes) < 2.5 * megabytes
    said = [message for message in outputs.messages if message["msg_type"] != "comm_open"]  # which carries the view
    assert sum(len(str(message["content"])) for message in said) < 50_000
    assert kernel.ok("print(flyte.run(fit, x=3).outputs()[0])").stdout == "fit 3\n9\n"


@pytest.mark.parametrize("imported", ["", "import polars; polars.DataFrame({'a': [1]})"], ids=["plain", "polars"])
@pytest.mark.parametrize("code", ["%flyte run {0}", "flyte.run({0})", "await flyte.run.aio({0})"])
@pytest.mark.parametrize("task", ["spins", "spins_in_a_thread", "awaits", "waits_in_c"])
def test_stop_returns_the_cell_with_a_short_message(kernel, imported: str, code: str, task: str) -> None:
    if imported:
        kernel.ok(imported)
    if not kernel.run("spins").of("execute_result"):
        kernel.ok(SILENT_TASKS)
    stops: list[dict[str, Any]] = []

    def stop(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and "started" in message["content"]["text"] and not stops:
            stops.append(message)
            kernel.manager.interrupt_kernel()

    outputs = kernel.run(code.format(task), stop)
    assert stops, outputs.traceback
    ended = kernel.ok(
        "r = next(iter(flyte.remote.Run.listall(limit=1)))\nprint(r.phase.value, {a.phase.value for a in r.actions()})"
    )
    assert ended.stdout == "aborted {'aborted'}\n"
    assert f"of quick.{task} was aborted: %flyte show" in outputs.traceback
    assert len(outputs.traceback.splitlines()) < 12 and "flyte_nb/" not in outputs.traceback


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, "cannot be used: Not a directory"),
        ("99", f"has version 99; this flyte_nb reads up to {STORE_VERSION}. It was left untouched."),
    ],
    ids=["below a file", "newer"],
)
def test_a_store_that_cannot_be_used_is_one_message_and_another_folder_the_cure(
    start_kernel: Callable[[Path], Any], tmp_path: Path, version: str | None, message: str
) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    if version:
        home = tmp_path / "home"
        home.mkdir()
        (home / "version").write_text(version)
    kernel = start_kernel(home)
    for code in ("flyte.run(fit, x=1)", "await flyte.run.aio(fit, x=1)", "list(flyte.remote.Run.listall())"):
        text = kernel.run(code).traceback
        assert message in text and "FLYTE_NB_HOME" in text
        assert text.count("Traceback") == 1 and "pathlib" not in text and "contextlib" not in text
    for line in ("run fit --x 1", "runs", "show last", "sql SELECT 1"):
        outputs = kernel.run(f"%flyte {line}")
        assert outputs.stderr.startswith("UsageError: ") and message in outputs.stderr and not outputs.displays
    if version:
        assert [path.name for path in home.iterdir()] == ["version"]
    kernel.ok(f"os_environ = __import__('os').environ\nos_environ['FLYTE_NB_HOME'] = {str(tmp_path / 'other')!r}")
    assert kernel.ok("print(flyte.run(fit, x=3).outputs()[0])").stdout == "fit 3\n9\n"


def test_a_store_deleted_under_a_kernel_is_begun_anew(start_kernel: Callable[[Path], Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    kernel = start_kernel(home)
    kernel.ok("flyte.run(fit, x=1)\n%flyte runs")
    shutil.rmtree(home)
    kernel.ok("flyte.run(fit, x=3)")
    assert kernel.ok("print([r.inputs()['x'] for r in flyte.remote.Run.listall()])").stdout == "[3]\n"


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_the_torn_journal_of_a_killed_kernel_costs_nothing_else(
    start_kernel: Callable[[Path], Any], tmp_path: Path, damage: str
) -> None:
    home = tmp_path / "home"
    killed = start_kernel(home)
    killed.ok("r = flyte.run(main, n=2)")
    os.kill(killed.manager.provisioner.pid, signal.SIGKILL)
    (journal,) = [path for path in (home / "journals").iterdir() if path.suffix == ".0000"]
    content = journal.read_bytes()
    journal.write_bytes(content[:-5] if damage == "cut" else content + os.urandom(500))
    kernel = start_kernel(home)
    outputs = kernel.ok("print([r.task_name for r in flyte.remote.Run.listall()])")
    assert "['quick.main']" in outputs.stdout.splitlines()  # beside the offer to recover it
    assert outputs.stderr.count("bytes of the journal") == 1 and "all else is whole" in outputs.stderr
    assert kernel.ok("print(flyte.run(fit, x=3).outputs()[0])").stdout == "fit 3\n9\n"
    assert kernel.ok("print(len(list(flyte.remote.Run.listall())))").stdout == "2\n"


def test_two_kernels_run_and_query_one_store_at_once(start_kernel: Callable[[Path], Any], tmp_path: Path) -> None:
    one, other = start_kernel(tmp_path / "home"), start_kernel(tmp_path / "home")
    code = (
        "for _ in range(4):\n    flyte.run(main, n=3)\n    %flyte runs --limit 2\n"
        "    %flyte sql SELECT count(*) FROM actions"
    )
    one.client.execute(code)
    assert not other.ok(code).stderr
    assert one.client.get_shell_msg(timeout=60)["content"]["status"] == "ok"
    assert count_of_runs(one) == count_of_runs(other) == 8
