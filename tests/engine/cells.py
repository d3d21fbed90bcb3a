"""Kernels in which cells are run, one process each: what a notebook's kernel is to the engine, without Jupyter."""

from __future__ import annotations

import json
import linecache
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["WITNESS", "Kernels", "run_cells"]

PROJECT = Path(__file__).resolve().parents[2]
ENTRANCE = f"import sys; sys.path.append({str(PROJECT)!r}); from tests.engine.cells import run_cells; run_cells()"
WITNESS = "FLYTE_NB_TEST_WITNESS"

PREAMBLE = f"""
import asyncio, json, os, sys
import flyte_nb as flyte

def note(text):
    with open(os.environ[{WITNESS!r}], "a") as witness:
        witness.write(f"{{text}}\\n")
"""


class Kernels:
    """Starts kernels over one store, one after another.

    Args:
        folder: working directory of all, with the store and the witness file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.witness = folder / "witness"

    def run(self, *cells: str, killed: bool = False) -> Any:
        """Runs cells in a new kernel.

        Args:
            cells: their texts; they find `flyte` and `note(text)`, which appends a line to the witness file.
            killed: the cells kill it.

        Returns:
            What the cells gave to `answer(value)` last.
        """
        kernel = self.start(*cells)
        output, errors = kernel.communicate()
        assert kernel.returncode == (-9 if killed else 0), errors
        return json.loads(output.splitlines()[-1]) if output and not killed else None

    def start(self, *cells: str) -> subprocess.Popen[str]:
        """Starts a kernel that runs cells."""
        environment = {**os.environ, "FLYTE_NB_HOME": str(self.home), WITNESS: str(self.witness)}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # it counts whole seconds: an edit of the same size is not seen
        cells_file = self.folder / f"cells-{os.urandom(4).hex()}.json"
        cells_file.write_text(json.dumps([PREAMBLE, *cells]))
        return subprocess.Popen(
            [sys.executable, "-c", ENTRANCE, str(cells_file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environment,
        )

    def noted(self) -> list[str]:
        """What the witness file says since the last look."""
        if not self.witness.exists():
            return []
        lines = self.witness.read_text().splitlines()
        self.witness.unlink()
        return lines


def run_cells() -> None:
    """The kernel: runs the cells of the file that it is given, in `__main__`."""
    main = vars(sys.modules["__main__"])
    del main["run_cells"], main["sys"]
    main["answer"] = lambda value: print(json.dumps(value), flush=True)
    for number, cell in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        name = f"<cell {number} of {os.getpid()}>"
        linecache.cache[name] = len(cell), None, cell.splitlines(keepends=True), name
        exec(compile(cell, name, "exec"), main)
