"""The normal form of a syntax tree: what the code says, and nothing of how it is written or which Python parsed it.

    ["Call", {"func": ["Name", {"id": "f"}], "args": [["Constant", 1]]}]

A node is its type and its fields by name. Left out: positions, comments (the parser drops them), docstrings and other
strings that stand as statements, contexts, type comments, and fields that are None or empty, so that a field which only
a later Python knows changes nothing until it is used. Sources that parse alike have equal normal forms on every Python.
"""

from __future__ import annotations

import ast

from flyte_nb.engine.parts import Part, integer, text

__all__ = ["function_form", "normal_form"]

_IGNORED_FIELDS = {"ctx", "kind", "type_comment"}


def function_form(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Part:
    """The normal form of a function without its decorators: what they made of it is what its name refers to."""
    return _node_form(node, _IGNORED_FIELDS | {"decorator_list"})


def normal_form(node: ast.AST) -> Part:
    """The normal form of any node, nested lists and dictionaries of plain data."""
    match node:
        case ast.Constant(value):
            return ["Constant", _constant_form(value)]
        case ast.JoinedStr(values):
            return ["JoinedStr", _joined_forms(values)]
        case _:
            return _node_form(node, _IGNORED_FIELDS)


def _node_form(node: ast.AST, ignored: set[str]) -> Part:
    fields = {name: _field_form(value) for name, value in ast.iter_fields(node) if name not in ignored}
    return [type(node).__name__, {name: form for name, form in fields.items() if form is not None and form != []}]


def _field_form(value: object) -> Part:
    if isinstance(value, ast.AST):
        return normal_form(value)
    if isinstance(value, list):
        return [_field_form(item) for item in value if not _is_docstring(item)]
    return _constant_form(value)


def _is_docstring(node: object) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _joined_forms(values: list[ast.expr]) -> list[Part]:
    """The parts of an f-string; where one literal ends and the next begins differs between Pythons."""
    forms: list[Part] = []
    literal = ""
    for value in values:
        match value:
            case ast.Constant(value=str(piece)):
                literal += piece
                continue
        if literal:
            forms.append(text(literal))
            literal = ""
        forms.append(normal_form(value))
    if literal:
        forms.append(text(literal))
    return forms


def _constant_form(value: object) -> Part:
    match value:
        case None | bool() | float() | bytes():
            return value
        case str():
            return text(value)
        case int():
            return integer(value)
        case complex():
            return ["complex", value.real, value.imag]
        case _ if value is ...:
            return ["Ellipsis"]
        case _:
            raise TypeError(f"a syntax tree holds no constants of type {type(value).__name__}")
