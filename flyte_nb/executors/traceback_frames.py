"""Tracebacks as data, and back: real ones, which debuggers and IPython show like any other.

A frame is rebuilt by a function of the same name that raises at the same place of the same file; locals are not kept.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from itertools import islice
from types import CodeType, FunctionType, TracebackType

import msgspec

from flyte_nb.executors.user_code import is_engine_file

__all__ = ["Frame", "frames_of", "traceback_of"]

KEPT = 100
"""Of a longer traceback (a recursion without end) so many frames are kept of its head, and of its tail."""


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """One line of a traceback; columns are counted in bytes of UTF-8, -1 where they are unknown."""

    file: str
    module: str
    function: str
    first_line: int
    """Where the function begins."""
    line: int
    end_line: int
    column: int
    end_column: int


def frames_of(tb: TracebackType | None) -> list[Frame]:
    """The user's lines of a traceback, outermost first."""
    entries = []
    while tb is not None:
        if not is_engine_file(tb.tb_frame.f_code.co_filename):
            entries.append(tb)
        tb = tb.tb_next
    if len(entries) > 2 * KEPT:
        entries = entries[:KEPT] + entries[-KEPT:]
    return [_frame(entry) for entry in entries]


def _frame(entry: TracebackType) -> Frame:
    code = entry.tb_frame.f_code
    line, end_line, column, end_column = next(
        islice(code.co_positions(), entry.tb_lasti // 2, None), (None, None, None, None)
    )
    if line != entry.tb_lineno or end_line is None or column is None or end_column is None:
        line, end_line, column, end_column = entry.tb_lineno, entry.tb_lineno, -1, -1
    module = entry.tb_frame.f_globals.get("__name__")
    return Frame(
        file=code.co_filename,
        module=module if isinstance(module, str) else "",
        function=code.co_name,
        first_line=code.co_firstlineno,
        line=line,
        end_line=end_line,
        column=column,
        end_column=end_column,
    )


def traceback_of(frames: list[Frame]) -> TracebackType | None:
    """A traceback of such frames."""
    tb = None
    for frame in reversed(frames):
        raised = _raised(frame)
        tb = TracebackType(tb, raised.tb_frame, raised.tb_lasti, frame.line)
    return tb


def _raised(frame: Frame) -> TracebackType:
    """The traceback of an exception that was raised in such a place."""
    function = FunctionType(_raising_code(frame), {"__name__": frame.module, "__file__": frame.file})
    try:
        function()
    except RuntimeError as error:
        assert error.__traceback__ is not None and error.__traceback__.tb_next is not None
        return error.__traceback__.tb_next
    raise AssertionError("it raises")


@lru_cache(maxsize=1000)
def _raising_code(frame: Frame) -> CodeType:
    """A function of that name that does nothing but raise, at that line and those columns of that file."""
    tree = ast.parse("def function():\n    raise RuntimeError")
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.name = frame.function
    definition.lineno = definition.end_lineno = min(frame.first_line, frame.line)
    for node in ast.walk(definition.body[0]):
        if isinstance(node, ast.stmt | ast.expr):
            node.lineno, node.end_lineno = frame.line, frame.end_line
            node.col_offset, node.end_col_offset = frame.column, frame.end_column
    module = compile(tree, frame.file, "exec")
    return next(constant for constant in module.co_consts if isinstance(constant, CodeType))
