"""Errors in cells, in a real kernel: from the user's line through the user's tasks, and `%debug` where they failed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.notebook.conftest import ANSI, Kernel, running_kernel

DECLARED = """
def ratio(a, b):
    return a / b

@env.task
def share(parts: int) -> float:
    here = "in share"
    return ratio(1, parts)

@env.task
async def report(n: int) -> list[float]:
    here = "in report"
    return [await share.aio(n - at) for at in range(n + 1)]

@env.task
def total(n: int) -> float:
    return share(n)

@flyte.trace
async def ask(x: int) -> float:
    return ratio(x, 0)

@env.task
async def asks() -> float:
    return await ask(1)
"""
OF_REPORT = ['here = "in report"', "return [await share.aio(n - at)", "return ratio(1, parts)", "return a / b"]
OF_TOTAL = ["return share(n)", "return ratio(1, parts)", "return a / b"]
WAYS = {
    "line": ("%flyte run report --n 1", OF_REPORT[1:], "report/share[1]"),
    "run": ("flyte.run(report, n=1)", OF_REPORT[1:], "report/share[1]"),
    "awaited": ("await flyte.run.aio(report, n=1)", OF_REPORT[1:], "report/share[1]"),
    "cell": ("%%flyte run --name step\nvalues = await report(1)", OF_REPORT[1:], "step/report/share[1]"),
    "sync": ("flyte.run(total, n=0)", OF_TOTAL, "total/share"),
    "process": ("%flyte run --isolation process total --n 0", OF_TOTAL, "total/share"),
    "waited": ("r = %flyte run -b total --n 0\nr.outputs()", OF_TOTAL, "total/share"),
    "mapped": ("%flyte map share parts=[0]", ["return ratio(1, parts)", "return a / b"], "share_map/share"),
    "trace": ("flyte.run(asks)", ["return await ask(1)", "return ratio(x, 0)", "return a / b"], "asks/ask"),
}
"""Per way to run: the cell, lines of the user's that its error shows, and the path of the action that failed."""


MACHINERY = ("flyte_nb/", "flyte_nb.", "asyncio/", "interactiveshell", "concurrent", "hidden", "run_cell_magic")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("tracebacks")
    with running_kernel(folder, folder / "home") as started:
        started.ok(DECLARED)
        yield started


@pytest.mark.parametrize("way", list(WAYS))
def test_an_error_shows_the_cell_and_the_tasks_and_the_path_of_the_action(kernel: Kernel, way: str) -> None:
    cell, lines, path = WAYS[way]
    text = kernel.run(cell).traceback
    for line in lines:
        assert line in text
    for machinery in MACHINERY:
        assert machinery not in text
    told = r"in (\S+) \(action \w+, cell \d+, line 2\) of run (\w+)\nsee %flyte show \2, %flyte debug \2( \(.*\))?$"
    asked = re.search(told, text.rstrip())
    assert asked is not None and asked[1] == path


@pytest.mark.parametrize("way", ["line", "run", "awaited"])
def test_debug_stands_where_the_task_failed_and_up_leads_to_its_callers(kernel: Kernel, way: str) -> None:
    kernel.run(WAYS[way][0])
    typed = ["p a, b", "up", "p here, parts", "up", "up", "p here, n", "q"]
    told = kernel.run("%debug", answers=typed).stdout
    assert "(1, 0)" in told and "('in share', 0)" in told and "('in report', 1)" in told
    assert "flyte_nb/" not in told


def test_debug_stands_in_the_cell_that_ran_as_a_task(kernel: Kernel) -> None:
    kernel.run("%%flyte run\nparts = 0\nshare_of_all = ratio(1, parts)")
    assert "'parts': 0" in kernel.run("%debug", answers=["up", "p locals()", "q"]).stdout


def test_debug_shows_the_line_of_a_process_and_the_note_says_how_to_see_its_variables(kernel: Kernel) -> None:
    text = kernel.run("%flyte run --isolation process total --n 0").traceback
    assert re.search(r"%flyte debug \w+ \(%debug has no variables: they went with process \(\d+\)\)$", text)
    told = ANSI.sub("", kernel.run("%debug", answers=["p a", "q"]).stdout)
    assert "return a / b" in told and "NameError" in told
