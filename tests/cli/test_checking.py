"""`flyte-nb check`: what it prints, and its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TASKS = """
import flyte_nb as flyte

env = flyte.TaskEnvironment("checked")

@env.task
async def add(a: int, b: int) -> int:
    return a + b

@env.task
async def right(n: int) -> int:
    return await add(n, 1)

@env.task
async def wrong(n: int) -> int:
    add(n, n)
    return await add("one", 1)
"""


def flyte_nb(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "tasks.py").write_text(TASKS)
    (folder / "empty.py").write_text("x = 1\n")
    command = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_exit_code_says_whether_there_are_mistakes(tmp_path: Path) -> None:
    good = flyte_nb(tmp_path, "check", "tasks.py", "right")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.splitlines() == [
        "✓ checked.right: no mistakes in 2 tasks",
        "  checked.right(n: int) -> int",
        "    checked.add(a: int, b: int) -> int",
    ]
    bad = flyte_nb(tmp_path, "check", "tasks.py")
    assert bad.returncode == 1 and "✓ checked.right" in bad.stdout and "✗ checked.wrong: 2 mistakes" in bad.stdout
    assert "tasks.py, line 16: the coroutine of add is dropped" in bad.stdout
    assert "tasks.py, line 17: add takes a: int, and gets 'one' (str)" in bad.stdout


def test_a_file_or_name_without_a_task_is_one_clear_error(tmp_path: Path) -> None:
    empty = flyte_nb(tmp_path, "check", "empty.py")
    assert empty.returncode == 2 and empty.stderr == "Error: empty.py has no tasks. Declare one with @env.task.\n"
    unknown = flyte_nb(tmp_path, "check", "tasks.py", "wrnog")
    assert unknown.returncode == 2 and "No task is named 'wrnog'. Did you mean" in unknown.stderr
