"""Tasks in processes from the cells of a real kernel: what is redefined counts at once, and Stop stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.conftest import Kernel, running_kernel
from tests.processes import is_alive, processes_of, until

DECLARED = """
import os, time, ctypes
from pathlib import Path
warm = flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy(replicas=(1, 1), concurrency=4))
cold = flyte.TaskEnvironment("cold", env_vars={"PLACE": "worker"})
def pid(task, *args): return flyte.run(task, *args).outputs()[0]
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose processes are all gone when it is."""
    folder = tmp_path_factory.mktemp("kernel")
    with running_kernel(folder, folder / "home") as started:
        started.ok(DECLARED)
        yield started
        workers = processes_of(folder / "home")
    assert len(workers) > 1
    until(lambda: not any(is_alive(process.pid) for process in workers))


def test_a_redefined_task_takes_effect_in_a_warm_worker(kernel: Kernel) -> None:
    kernel.ok("@warm.task\nasync def answer() -> tuple[int, int]:\n    return 1, os.getpid()")
    kernel.ok("first = flyte.run(answer).outputs()")
    kernel.ok("@warm.task\nasync def answer() -> tuple[int, int]:\n    return 2, os.getpid()")
    kernel.ok("second = flyte.run(answer).outputs()")
    assert kernel.ok("print(first[0], second[0], first[1] == second[1] != os.getpid())").stdout == "1 2 True\n"


def test_a_redefined_helper_and_a_redefined_constant_take_effect(kernel: Kernel) -> None:
    kernel.ok("FACTOR = 2\ndef helper(x): return x * FACTOR")
    kernel.ok("@warm.task\nasync def helped(x: int) -> int:\n    return helper(x)")
    assert kernel.ok("print(flyte.run(helped, 10).outputs()[0])").stdout == "20\n"
    kernel.ok("FACTOR = 3")
    assert kernel.ok("print(flyte.run(helped, 10).outputs()[0])").stdout == "30\n"
    kernel.ok("def helper(x): return x + FACTOR")
    assert kernel.ok("print(flyte.run(helped, 10).outputs()[0])").stdout == "13\n"


def test_a_redefined_class_takes_effect_and_its_instances_cross(kernel: Kernel) -> None:
    kernel.ok(
        "from dataclasses import dataclass\n@dataclass\nclass Box:\n    size: int\n    def area(self): return self.size"
    )
    kernel.ok("@warm.task\nasync def boxed(box: Box) -> Box:\n    return Box(box.area() + 1)")
    assert kernel.ok("print(flyte.run(boxed, Box(3)).outputs()[0])").stdout == "Box(size=4)\n"
    kernel.ok("@dataclass\nclass Box:\n    size: int\n    def area(self): return self.size ** 2")
    kernel.ok("@warm.task\nasync def boxed(box: Box) -> Box:\n    return Box(box.area() + 1)")
    assert kernel.ok("print(flyte.run(boxed, Box(3)).outputs()[0])").stdout == "Box(size=10)\n"
    assert kernel.ok("print(isinstance(flyte.run(boxed, Box(3)).outputs()[0], Box))").stdout == "True\n"


def test_what_a_task_keeps_in_a_global_stays_until_the_cell_runs_again(kernel: Kernel) -> None:
    kernel.ok("model = None\nseen = []")
    kernel.ok(
        "@warm.task\nasync def uses() -> tuple[int, int]:\n    global model\n    model = model or 0\n    model += 1\n"
        "    seen.append(1)\n    return model, len(seen)"
    )
    assert kernel.ok("for _ in range(3): print(*flyte.run(uses).outputs())").stdout == "1 1\n2 2\n3 3\n"
    assert kernel.ok("print(model, seen)").stdout == "None []\n"
    kernel.ok("model = 10\nseen = ['new']")
    assert kernel.ok("print(*flyte.run(uses).outputs())").stdout == "11 2\n"


def test_a_large_global_costs_its_memory_once_however_often_its_task_is_edited(kernel: Kernel) -> None:
    kernel.ok("import psutil\nlarge = bytes(20_000_000)\ndef used(pid): return psutil.Process(pid).memory_info().rss")
    edited = (
        "@warm.task\nasync def reads(more: int) -> tuple[int, int]:\n    return os.getpid(), len(large) + {0} + more"
    )
    kernel.ok(edited.format(0))
    kernel.ok("process, size = flyte.run(reads, 0).outputs()\nbefore = used(os.getpid()), used(process)")
    for edit in range(1, 7):
        kernel.ok(edited.format(edit))
        assert kernel.ok("print(flyte.run(reads, 1).outputs()[1])").stdout == f"{20_000_001 + edit}\n"
    kernel.ok("grown = [now - then for now, then in zip((used(os.getpid()), used(process)), before)]")
    assert (
        kernel.ok("print(flyte.run(reads, 0).outputs()[0] == process, max(grown) < 60_000_000)").stdout == "True True\n"
    )


def test_an_edited_and_reloaded_module_is_used_by_the_next_call(kernel: Kernel) -> None:
    kernel.ok("Path('rates.py').write_text('def rate(): return 1')\nimport rates, importlib")
    kernel.ok("@warm.task\nasync def rated() -> int:\n    return rates.rate()")
    assert kernel.ok("print(flyte.run(rated).outputs()[0])").stdout == "1\n"
    kernel.ok("Path('rates.py').write_text('def rate(): return 22')\nimportlib.reload(rates)")
    assert kernel.ok("print(flyte.run(rated).outputs()[0])").stdout == "22\n"


def test_what_a_worker_prints_and_displays_is_shown_in_the_cell(kernel: Kernel) -> None:
    kernel.ok(
        "from IPython.display import HTML, display\n@cold.task\ndef shows() -> None:\n"
        "    print('from the worker')\n    display(HTML('<b>drawn</b>'))"
    )
    shown = kernel.ok("_ = flyte.run(shows)")
    assert "from the worker\n" in shown.stdout
    assert [content["data"] for content in shown.of("display_data") if "<b>drawn</b>" in str(content["data"])]


def test_an_error_of_a_worker_points_at_the_line_of_the_cell(kernel: Kernel) -> None:
    kernel.ok("@cold.task\ndef unlucky() -> int:\n    nothing = 0\n    return 1 // nothing")
    failed = kernel.run("flyte.run(unlucky)")
    assert "return 1 // nothing" in failed.traceback
    assert "ZeroDivisionError" in failed.traceback


def test_a_module_that_runs_a_task_whenever_it_is_imported_is_told_so_and_not_run_for_ever(kernel: Kernel) -> None:
    source = """
        import flyte_nb as flyte
        env = flyte.TaskEnvironment("importing", env_vars={"PLACE": "worker"})
        @env.task
        async def one() -> int:
            return 1
        flyte.run(one)
    """
    kernel.ok(f"import textwrap; Path('pipeline.py').write_text(textwrap.dedent({source!r}))")
    failed = kernel.run("import pipeline")
    assert "module pipeline starts a run whenever it is imported" in failed.traceback
    assert "__main__" in failed.traceback


def test_what_cannot_reach_a_worker_is_named_also_when_its_code_is_fetched_late(kernel: Kernel) -> None:
    kernel.ok("numbers = (n for n in range(3))\n@cold.task\ndef draws() -> int:\n    return next(numbers)")
    kernel.ok("@cold.task\ndef calls_the_plain_function() -> int:\n    return draws.forward()")
    for task in ("draws", "calls_the_plain_function"):
        failed = kernel.run(f"flyte.run({task})")
        assert "`numbers`, a generator, cannot be sent to another process" in failed.traceback


def test_magics_in_a_task_of_a_process_are_refused_with_a_way_out(kernel: Kernel) -> None:
    kernel.ok("@cold.task\ndef lists() -> list[str]:\n    names = !ls\n    return list(names)")
    failed = kernel.run("flyte.run(lists)")
    assert "magics and !commands need it" in failed.traceback
    assert "isolation='kernel'" in failed.traceback


def test_a_crash_is_placed_in_its_cell(kernel: Kernel) -> None:
    kernel.ok("@cold.task\ndef crashes() -> None:\n    ctypes.string_at(0)")
    failed = kernel.run("flyte.run(crashes)")
    assert 'File "cell ' in failed.traceback
    assert "line 3 in crashes" in failed.traceback


def test_output_of_subprocesses_comes_on_the_stream_that_they_wrote_to(kernel: Kernel) -> None:
    kernel.ok("@cold.task\ndef echoes() -> None:\n    os.system('echo out; echo err >&2')")
    shown = kernel.ok("_ = flyte.run(echoes)")
    assert (shown.stdout, shown.text("stderr")) == ("out\n", "err\n")


def test_a_task_of_a_worker_runs_others_of_the_notebook_in_runs_of_their_own(kernel: Kernel) -> None:
    kernel.ok("STEP = 2\n@warm.task\nasync def stepped(x: int) -> int:\n    return x + STEP")
    kernel.ok("@warm.task\nasync def nests(x: int) -> int:\n    return (await flyte.run.aio(stepped, x)).outputs()[0]")
    assert kernel.ok("print(flyte.run(nests, 3).outputs()[0])").stdout == "5\n"
    assert kernel.ok("print([r.task_name for r in flyte.remote.Run.listall(limit=2)])").stdout == (
        "['warm.stepped', 'warm.nests']\n"
    )


def test_workers_log_as_the_notebook_was_set_up_to(kernel: Kernel) -> None:
    kernel.ok("import logging, sys")
    kernel.ok("logging.basicConfig(level='INFO', format='%(name)s: %(message)s', stream=sys.stdout)")
    kernel.ok("logging.getLogger('quiet').setLevel('ERROR')")
    kernel.ok(
        "@cold.task\ndef logs() -> None:\n    logging.getLogger('mine').info('hello')\n"
        "    logging.getLogger('quiet').warning('hush')"
    )
    assert kernel.ok("_ = flyte.run(logs)").stdout == "mine: hello\n"


def test_a_removed_folder_does_not_stop_workers(kernel: Kernel) -> None:
    kernel.ok("@cold.task\ndef goes_on() -> int:\n    return 1")
    kernel.ok("home = os.getcwd()\nos.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')")
    assert kernel.ok("print(flyte.run(goes_on).outputs()[0])\nos.chdir(home)").stdout == "1\n"


def test_an_instance_of_a_redefined_class_is_refused_with_the_reason(kernel: Kernel) -> None:
    kernel.ok("from dataclasses import dataclass\n@dataclass\nclass Row:\n    a: int")
    kernel.ok("@warm.task\nasync def reads(row: Row) -> int:\n    return row.a")
    kernel.ok("@dataclass\nclass Row:\n    a: int\n    b: int = 0")
    assert "Row was defined again after the task was" in kernel.run("flyte.run(reads, Row(1))").traceback


def test_a_module_that_only_the_image_has_is_explained(kernel: Kernel) -> None:
    kernel.ok("image = flyte.Image.from_debian_base(name='a').with_pip_packages('no-such-package')")
    kernel.ok("imaged = flyte.TaskEnvironment('imaged', image=image)")
    kernel.ok("@imaged.task\ndef imports() -> None:\n    import no_such_package")
    assert "used with isolation='virtualenv' only" in kernel.run("flyte.run(imports)").traceback


@pytest.mark.parametrize("body", ["time.sleep(3600)", "ctypes.CDLL(None).sleep(3600)"], ids=["sleep", "foreign"])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_stop_ends_a_task_in_c_code_and_its_process(kernel: Kernel, tmp_path: Path, body: str, kind: str) -> None:
    began = tmp_path / "began"
    kernel.ok(f"@cold.task\n{kind} stuck() -> None:\n    Path({str(began)!r}).write_text(str(os.getpid()))\n    {body}")

    def stop() -> None:
        until(lambda: began.exists() and began.read_text())
        kernel.interrupt()

    stopping = threading.Thread(target=stop)
    stopping.start()
    outputs: Any = kernel.run("flyte.run(stuck)")
    stopping.join()
    assert "KeyboardInterrupt" in outputs.traceback
    assert kernel.ok("print(next(iter(flyte.remote.Run.listall())).phase.value)").stdout == "aborted\n"
    until(lambda: not is_alive(int(began.read_text())))


def test_workers_answer_after_a_stop(kernel: Kernel) -> None:
    kernel.ok("@warm.task\nasync def alive() -> int:\n    return 1")
    assert kernel.ok("print(flyte.run(alive).outputs()[0])").stdout == "1\n"
