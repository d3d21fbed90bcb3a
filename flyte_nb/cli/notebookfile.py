"""A notebook as a file with tasks: the definitions that one of them needs, and nothing else of its cells.

    imports, functions, classes, assignments, `if` and `try` at the top level of code cells, in their order, that the
    task needs: those that give a name that it reads its value, and again what those read

So a notebook's own runs, plots, magics and shell commands stay out. What a magic or `%%flyte task` cell declares is not
there: IPython has to carry that out.
"""

from __future__ import annotations

import ast
import json
import linecache
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from flyte_nb.remote.errors import CommandError

__all__ = ["load_notebook"]

DEFINITIONS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.If,
    ast.Try,
)
IS_MAGIC = re.compile(r"\s*[%!]")
IS_CELL_MAGIC = re.compile(r"\s*%%")


@dataclass(frozen=True)
class Definition:
    """One top-level statement of a cell."""

    file: str
    statement: ast.stmt
    binds: frozenset[str]
    reads: frozenset[str]


def load_notebook(path: Path, task: str | None) -> ModuleType:
    """The module of a notebook.

    Args:
        path: the notebook.
        task: whose definitions are needed, by variable or full name; None for those of all tasks.

    Raises:
        CommandError: it is not a notebook, or what it needs cannot be executed.
    """
    definitions = _needed(list(_definitions(path)), task)
    name = re.sub(r"\W", "_", path.stem)
    module = ModuleType(name)  # without a file, so that its code crosses by value, as that of a live notebook does
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    for definition in definitions:
        try:
            exec(compile(ast.Module([definition.statement], []), definition.file, "exec"), vars(module))
        except Exception as error:  # whatever the user's code raises when it is executed
            frames = traceback.TracebackException.from_exception(error)
            frames.stack[:] = [frame for frame in frames.stack if frame.filename != __file__]
            raise CommandError(f"{path.name} cannot be loaded:\n{''.join(frames.format())}".rstrip()) from None
    return module


def _definitions(path: Path) -> Iterator[Definition]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} is not a notebook: {type(error).__name__}: {error}") from None
    for number, source in enumerate(sources, 1):
        if IS_CELL_MAGIC.match(source):
            continue
        lines = ["pass" if IS_MAGIC.match(line) and not line[:1].isspace() else line for line in source.splitlines()]
        text = "\n".join(lines) + "\n"
        file = f"{path.name}, cell {number}"
        try:
            tree = ast.parse(text, file)
        except SyntaxError as error:
            raise CommandError(f"{file}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}") from None
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
        for statement in tree.body:
            if isinstance(statement, DEFINITIONS):
                yield Definition(file, statement, frozenset(_bound(statement)), frozenset(_read(statement)))


def _needed(definitions: list[Definition], task: str | None) -> list[Definition]:
    """The definitions that give a task, or all tasks, their code, in their order."""
    name = "" if task is None else task.rpartition(".")[2]
    wanted = [one for one in definitions if (_is_task(one.statement) if task is None else name in one.binds)]
    reached: set[str] = set()
    pending = {bound for one in wanted for bound in one.binds}
    while pending:
        reached |= pending
        pending = {read for one in definitions if one.binds & pending for read in one.reads} - reached
    return [one for one in definitions if one.binds & reached or "*" in one.binds]


def _is_task(statement: ast.stmt) -> bool:
    """Whether it is a function under `@env.task` or `@env.task(...)`."""
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    decorators = [one.func if isinstance(one, ast.Call) else one for one in statement.decorator_list]
    return any(isinstance(one, ast.Attribute) and one.attr == "task" for one in decorators)


def _bound(statement: ast.AST) -> Iterator[str]:
    """The names that a statement gives a value, in a block of it, too."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield (alias.asname or alias.name).partition(".")[0]
    elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
        yield statement.id
    elif not isinstance(statement, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        for child in ast.iter_child_nodes(statement):
            yield from _bound(child)


def _read(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value  # an annotation that is written as text
