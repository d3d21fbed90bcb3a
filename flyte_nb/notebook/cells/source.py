"""A cell as a function: its body, line for line, under a `def` that stands where the magic stood.

    %%flyte run --name fit            def fit(rows, weight):
    total = 0                             total = 0
    for row in rows:                      for row in rows:
        total += weight * row                 total += weight * row
    total                                 _result = total
                                          return total, _result

The function has a source of its own, so that its digest is that of any function with this text, tracebacks and
debuggers show its lines, and those lines have the numbers of the cell.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from inspect import CO_COROUTINE
from types import CodeType, FunctionType
from typing import Any

from IPython.core.getipython import get_ipython

from flyte_nb.remote.errors import CommandError

__all__ = ["DEFINITIONS", "RESULT", "UNASSIGNED", "CellBody", "function_in", "read_body", "statements_in"]

RESULT = "_result"
"""The name of the last expression's value, as output and in the function."""
UNASSIGNED = "_unassigned"
"""The output that says which of the others have no value."""
INDENT = "    "
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
SHELL_LINE = re.compile(r"\s*(?:[\w.,\s]+=\s*)?[%!?]|.*\?\s*$")


@dataclass(frozen=True)
class CellBody:
    """The text of a cell below its magic, parsed.

    Attributes:
        text: it, as Python.
        tree: its statements.
        is_async: whether it awaits at its top level.
        is_silent: whether a semicolon ends it, so that its last expression is not shown.
    """

    text: str
    tree: ast.Module
    is_async: bool
    is_silent: bool

    @property
    def shows(self) -> ast.expr | None:
        """The last expression, whose value the cell shows."""
        last = self.tree.body[-1]
        return last.value if isinstance(last, ast.Expr) and not self.is_silent else None

    def source(self, name: str, inputs: Sequence[str], outputs: Sequence[str], perhaps: Collection[str]) -> str:
        """The source of the cell as a function.

        Args:
            name: of the function.
            inputs: its parameters.
            outputs: the names that it returns; `RESULT` for the value of its last expression.
            perhaps: those of the outputs that may have no value; `UNASSIGNED` is returned too, then.
        """
        lines = self._with_result().split("\n") if RESULT in outputs else self.text.split("\n")
        inner = _lines_in_strings("\n".join(lines))
        body = [line if at in inner else INDENT + line for at, line in enumerate(lines, start=1)]
        returned = [f"locals().get({output!r})" if output in perhaps else output for output in outputs]
        if perhaps:
            returned.append(f"sorted({{{', '.join(map(repr, sorted(perhaps)))}}} - locals().keys())")
        head = f"{'async ' * self.is_async}def {name}({', '.join(inputs)}):"
        tail = [f"{INDENT}return {', '.join(returned)}"] if returned else []
        return "\n".join([head, *body, *tail]) + "\n"

    def _with_result(self) -> str:
        """The text, with the value of its last expression assigned."""
        lines = self.text.split("\n")
        last = self.tree.body[-1]
        line = lines[last.lineno - 1].encode()
        lines[last.lineno - 1] = (line[: last.col_offset] + f"{RESULT} = ".encode() + line[last.col_offset :]).decode()
        return "\n".join(lines)


def read_body(text: str) -> CellBody:
    """The body of a cell, checked.

    Args:
        text: what stands below the magic.

    Raises:
        CommandError: it is not Python, or there is something in it that a task cannot do; says in which line.
    """
    try:
        tree = ast.parse(text)
        code = compile(tree, "<cell>", "exec", _flags() | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        raise _not_python(text, error) from None
    if not tree.body:
        raise CommandError("The cell is empty: what stands below %%flyte run is what runs.")
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names = ", ".join(node.names)
            raise _refused(node, f"global {names}", "a task has its own names; let the cell assign them instead")
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            raise _refused(node, f"from {node.module} import *", "say which names")
    return CellBody(text, tree, bool(code.co_flags & CO_COROUTINE), _ends_in_semicolon(text))


def function_in(source: str, namespace: dict[str, Any]) -> FunctionType:
    """The function of a source that holds nothing else.

    Args:
        source: as `CellBody.source` gives it.
        namespace: its globals.
    """
    module = compile(source, _kept(source), "exec", _flags(), dont_inherit=True)
    code = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    return FunctionType(code, namespace)


def statements_in(body: CellBody, kinds: tuple[type[ast.stmt], ...] = (ast.stmt,)) -> list[tuple[ast.stmt, CodeType]]:
    """The statements of the cell that are of these kinds one by one, compiled as those of any cell."""
    text = "\n" + body.text  # the magic's line stays free: lines keep their numbers
    filename = _kept(text)
    return [
        (statement, compile(ast.Module([statement], []), filename, "exec", _flags(), dont_inherit=True))
        for statement in ast.parse(text).body
        if isinstance(statement, kinds)
    ]


def _flags() -> int:
    """The notebook's `from __future__` imports, as the compiler takes them."""
    shell: Any = get_ipython()
    return int(shell.compile.flags) if shell is not None else 0


def _kept(source: str) -> str:
    """A file name under which tracebacks, `inspect` and digests find the source, and that says which cell it is."""
    shell: Any = get_ipython()
    number = len(shell.history_manager.input_hist_parsed) - 1
    return str(shell.compile.cache(source, number, raw_code=source))


def _not_python(text: str, error: SyntaxError) -> CommandError:
    at = error.lineno or 1
    line = text.split("\n")[at - 1]
    if SHELL_LINE.match(line):
        return CommandError(
            f"Line {at + 1}, `{line.strip()}`: magics and shell commands cannot be part of a task; "
            "give them a cell of their own."
        )
    return CommandError(f"Line {at + 1}: {error.msg}\n    {line}\n    {' ' * ((error.offset or 1) - 1)}^")


def _refused(node: ast.stmt, what: str, advice: str) -> CommandError:
    line = node.lineno + 1  # the magic stands above
    return CommandError(f"Line {line}, `{what}`: it cannot be part of a task; {advice}.")


def _ends_in_semicolon(text: str) -> bool:
    passed = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT)
    last = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in passed][-1]
    return last.type == tokenize.OP and last.string == ";"


def _lines_in_strings(text: str) -> set[int]:
    """The lines that begin inside a string: their text is its text."""
    starts = {getattr(tokenize, name, None) for name in ("FSTRING_START", "TSTRING_START")}
    ends = {getattr(tokenize, name, None) for name in ("FSTRING_END", "TSTRING_END")}
    inner: set[int] = set()
    begun: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            inner.update(range(token.start[0] + 1, token.end[0] + 1))
        elif token.type in starts:
            begun.append(token.start[0])
        elif token.type in ends:
            inner.update(range(begun.pop() + 1, token.end[0] + 1))
    return inner
