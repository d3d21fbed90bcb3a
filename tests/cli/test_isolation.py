from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()"]
TASKS = """
import os
import flyte_nb as flyte
env = flyte.TaskEnvironment("where")

@env.task
def pid() -> int:
    return os.getpid()

@env.task
def is_elsewhere(kernel: int) -> bool:
    return os.getpid() != kernel

@env.task
async def parent() -> bool:
    return await is_elsewhere.aio(await pid.aio())
"""


def flyte_nb(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "FLYTE_NB_HOME": str(folder / "home")}
    return subprocess.run([*PROGRAM, *words], env=env, cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_run_of_a_file_can_be_told_where_its_tasks_run(tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(TASKS)
    assert "o0 = False" in flyte_nb(tmp_path, "run", "where.py", "parent").stdout
    assert "o0 = True" in flyte_nb(tmp_path, "run", "--isolation", "process", "where.py", "parent").stdout
    refused = flyte_nb(tmp_path, "run", "--isolation", "container", "where.py", "parent")
    assert refused.returncode == 2 and "'container' is not one of 'kernel', 'process', 'virtualenv'" in refused.stderr
