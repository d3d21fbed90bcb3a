"""Environments for tests: wheels and projects made here, and a first environment from the index or uv's cache."""

from __future__ import annotations

import asyncio
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from flyte_nb.errors import ImageBuildError
from flyte_nb.executors.images.virtualenv import BuiltEnvironment, Virtualenvs

# A build backend that says that it has begun, and waits until it may go on.
SLOW_BACKEND = """
import os, pathlib, time, zipfile
here = pathlib.Path({here!r})

def build_wheel(folder, settings=None, metadata=None):
    (here / "began").write_text(str(os.getpid()))
    while not (here / "go").exists():
        time.sleep(0.01)
    with zipfile.ZipFile(pathlib.Path(folder) / "{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("{name}.py", "VALUE = 1")
        info = "{name}-1.0.dist-info"
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return "{name}-1.0-py3-none-any.whl"
"""


def build_default(virtualenvs: Virtualenvs, environment: str = "") -> BuiltEnvironment:
    """Builds the default image for a Flyte environment, or skips the test where nothing can be downloaded."""
    try:
        return asyncio.run(virtualenvs.interpreter(None, no_progress, environment))
    except ImageBuildError as error:
        if "not reached" in str(error):
            pytest.skip("the package index cannot be reached, and uv's cache lacks what a worker needs")
        raise


def no_progress(line: str) -> None:
    return None


def run_in(built: BuiltEnvironment, code: str) -> str:
    """What the code prints in the environment."""
    return said_by(built.python, "-c", code, PYTHONPATH=built.support)


def said_by(*command: str, **variables: str) -> str:
    """What a program prints that succeeds."""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_wheel(folder: Path, name: str, number: str = "1.0", requires: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{number}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {number!r}\n")
        info = f"{name}-{number}.dist-info"
        wheel.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def make_project(folder: Path, name: str, more: str = "") -> Path:
    """A project that builds itself once its folder has a file `go`."""
    folder.mkdir(parents=True)
    (folder / "backend.py").write_text(SLOW_BACKEND.format(here=str(folder), name=name))
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0"\nrequires-python = ">=3.11"\n{more}\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return folder
