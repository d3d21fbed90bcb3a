"""`%%flyte task`, `%%flyte env`, and the lines that map, wait, abort and explain, in a real kernel."""

from __future__ import annotations

import threading

import pytest


def test_an_environment_is_declared_by_options_and_settings_and_listed(kernel) -> None:
    kernel.ok("%%flyte env train-set --memory 300Mi --cpu 1\n# the rest\ncache = 'auto'\nenv_vars = {'A': str(1 + 1)}")
    told = kernel.ok("print(train_set.name, train_set.resources.memory, train_set.cache, train_set.env_vars)").stdout
    assert told == "train-set 300Mi auto {'A': '2'}\n"
    listed = kernel.ok("t = %flyte env\nprint(dict(zip(t['environment'], zip(t['variable'], t['tasks']))))").stdout
    assert "'train-set': ('train_set', '')" in listed and "'quick': ('env', 'fit, main, wait" in listed


def test_the_functions_of_a_cell_become_tasks_that_run_recover_and_keep_their_source(kernel) -> None:
    kernel.ok("%%flyte env plain --variable plain\n# nothing else")
    outputs = kernel.ok(
        "%%flyte task --env plain --cache auto --retries 1\nimport math\nRATE = 3\n\n"
        'def scaled(x: int) -> int:\n    """Scales."""\n    return math.prod([x, RATE])\n\n'
        "async def all_of(n: int = 2) -> list[int]:\n    return [await scaled.aio(at) for at in range(n)]"
    )
    assert outputs.stdout == "" and not outputs.stderr
    told = kernel.ok("print(scaled.name, scaled.retries.count, scaled.cache.behavior, all_of.name, RATE)").stdout
    assert told == "plain.scaled 1 auto plain.all_of 3\n"
    assert kernel.ok("r = %flyte run all_of --n 3\nprint(r.outputs()[0], len(r.actions()))").stdout == "[0, 3, 6] 4\n"
    assert kernel.ok("t = %flyte explain scaled\nprint(t['kind'])").stdout.splitlines()[-1] == (
        "['function', 'value', 'installed']"
    )


def test_a_task_is_mapped_over_a_variable_in_one_run(kernel) -> None:
    kernel.ok(
        "@env.task\nasync def power(x: int, by: int = 2) -> int:\n    return x**by\n"
        "import numpy as np\nx = np.arange(4)"
    )
    told = "print(r.outputs()[0], r.task_name, len(r.actions()), r.root.group, {a.group for a in r.actions()[1:]})"
    assert kernel.ok(f"r = %flyte map power x by=3 --concurrency 2\n{told}").stdout == (
        "[0, 1, 8, 27] quick.power_map 5 None {'quick.power_map'}\n"
    )
    assert kernel.ok("r = %flyte map quick.power x=range(3)\nprint(r.outputs()[0])").stdout == "[0, 1, 4]\n"
    again = kernel.ok("r = %flyte rerun last x=[5]\nprint(r.outputs()[0])")
    assert again.stdout == "[25]\n"


def test_a_background_run_is_waited_for_and_raises_what_it_raised(kernel) -> None:
    kernel.ok("r = %flyte run -b wait --seconds 0.2")
    assert kernel.ok("w = %flyte wait\nprint(w.name == r.name, w.phase.value)").stdout == "True succeeded\n"
    kernel.ok("r = %flyte run --background fit --x 2")
    failed = kernel.run("%flyte wait")
    assert failed.of("error")[-1]["ename"] == "RuntimeUserError" and "unlucky" in failed.traceback


def test_abort_without_a_name_ends_the_last_run(kernel) -> None:
    kernel.ok("r = %flyte run -b wait --seconds 60")
    assert "aborted" in kernel.ok("%flyte abort").stdout
    assert kernel.ok("r.wait()\nprint(r.phase.value)").stdout == "aborted\n"


@pytest.mark.parametrize(
    "cell",
    [
        "%flyte wait",
        "%flyte map wait seconds=[60.0, 61.0]",
        "await flyte.run.aio(wait, seconds=60.0)",
    ],
)
def test_stop_works_while_a_line_waits(kernel, cell: str) -> None:
    if cell == "%flyte wait":
        kernel.ok("%flyte run -b wait --seconds 60")

    def stop(message) -> None:
        if message["msg_type"] == "stream" and "waiting" in message["content"]["text"]:
            threading.Timer(0.2, kernel.interrupt).start()

    outputs = kernel.run(f"print('waiting', flush=True)\n{cell}", on_message=stop)
    assert outputs.of("error")[-1]["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert kernel.ok("t = %flyte runs --limit 1\nprint(t['phase'])").stdout == "['aborted']\n"


def test_explain_says_what_is_captured_and_warns_of_what_is_large(kernel) -> None:
    kernel.ok(
        "import numpy as np\nBIG = np.zeros(2_000_000)\nRATE = 2\ndef helper(at): return BIG[at] * RATE\n"
        "@env.task(cache='auto')\nasync def heavy(at: int) -> float:\n    return float(helper(at) + BIG[at])"
    )
    outputs = kernel.ok("t = %flyte explain heavy\nprint(dict(zip(t['name'], t['kind'])))")
    assert "quick.heavy" in outputs.stdout and "in the kernel: nothing asks for a process" in outputs.stdout
    assert "cache   auto, version " in outputs.stdout
    assert "Large: heavy: BIG, 16.0 MB." in outputs.stdout
    assert "'helper: RATE': 'value'" in outputs.stdout
    kernel.ok("%flyte run heavy --at 1")
    assert kernel.ok("r = %flyte rerun last\nprint(r.outputs()[0])").stdout == "0.0\n"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%flyte task\nx = 1", "it defines none"),
        ("%%flyte task\ndef f(): pass\nawait f()", "await in another cell"),
        ("%%flyte task --env nope\ndef f(): pass", "No environment is named 'nope'."),
        ("%%flyte task --cache maybe\ndef f(): pass", "maybe"),
        ("%%flyte env Bad\n# no", "snake_case or kebab-case"),
        ("%%flyte env bad\nfoo = 1", "An environment has no setting 'foo'."),
        ("%%flyte env bad\nprint(1)", "Line 2: an environment takes lines `setting = expression`."),
        ("%%flyte env bad\ncache = 3", "%%flyte env bad: Expected cache to be of type str or Cache"),
        ("%%flyte env\n# no", "NAME missing: %%flyte env NAME"),
        ("%flyte map fit", "Say which task, and over what: %flyte map"),
        ("%flyte map fit y", "quick.fit has no parameter 'y'."),
        ("%flyte map fit x=3", "x is mapped over the items of a value; int has none."),
        ("%flyte map main n", "There is no variable 'n' here; say which values: n=[1, 2, 3]"),
        ("%flyte map fit x=[1] --concurrency few", "--concurrency takes a number, got 'few'"),
        ("%flyte explain nothing", "No task is named 'nothing'."),
        ("%flyte wait nowhere", "No run is named 'nowhere'"),
    ],
)
def test_bad_declarations_and_lines_are_one_clear_message(kernel, cell: str, said: str) -> None:
    kernel.ok("globals().pop('n', None)")
    outputs = kernel.run(cell)
    assert outputs.stderr.startswith("UsageError: ") and said in outputs.stderr
    assert not outputs.of("error") and not outputs.displays
