"""`%%flyte run` in a real kernel."""

from __future__ import annotations

import re
import threading

import pytest


def test_what_a_cell_reads_goes_in_and_what_it_assigns_comes_back(kernel) -> None:
    kernel.ok("rows, weight = [1, 2, 3], 2\ndef double(x): return 2 * x")
    outputs = kernel.ok(
        "%%flyte run --name summed --label kind=cell\ntotal = 0\nfor row in rows:\n    total += double(row) * weight\n"
        'text = f"""a\n  {total}"""\nprint("printed")\ntotal'
    )
    assert outputs.result["text/plain"] == "24" and outputs.stdout == "printed\n" and outputs.displays
    assert kernel.ok("print(total, row, repr(text))").stdout == "24 3 'a\\n  24'\n"
    asked = "r = next(iter(flyte.remote.Run.listall(with_labels={'kind': 'cell'})))\n"
    told = kernel.ok(f"{asked}print(r.task_name, dict(r.inputs()), sorted(r.outputs().named_outputs))").stdout
    assert told == "cells.summed {'rows': [1, 2, 3], 'weight': 2} ['row', 'text', 'total', 'unassigned']\n"


def test_values_cross_by_value_and_items_that_a_cell_assigns_come_back(kernel) -> None:
    kernel.ok("table, untouched = {'a': 1}, [1]")
    kernel.ok("%%flyte run\ntable['b'] = 2\nuntouched.append(2);")
    assert kernel.ok("print(table, untouched)").stdout == "{'a': 1, 'b': 2} [1]\n"
    kernel.ok("%%flyte run --in untouched --out untouched\nuntouched.append(2)")
    assert kernel.ok("print(untouched)").stdout == "[1, 2]\n"


def test_a_semicolon_or_an_assignment_at_the_end_shows_nothing(kernel) -> None:
    assert not kernel.ok("%%flyte run\ny = 1").of("execute_result")
    assert not kernel.ok("%%flyte run\ny = 1\ny;  # quiet").of("execute_result")


def test_an_unchanged_cell_with_unchanged_inputs_is_not_executed_again(kernel) -> None:
    kernel.ok("base = 20")
    cell = "%%flyte run --cache auto --name cached\n{}print('executed')\nresult = base + 1\nresult"
    assert kernel.ok(cell.format("")).stdout == "executed\n"
    again = kernel.ok(cell.format("# a comment changes nothing\n\n"))
    assert again.stdout.startswith("Unchanged, so it did not run again: these are the results of run ")
    assert again.result["text/plain"] == "21"
    kernel.ok("base = 21")
    changed = kernel.ok(cell.format(""))
    assert changed.stdout == "executed\n" and changed.result["text/plain"] == "22"


def test_definitions_and_imports_of_a_cell_are_there_afterwards_and_see_the_notebook(kernel) -> None:
    kernel.ok(
        "%%flyte run --isolation process\nimport os, colorsys\nrate = 3\n"
        "def scaled(x):\n    return x * rate\npid = os.getpid()\nz = scaled(2)"
    )
    assert kernel.ok("import os\nprint(z, scaled(5), pid != os.getpid(), colorsys.__name__)").stdout == (
        "6 15 True colorsys\n"
    )
    kernel.ok("rate = 4")
    assert kernel.ok("print(scaled(5))").stdout == "20\n"


def test_what_cannot_leave_the_task_stays_and_is_named(kernel) -> None:
    outputs = kernel.ok(
        "%%flyte run\nimport sqlite3\nhandle = sqlite3.connect(':memory:')\n"
        "numbers = (n for n in [1])\nsize = 1\nnumbers"
    )
    assert outputs.stdout == "Stays in the task: handle (Connection), numbers (generator)\n"
    assert kernel.ok("print(size, 'handle' in dir())").stdout == "1 False\n"


def test_names_that_a_branch_leaves_unassigned_stay_as_they_are(kernel) -> None:
    kernel.ok("old, gone, _private = 1, 2, 3")
    kernel.ok(
        "%%flyte run\nif _private > 5:\n    old = 9\n    new = 9\n_private += 1\ndel gone\nfor _ in range(2): pass"
    )
    assert kernel.ok("print(old, _private, 'new' in dir(), 'gone' in dir())").stdout == "1 4 False False\n"


def test_a_cell_may_await_and_call_tasks_that_are_actions_of_its_run(kernel) -> None:
    outputs = kernel.ok(
        "%%flyte run --label kind=awaits\nimport asyncio\nsquares = await asyncio.gather(fit(3), fit(4))\nsquares"
    )
    assert outputs.result["text/plain"] == "[9, 16]"
    table = kernel.ok("t = %flyte runs --label kind=awaits\nprint(t['actions'])").stdout
    assert table == "[3]\n"


@pytest.mark.parametrize("awaits", ["", "import asyncio\nawait asyncio.sleep(0)\n"], ids=["sync", "async"])
@pytest.mark.parametrize("isolation", ["kernel", "process"])
def test_figures_and_displays_appear_under_the_cell_once(kernel, isolation: str, awaits: str) -> None:
    outputs = kernel.ok(
        f"%%flyte run --isolation {isolation}\n{awaits}import matplotlib.pyplot as plt\ndisplay('shown')\n"
        "fig, ax = plt.subplots()\nax.plot([1, 2]);"
    )
    shown = [content["data"] for content in outputs.of("display_data")]
    assert sum("image/png" in data for data in shown) == 1
    assert sum(data.get("text/plain") == "'shown'" for data in shown) == 1
    assert "Stays in the task: fig (Figure), ax (Axes)" in outputs.stdout


def test_a_failing_cell_shows_its_own_line_and_no_machinery(kernel) -> None:
    outputs = kernel.run("%%flyte run --name broken\nparts = 0\nshare = 1 / parts\n")
    text = outputs.traceback
    assert re.search(r"-+> 3 +share = 1 / parts", text)
    assert "run_cell_magic" not in text and "flyte_nb/" not in text
    told = r"in broken \(action a0, cell \d+, line 3\) of run (\w+)\nsee %flyte show \1, %flyte debug \1"
    assert re.search(f"{told}$", text.rstrip())
    assert kernel.ok("import sys\nprint(sys.last_traceback.tb_frame.f_locals)").stdout == "{'parts': 0}\n"


def test_stop_ends_a_cell(kernel) -> None:
    def stop(message) -> None:
        if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
            threading.Thread(target=kernel.interrupt).start()

    cell = "%%flyte run --label kind=stopped\nprint('begun')\nwhile True:\n    pass"
    outputs = kernel.run(cell, on_message=stop)
    assert outputs.of("error")[-1]["ename"] == "KeyboardInterrupt"
    assert kernel.ok("t = %flyte runs --label kind=stopped\nprint(t['phase'])").stdout == "['aborted']\n"


def test_the_settings_of_a_cell_are_those_of_its_task(kernel) -> None:
    kernel.ok("%%flyte run --memory 300Mi --retries 2 --timeout 30 --env quick --name sized\nn = 1")
    kernel.ok("task = env.tasks['quick.sized']")
    assert kernel.ok("print(task.resources.memory, task.retries.count, task.timeout.total_seconds())").stdout == (
        "300Mi 2 30.0\n"
    )
    assert kernel.ok("r = next(iter(flyte.remote.Run.listall()))\nprint(r.root.where)").stdout.startswith("process ")


def test_a_large_array_goes_in_and_comes_back(kernel) -> None:
    kernel.ok("import numpy as np\nbig = np.ones(2_000_000)")
    kernel.ok("%%flyte run --isolation process\nbig[0] = 5\nhalf = big / 2")
    assert kernel.ok("print(big[:2], half[0], half.shape)").stdout == "[5. 1.] 2.5 (2000000,)\n"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%flyte run\n# nothing", "The cell is empty"),
        (
            "%%flyte run\nx = 1\n%time y = 2",
            "Line 3, `%time y = 2`: magics and shell commands cannot be part",
        ),
        ("%%flyte run\nfiles = !ls", "Line 2, `files = !ls`: magics and shell commands"),
        ("%%flyte run\nx = (1 +\ny = 2", "Line "),
        ("%%flyte run\nreturn 3", "Line 2: 'return' outside function"),
        ("%%flyte run\nyield 3", "Line 2: 'yield' outside function"),
        ("%%flyte run\ndef f():\n    global x", "Line 3, `global x`: it cannot be part of a task"),
        ("%%flyte run\nfrom math import *", "Line 2, `from math import *`: it cannot be part of a task"),
        ("%%flyte run --in nowhere\nx = 1", "--in: there is no variable 'nowhere' here."),
        ("%%flyte run --out nowhere\nx = 1", "--out: there is no variable 'nowhere' here."),
        ("%%flyte run --env quik\nx = 1", "No environment is named 'quik'. Did you mean quick"),
        ("%%flyte run --isolation moon\nx = 1", "isolation is kernel, process, virtualenv; got 'moon'."),
        ("%%flyte run --timeout soon\nx = 1", "--timeout takes seconds, got 'soon'"),
        ("%%flyte run --memory lots\nx = 1", "lots"),
        ("%%flyte run --cache maybe\nx = 1", "maybe"),
        ("%%flyte run --name 1x\nx = 1", "--name is a Python name, got '1x'"),
        ("%%flyte run --lable a=b\nx = 1", "%%flyte run has no option --lable. Did you mean --label"),
        ("%%flyte run fit\nx = 1", "'fit' is one word too many"),
        ("%%flyte runs\nx = 1", "%%flyte runs takes no cell"),
    ],
)
def test_what_a_cell_cannot_be_is_one_clear_message(kernel, cell: str, said: str) -> None:
    outputs = kernel.run(cell)
    assert outputs.stderr.startswith("UsageError: ") and said in outputs.stderr
    assert not outputs.of("error") and not outputs.displays


def test_an_input_that_cannot_cross_is_named_before_anything_runs(kernel) -> None:
    kernel.ok("import sqlite3\nconnection = sqlite3.connect(':memory:')")
    outputs = kernel.run("%%flyte run\nrows = connection.execute('select 1').fetchall()")
    assert "'connection'" in outputs.stderr and "Make it in the cell itself" in outputs.stderr
    assert not outputs.displays


def test_tab_offers_options_and_what_they_take(kernel) -> None:
    assert "--isolation" in kernel.complete("%%flyte run --is")
    assert kernel.complete("%%flyte run --isolation ") == ["kernel", "process", "virtualenv"]
    assert "env" in kernel.complete("%%flyte run --env e")
    assert "task" in kernel.complete("%%flyte t")
