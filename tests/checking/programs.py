"""Programs for checks: cells and modules as text, run as a notebook runs them, the mistakes marked where they stand."""

from __future__ import annotations

import linecache
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Mistakes", "mistakes_found", "mistakes_marked", "notebook"]

Mistakes = Counter[tuple[str, int, str]]
"""(cell or file, line, kind)."""
SECTION = re.compile(r"^# %%(.*)\n", re.MULTILINE)
MARK = re.compile(r"  # ! ([\w -]+)$")


def sections(text: str) -> Iterator[tuple[str, str]]:
    """Name and text of each cell and module: `cell 1`, `steps.py` ..."""
    _, *parts = SECTION.split(text)
    cells = 0
    for name, source in zip(parts[::2], parts[1::2], strict=True):
        cells += not name.strip()
        yield name.strip() or f"<cell {cells}>", source


def mistakes_marked(text: str) -> Mistakes:
    """The mistakes that the marks of a program name."""
    return Counter(
        (name, number, kind)
        for name, source in sections(text)
        for number, line in enumerate(source.splitlines(), 1)
        if (mark := MARK.search(line))
        for kind in mark[1].split()
    )


def mistakes_found(check: Any) -> Mistakes:
    """The mistakes that a check found, in the same form."""
    return Counter((Path(problem.file).name, problem.line, problem.kind) for problem in check.problems)


@contextmanager
def notebook(text: str, folder: Path) -> Iterator[Mapping[str, Any]]:
    """Runs a program's cells in a `__main__` of their own, its modules beside it; gives the names, and tidies up."""
    main = ModuleType("__main__")
    before, sys.modules["__main__"] = sys.modules["__main__"], main
    modules = [name.removesuffix(".py") for name, _ in sections(text) if name.endswith(".py")]
    sys.path.insert(0, str(folder))
    try:
        for name, source in sections(text):
            if name.endswith(".py"):
                (folder / name).write_text(source)
                continue
            linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
            exec(compile(source, name, "exec", dont_inherit=True), vars(main))
        yield vars(main)
    finally:
        for value in list(vars(main).values()):
            if hasattr(value, "close"):
                with suppress(Exception):  # whatever is open, of any kind
                    value.close()
        sys.path.remove(str(folder))
        sys.modules["__main__"] = before
        for name in modules:
            sys.modules.pop(name, None)
