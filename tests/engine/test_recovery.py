"""Runs that are run again: in kernels which never ran their cells, with the code and the results that were recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.store.queries import Store
from tests.engine.cells import Kernels
from tests.engine.recovery_cells import CELLS, RUNS, TELL, write_modules

EXPECTED = {
    "classes": [7, 1, 7, 16, 1008, 3],
    "modules": 143,
    "containers": 1010,
    "overrides": 6,
    "fibonacci": 3,
    "calls_cached": 3,
    "reports": 3,
    "sync": 7,
}


class Notebook:
    """Runs that were recorded in one kernel, and what other kernels made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kernels = Kernels(folder)
        write_modules(folder)
        runs = "".join(f"flyte.with_runcontext(name={name!r}).run({call})\n" for name, call in RUNS.items())
        self.kernels.run(*CELLS, runs)
        self.kernels.run(*CELLS, "flyte.with_runcontext(name='killed').run(starts, 1)", killed=True)
        self.first = self.kernels.noted()
        (folder / "edited.py").write_text("FACTOR = 3\ndef scale(x):\n    return x * FACTOR\n")
        (folder / "gone.py").unlink()
        (folder / "bare" / "part.py").unlink()
        (folder / "bare").rmdir()
        (folder / "go").touch()

    def again(self, cell: str) -> Any:
        """What a cell of a new kernel answers, and what its tasks noted."""
        answer = self.kernels.run(TELL, cell)
        return answer, self.kernels.noted()


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    return Notebook(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def rerun(notebook: Notebook) -> Any:
    """Every run, run again, and that run run again."""
    return notebook.again(f"""
answers = {{}}
for name in {list(RUNS)}:
    first = tell_again(name)
    answers[name] = first, tell_again(first["name"])
import edited
answers["edited"] = edited.FACTOR, sorted(name for name in sys.modules if name in ("edited", "gone", "folder", "bare"))
answer(answers)
""")


@pytest.fixture(scope="module")
def recovered(notebook: Notebook) -> Any:
    """Every run recovered, and that run recovered."""
    return notebook.again(f"""
answers = {{}}
for name in {list(RUNS)}:
    first = tell_again(name, recover=True)
    answers[name] = first, tell_again(first["name"], recover=True)
answer(answers)
""")


# ---------------------------------------------------------------- the recorded code


@pytest.mark.parametrize("name", RUNS)
def test_the_recorded_code_runs_in_a_kernel_that_never_ran_the_cells(name: str, rerun: Any) -> None:
    answers, _ = rerun
    assert [answer["output"] for answer in answers[name]] == [EXPECTED[name]] * 2


def test_a_rerun_executes_everything_that_is_not_cached(notebook: Notebook, rerun: Any) -> None:
    _, noted = rerun
    once = [line for line in notebook.first if line not in ("cached", "starts")]
    assert sorted(noted) == sorted(once * 2)


def test_modules_edited_or_deleted_since_run_as_recorded_and_the_kernel_imports_what_is_there(rerun: Any) -> None:
    answers, _ = rerun
    assert answers["modules"][0]["output"] == EXPECTED["modules"]
    assert answers["edited"] == [3, ["edited"]]


def test_a_finished_run_is_recovered_whole(recovered: Any) -> None:
    answers, noted = recovered
    assert noted == []
    for name in RUNS:
        for answer in answers[name]:
            assert answer["output"] == EXPECTED[name]
            assert [phase for _, phase, _ in answer["actions"]] == ["recovered"]


def test_a_task_that_was_never_called_before_the_crash_is_there(notebook: Notebook) -> None:
    answer, noted = notebook.again("answer(tell_again('killed', recover=True))")
    assert (answer["output"], noted) == (1008, ["starts", "never_called"])


def test_nothing_of_the_notebook_changes(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    answer = kernels.run(
        """
from dataclasses import dataclass
env = flyte.TaskEnvironment("same")
OFFSET = 11

@dataclass
class Held:
    x: int
    def moved(self):
        return self.x + OFFSET

@env.task
async def leaf(held: Held) -> Held:
    return Held(held.moved())

@env.task
async def main(x: int) -> int:
    return (await leaf(Held(x))).x

flyte.with_runcontext(name="first").run(main, 1)
before = Held, vars(Held).copy(), leaf.func, main.func
OFFSET = 1000
again = flyte.rerun("first").outputs()[0]
same = before == (Held, vars(Held).copy(), leaf.func, main.func)
answer([again, same, Held(1).moved(), flyte.run(main, 1).outputs()[0], flyte.rerun("first").outputs()[0]])
"""
    )
    assert answer == [12, True, 1001, 1001, 12]


def test_inputs_that_are_given_replace_recorded_ones(notebook: Notebook) -> None:
    answer, noted = notebook.again("answer([tell_again('fibonacci', n=2), tell_again('classes', recover=True, n=5)])")
    assert [told["output"] for told in answer] == [1, [8, 1, 8, 16, 1008, 3]]
    assert noted == ["fibonacci 2", "fibonacci 1", "fibonacci 0", "classes", "makes", "uses"]


def test_with_other_inputs_what_does_not_depend_on_them_is_reused(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    kernels.run("""
env = flyte.TaskEnvironment("inputs")

@env.task
async def leaf(x: int) -> int:
    note(f"leaf {x}")
    return x

@env.task
async def main(n: int) -> int:
    note(f"main {n}")
    return sum(await asyncio.gather(*[leaf(x) for x in range(n)]))

flyte.with_runcontext(name="inputs").run(main, 3)
""")
    kernels.noted()
    kernels.run(TELL, "answer(tell_again('inputs', recover=True, n=5))")
    assert kernels.noted() == ["main 5", "leaf 3", "leaf 4"]


def test_a_rerun_may_begin_at_any_action(notebook: Notebook) -> None:
    answer, noted = notebook.again("""
from flyte_nb.remote import Run
run = Run.get("classes")
made = next(action.name for action in run.actions() if action.task_name == "cells.uses")
first = flyte.rerun("classes", action_name=made)
answer([first.outputs()[0], flyte.rerun(first.name).outputs()[0], flyte.rerun("classes").outputs()[0]])
""")
    assert answer == [EXPECTED["classes"]] * 3
    assert noted == ["uses", "uses", "classes", "makes", "uses"]


def test_forced_actions_run_again_and_what_contains_them(notebook: Notebook) -> None:
    answer, noted = notebook.again("""
from flyte_nb.remote import Run
name = next(action.name for action in Run.get("classes").actions() if action.task_name == "cells.makes")
answer(tell_again("classes", recover=True, force_rerun_actions=[name]))
""")
    assert noted == ["classes", "makes"]
    phases = {task: phase for task, phase, _ in answer["actions"]}
    assert phases == {"cells.classes": "succeeded", "cells.makes": "succeeded", "cells.uses": "recovered"}


ERRORS = """
def error_of(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def test_what_cannot_be_run_again_says_why(notebook: Notebook) -> None:
    unknown_run, unknown_action, unknown_forced, both, sockets, unrecorded, live = notebook.again(
        ERRORS
        + """
import asyncio, socket
connection = socket.socket()
env = flyte.TaskEnvironment("sockets")

@env.task
async def talks() -> str:
    return type(connection).__name__

@env.task
async def waits() -> None:
    await asyncio.Event().wait()

flyte.with_runcontext(name="sockets").run(talks)
live = flyte.with_runcontext(name="live").start(waits)
answer([
    error_of(lambda: flyte.rerun("nowhere")),
    error_of(lambda: flyte.rerun("classes", action_name="nothing")),
    error_of(lambda: flyte.rerun("classes", recover=True, force_rerun_actions=["nothing"])),
    error_of(lambda: flyte.rerun("classes", recover=True, action_name="nothing")),
    error_of(lambda: flyte.rerun("sockets")),
    flyte.fork("sockets", talks).phase.value,
    error_of(lambda: flyte.rerun("live", recover=True)),
])
live.abort()
"""
    )[0]
    assert unknown_run.startswith("KeyError:") and "'nowhere'" in unknown_run
    assert unknown_action.startswith("ActionNotFoundError: No action of run classes is named 'nothing'")
    assert unknown_forced.startswith("ActionNotFoundError: Run classes has no action nothing")
    assert both.startswith("ValueError:") and "recover" in both
    assert "`connection`" in sockets and "talks" in sockets and "flyte.fork" in sockets
    assert unrecorded == "succeeded"
    assert live.startswith("ValueError: Run live is still") and live.endswith("Wait for its end, or abort it.")


def test_code_that_another_python_compiled_is_refused_before_it_is_loaded(notebook: Notebook) -> None:
    told, _ = notebook.again(
        ERRORS
        + """
from flyte_nb.engine.code import bundles
bundles.PYTHON = "3.99"
answer(error_of(lambda: flyte.rerun("classes", recover=True)))
"""
    )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"The code of run classes was compiled by Python {version}; this is 3.99" in told and "flyte.fork" in told


def test_large_globals_are_not_kept_and_the_error_says_so(tmp_path: Path) -> None:
    told, size_bytes = Kernels(tmp_path).run(
        ERRORS
        + """
import numpy as np
from pathlib import Path
env = flyte.TaskEnvironment("large")
large = np.zeros(10_000_000)

@env.task
async def reads() -> int:
    return len(large)

flyte.with_runcontext(name="large").run(reads)
told = error_of(lambda: flyte.rerun("large"))
values = Path(os.environ["FLYTE_NB_HOME"], "values")
answer([told, sum(file.stat().st_size for file in values.rglob("*") if file.is_file())])
"""
    )
    assert "`large`, a numpy.ndarray, cannot be kept" in told and "50 MB" in told
    assert size_bytes < 100_000


def test_runs_of_equal_code_keep_it_once(tmp_path: Path) -> None:
    values = Kernels(tmp_path).run("""
from pathlib import Path
env = flyte.TaskEnvironment("equal")

@env.task
async def trivial(x: int) -> int:
    return x

for x in range(5):
    flyte.run(trivial, x)
answer(len([file for file in Path(os.environ["FLYTE_NB_HOME"], "values").rglob("*") if file.is_file()]))
""")
    assert values == 1


def test_recovered_actions_say_so_in_the_store_and_take_no_time(notebook: Notebook) -> None:
    answer, _ = notebook.again("answer(tell_again('classes', recover=True, force_rerun_actions=['a0']))")
    rows = Store.open(notebook.kernels.home).actions(answer["name"])
    assert [row.phase for row in rows] == ["succeeded", "recovered", "recovered"]
    assert [row.source for row in rows[1:]] == [f"classes/{row.name}" for row in rows[1:]]
    assert all(row.started_ns == row.ended_ns for row in rows[1:])
    assert Store.open(notebook.kernels.home).run(answer["name"]).parent_run == "classes"
