"""scripts/check_corpus.py over a folder of programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import flyte

env = flyte.TaskEnvironment("corpus")


@env.task
async def add(a: int, b: int) -> int:
    return a + b


def case():
    @env.task
    async def inner(n: int) -> int:
        return await add(n)

    print("started", flyte.run(inner, 1).outputs())
    raise SystemExit
"""


def test_tasks_inside_of_functions_are_checked_and_expected_mistakes_pass(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(PROJECT / "scripts" / "check_corpus.py"), str(tmp_path)]
    run = {"capture_output": True, "text": True, "env": {"PYTHONPATH": str(PROJECT)}, "timeout": 60}
    unexpected = subprocess.run(command, check=False, **run)
    assert unexpected.returncode == 1, unexpected
    assert "program.py, line 15: add needs `b`" in unexpected.stdout and "tasks: 2, mistakes: 1" in unexpected.stdout
    assert "not expected: corpus.inner:arguments" in unexpected.stdout
    expected = subprocess.run([*command, "--expect", "corpus.inner:arguments"], check=False, **run)
    assert expected.returncode == 0, expected
