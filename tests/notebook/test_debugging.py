"""`%flyte debug` in a real kernel: a failed action is entered again with what it was given and what its calls gave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notebook.conftest import ANSI, Kernel, running_kernel

DECLARED = """
import os
def ratio(a, b):
    return a / b

@env.task
async def numbers(n: int) -> list[int]:
    print("executing numbers")
    return list(range(n))

@flyte.trace
async def ask(x: int) -> int:
    print("executing ask")
    return x

@env.task
async def share(parts: list[int], whole: float = 1.0) -> float:
    with flyte.group("inner"):
        asked = await ask(sum(parts))
    here = flyte.ctx().action.run_name
    return ratio(whole, parts[0]) + asked

@env.task
async def report(n: int) -> float:
    found = await numbers(n)
    try:
        await fit(2)
    except flyte.errors.RuntimeUserError as error:
        print("seen:", error.code, error)
    return await share(found)

@env.task
def summed(n: int) -> int:
    total = sum(numbers_of(n))
    raise LookupError(f"no {total}")

@env.task
def numbers_of(n: int) -> list[int]:
    print("executing numbers_of")
    return list(range(n))

placed = flyte.TaskEnvironment("placed", env_vars={"PLACE": "worker"})
@placed.task
def place(x: int) -> str:
    print("in", os.environ["PLACE"])
    return os.environ["PLACE"][x]
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("debugging")
    with running_kernel(folder, folder / "home") as started:
        started.ok(DECLARED)
        yield started


def failed(kernel: Kernel, line: str) -> str:
    """Runs a line that fails; returns the run's name."""
    assert kernel.run(line).of("error")
    return kernel.ok("print(flyte.last_run.name)").stdout.strip()


def test_the_last_failure_is_entered_again_and_debug_stands_in_it(kernel: Kernel) -> None:
    failed(kernel, "%flyte run report --n 3")
    outputs = kernel.run("%flyte debug")
    assert outputs.stdout.startswith("Entering report/share (action ")
    assert "return ratio(whole, parts[0]) + asked" in outputs.traceback and "flyte_nb/" not in outputs.traceback
    assert outputs.traceback.rstrip().endswith("ZeroDivisionError: float division by zero")
    told = kernel.run("%debug", answers=["up", "p parts, asked, here == flyte.last_run.name", "q"]).stdout
    assert "([0, 1, 2], 3, True)" in told
    assert "executing" not in outputs.stdout, "a step on record gives its result"
    assert kernel.ok("print(len(list(flyte.remote.Run.listall())))").stdout == "1\n", "nothing is recorded"


def test_what_a_parent_called_gives_what_it_gave_and_raises_what_it_raised(kernel: Kernel) -> None:
    run = failed(kernel, "%flyte run report --n 3")
    outputs = kernel.run(f"%flyte debug {run} report")
    assert outputs.stdout.splitlines()[1] == "seen: ValueError unlucky"
    assert "RuntimeUserError: float division by zero" in outputs.traceback
    assert "executing" not in outputs.stdout
    failed(kernel, "flyte.run(summed, 3)")
    outputs = kernel.run("%flyte debug")
    assert "LookupError: no 3" in outputs.traceback and "executing" not in outputs.stdout


def test_other_inputs_are_tried_and_what_is_not_on_record_is_executed_here(kernel: Kernel) -> None:
    run = failed(kernel, "%flyte run report --n 3")
    tried = kernel.ok(f"%flyte debug {run} share parts=[2, 2] --whole 3")
    assert tried.result["text/plain"] == "5.5"
    assert tried.stdout.splitlines()[1:] == ["executing ask"]
    outputs = kernel.run(f"%flyte debug {run} report n=0")
    assert "IndexError" in outputs.traceback
    assert [line for line in outputs.stdout.splitlines() if "executing" in line] == [
        "executing numbers",
        "executing ask",
    ]


def test_a_task_of_a_process_is_entered_in_the_kernel_with_its_variables(kernel: Kernel) -> None:
    failed(kernel, "%flyte run place --x 10")
    kernel.ok("os.environ.pop('PLACE', None)")
    outputs = kernel.run("%flyte debug --bind")
    assert outputs.stdout.endswith("Bound here: x.\nin worker\n") and "IndexError" in outputs.traceback
    assert kernel.ok("print(x, 'PLACE' in os.environ)").stdout == "10 False\n"
    assert "10" in kernel.run("%debug", answers=["p x", "q"]).stdout


@pytest.mark.parametrize(("task", "first"), [("share", 'with flyte.group("inner")'), ("summed", "total = sum(")])
def test_step_stops_at_the_first_line(kernel: Kernel, task: str, first: str) -> None:
    failed(kernel, "%flyte run report --n 3" if task == "share" else "%flyte run summed --n 3")
    outputs = kernel.run("%flyte debug --step", answers=["p 'inputs', parts" if task == "share" else "p n", "n", "q"])
    told = ANSI.sub("", outputs.stdout)
    assert first in told
    assert "('inputs', [0, 1, 2])" in told if task == "share" else "\n3\n" in told


def test_the_recorded_code_is_entered_when_the_notebook_has_another(kernel: Kernel) -> None:
    kernel.ok("@env.task\ndef edited(x: int) -> float:\n    return x / 0")
    run = failed(kernel, "%flyte run edited --x 1")
    kernel.ok("@env.task\ndef edited(x: int) -> float:\n    return x / 1")
    outputs = kernel.run(f"%flyte debug {run}")
    assert "quick.edited has changed since; this is its recorded code." in outputs.stdout
    assert "return x / 0" in outputs.traceback
    kernel.ok("del edited; env.tasks.pop('quick.edited', None)")
    assert "return x / 0" in kernel.run(f"%flyte debug {run}").traceback


def test_a_cell_and_a_step_and_a_wrong_result_are_entered(kernel: Kernel) -> None:
    failed(kernel, "%%flyte run --name broken\nlow = 0\nhigh = 1 / low")
    assert "high = 1 / low" in kernel.run("%flyte debug").traceback
    kernel.ok(
        "@flyte.trace\ndef step(x: int) -> float:\n    return x / 0\n"
        "@env.task\ndef steps() -> float:\n    return step(1)"
    )
    run = failed(kernel, "flyte.run(steps)")
    outputs = kernel.run(f"%flyte debug {run} step")
    assert outputs.stdout.startswith("Entering steps (action a0)") and "return x / 0" in outputs.traceback
    kernel.ok("@env.task\ndef wrong() -> int:\n    return 'one'")
    failed(kernel, "flyte.run(wrong)")
    assert "RuntimeDataValidationError" in kernel.run("%flyte debug").traceback


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_maps_and_runs_inside_a_task_work_when_it_is_entered_again(kernel: Kernel, kind: str) -> None:
    values = (
        "flyte.map(numbers_of, [1, 2])" if kind == "def" else "[v async for v in flyte.map.aio(numbers_of, [1, 2])]"
    )
    nested = "flyte.run(fit, 3)" if kind == "def" else "await flyte.run.aio(fit, 3)"
    kernel.ok(
        f"@env.task\n{kind} maps() -> float:\n    found = list({values})\n    {nested}\n    return len(found) / 0"
    )
    run = failed(kernel, "flyte.run(maps)")
    outputs = kernel.run("%flyte debug")
    assert "Entering maps" in outputs.stdout and run not in outputs.stdout, "the nested run is newer, and did not fail"
    assert "ZeroDivisionError" in outputs.traceback and "executing" not in outputs.stdout
    assert kernel.ok("await asyncio.sleep(0)\nprint(asyncio.run(asyncio.sleep(0, 7)))").stdout == "7\n"


def test_an_answer_that_was_given_is_not_asked_for_again(kernel: Kernel) -> None:
    kernel.ok(
        "@env.task\nasync def gated() -> float:\n"
        "    asked = await flyte.new_condition.aio('size', prompt='?', data_type=int)\n"
        "    size = await asked.wait.aio()\n    print('size', size)\n    return 1 / (size - 3)"
    )
    kernel.ok(
        "r = %flyte run -b gated\n"
        "while not [a for a in r.actions(kind='condition') if a.phase == 'paused']: await asyncio.sleep(0.01)"
    )
    kernel.ok("%flyte signal last size 3")
    failed(kernel, "%flyte wait")
    outputs = kernel.run("%flyte debug")
    assert "size 3\n" in outputs.stdout and "ZeroDivisionError" in outputs.traceback


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%flyte debug nowhere", "No run is named 'nowhere'"),
        ("%flyte debug last shaer", "did you mean report/share?"),
        ("%flyte debug last zz", "No action of run"),
        ("%flyte debug last share prats=3", "has no parameter 'prats'. Did you mean parts?"),
        ("%flyte debug last share --step more", "'more': inputs are given by name"),
    ],
)
def test_what_is_not_understood_is_one_clear_line(kernel: Kernel, line: str, said: str) -> None:
    failed(kernel, "%flyte run report --n 3")
    outputs = kernel.run(line)
    assert outputs.stderr.startswith("UsageError: ") and said in outputs.stderr and not outputs.of("error")


def test_a_run_that_did_not_fail_needs_the_name_of_an_action(kernel: Kernel) -> None:
    kernel.ok("%flyte run numbers --n 3")
    assert "succeeded. Say which action: %flyte debug " in kernel.run("%flyte debug last").stderr
    assert kernel.ok("%flyte debug last a0").result["text/plain"] == "[0, 1, 2]"
