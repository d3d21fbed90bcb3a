"""`import flyte` as this package, in programs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
HELPER = """
import flyte.io
def names():
    import flyte.report
    return [flyte.io.__name__, flyte.report.__name__]
"""
PROGRAM = """
import sys
import flyte_nb
flyte_nb.install_as_flyte()
flyte_nb.install_as_flyte()
import flyte, flyte.io, flyte.remote
from flyte.io import File
import helper
assert flyte is flyte_nb and sys.modules["flyte.io"] is flyte_nb.io and File is flyte_nb.io.File
assert (flyte.__spec__.name, flyte.io.__spec__.name) == ("flyte_nb", "flyte_nb.io")
try:
    import flyte.extras
except ModuleNotFoundError as error:
    print(error)
env = flyte.TaskEnvironment("aliased")
@env.task
async def main() -> list[str]:
    import flyte.models
    return [*helper.names(), flyte.models.__name__]
for isolation in ("kernel", "process"):
    print(flyte.with_runcontext(isolation=isolation).run(main).outputs()[0])
flyte.deploy(env, version="v1")
"""
FETCHING = """
import flyte_nb
print(flyte_nb.run(flyte_nb.remote.Task.get("aliased.main", version="v1")).outputs()[0])
import flyte
assert flyte is flyte_nb
"""
HELLO = """
import flyte
env = flyte.TaskEnvironment("hello")
@env.task
async def main() -> list:
    from flyte_nb.as_flyte import is_installed
    loaded = is_installed()
    import flyte_nb.io, flyte_nb.report, flyte_nb.models
    names = [flyte.io.__name__, flyte.report.__name__, flyte.models.__name__]
    return [*names, loaded]
if __name__ == "__main__":
    raise SystemExit("not as a program")
"""
NAMES = "['flyte_nb.io', 'flyte_nb.report', 'flyte_nb.models']"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(HELPER)
    return tmp_path


def program(folder: Path, source: str) -> list[str]:
    """The lines that a program prints."""
    env = {**os.environ, "PYTHONPATH": f"{PROJECT}:{folder}"}
    words = [sys.executable, "-c", source]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_aliases_are_our_modules_in_the_kernel_in_workers_and_in_recorded_code(folder: Path) -> None:
    missing = "No module named 'flyte.extras': flyte_nb, which stands for flyte here, has none of that name"
    assert program(folder, PROGRAM) == [missing, NAMES, NAMES]
    assert program(folder, FETCHING) == [NAMES]


def test_the_command_line_runs_code_that_was_written_for_flyte_unchanged(folder: Path) -> None:
    (folder / "hello.py").write_text(HELLO)
    (folder / "plain.py").write_text(HELLO.replace("import flyte\n", "import flyte_nb as flyte\n"))
    run = "import sys\nfrom flyte_nb.cli.main import main\nsys.argv[1:] = {}\nmain()"
    aliased = program(folder, run.format(["run", "--local", "--isolation", "process", "hello.py", "main"]))
    assert aliased[-1] == f"o0 = {NAMES[:-1]}, True]"
    assert program(folder, run.format(["run", "plain.py", "main"]))[-1] == f"o0 = {NAMES[:-1]}, False]"


def test_it_is_refused_when_another_flyte_is_loaded(folder: Path) -> None:
    (folder / "flyte.py").write_text("")
    source = "import flyte, flyte_nb\ntry:\n    flyte_nb.install_as_flyte()\nexcept ImportError as error: print(error)"
    (said,) = program(
        folder, source.replace("import flyte,", f"import sys; sys.path.insert(0, {str(folder)!r})\nimport flyte,")
    )
    assert said.startswith(
        f"flyte is loaded already, from {folder / 'flyte.py'}: flyte_nb cannot stand for it any more."
    )
