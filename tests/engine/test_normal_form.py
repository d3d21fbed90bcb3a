"""The normal form of a syntax tree: equal for equal code, however it is written and whichever Python parses it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.engine.code.normal_form import function_form, normal_form

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted((PROJECT / "flyte_nb").rglob("*.py"))
PYTHONS = [name for name in ("python3.11", "python3.12", "python3.13", "python3.14") if shutil.which(name)]

DIFFICULT = r'''
def f(a, /, b: int = 1, *args, c=..., **rest) -> "list[int]":
    """Documented."""
    x: float = -1.5e300 * 2j
    s = f"{a!r:>{b}} and {c=} {{}}" "tail" f"{'nested'}{x:}" u"old"
    s = b"bytes"[0:1:]
    try:
        async def g():
            async with a as b, c:
                yield await a
    except* (ValueError, TypeError) as e:
        raise e from None
    match a:
        case {"k": [1, *_], **r} if r:
            return (y := 2**70)
        case None | True | Point(x=0):
            return [*a, *(z for z in b if z)]
    lambda *p, q=1: (q, *p)
'''


def form_of(source: str) -> str:
    """As text, in which `1`, `True` and `1.0` differ."""
    return json.dumps(normal_form(ast.parse(source)), sort_keys=True, default=repr)


@given(st.sampled_from(SOURCES))
def test_formatting_and_comments_leave_no_trace(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert form_of(ast.unparse(ast.parse(source))) == form_of(source)


def test_docstrings_and_strings_that_stand_alone_leave_no_trace() -> None:
    assert form_of("def f():\n    'doc'\n    x = 1\n    'of x'\n") == form_of("def f():\n    x = 1\n")
    assert form_of("def f(): return 'doc'") != form_of("def f(): return ''")


def test_decorators_of_the_function_itself_are_left_out_and_inner_ones_kept() -> None:
    def body(source: str) -> object:
        function = ast.parse(source).body[0]
        assert isinstance(function, ast.FunctionDef)
        return function_form(function)

    assert body("@env.task(retries=1)\ndef f(): pass") == body("def f(): pass")
    assert body("def f():\n  @a\n  def g(): pass") != body("def f():\n  @b\n  def g(): pass")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("x = None", "x = ..."),
        ("f(None)", "f()"),
        ("return_ = f'{a}b'", "return_ = f'{a}' + 'b'"),
        ("{**a}", "{None: a}"),
        ("a[:]", "a[None:]"),
        ("a is b", "a == b"),
        ("f'{a!r}'", "f'{a!s}'"),
        ("[x async for x in y]", "[x for x in y]"),
        ("x = 1e400", "x = -1e400"),
        (f"x = {2**64}", f"x = {2**64 + 1}"),
    ],
)
def test_code_that_differs_has_forms_that_differ(one: str, other: str) -> None:
    prefix, body = ("async def w():\n    ", "\n") if "async" in one else ("", "")
    assert form_of(prefix + one + body) != form_of(prefix + other + body)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_gives_the_same_form(python: str) -> None:
    script = """
import ast, json, sys
from flyte_nb.engine.code.normal_form import normal_form
for source in json.load(sys.stdin):
    print(json.dumps(normal_form(ast.parse(source)), sort_keys=True, default=repr))
"""
    sources = [DIFFICULT, *(path.read_text(encoding="utf-8") for path in SOURCES[::5])]
    ran = subprocess.run(
        [python, "-c", script], input=json.dumps(sources), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if "No module named" in ran.stderr or "command not found" in ran.stderr:
        pytest.skip(f"{python} does not start")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [form_of(source) for source in sources], f"{python} differs from {sys.version}"
