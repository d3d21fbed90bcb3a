"""What one code object says: the digest of its normal form, and the names by which it reaches beyond itself.

The tree is that of the source as `linecache` has it (cells and files alike). It is believed only when compiling it
again gives the very code object that runs: a module edited on disk and not reloaded, a rewritten tree (pytest's
assertions) or generated code has no trustworthy source, and counts by its bytecode, tagged with the Python it is for.

Forms are taken once per code object. The objects behind the names are looked up anew each time, see `references`.
"""

from __future__ import annotations
import __future__

import ast
import dis
import linecache
import sys
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import TypeAlias

from flyte_nb.engine.code.module_files import imported_names
from flyte_nb.engine.code.normal_form import function_form
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.parts import Part, integer, text

__all__ = ["Chain", "CodeForm", "form_of_code", "function_node"]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Chain: TypeAlias = tuple[str, ...]
"""A dotted name: `("helpers", "rates", "VAT")`."""

_FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_GLOBAL_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTE_LOADS = {"LOAD_ATTR", "LOAD_METHOD"}
_GLOBAL_STORES = {"STORE_GLOBAL", "DELETE_GLOBAL"}
_CELL_STORES = {"STORE_DEREF", "DELETE_DEREF"}


@dataclass(frozen=True, slots=True)
class CodeForm:
    """What a code object says and reaches, nested functions included.

    Attributes:
        digest: of the normal form.
        from_source: False when only the bytecode could be believed.
        size_bytes: length of the source, or of the bytecode.
        chains: the global names it loads with the attributes taken of them, sorted.
        annotations: the dotted names in annotations of parameters and results, sorted.
        imports: the modules it may import when it runs, relative ones with their dots, sorted.
        rebound: globals and free variables that it assigns or deletes.
        mutated: globals and free variables of which it assigns or deletes an item or attribute.
    """

    digest: bytes
    from_source: bool
    size_bytes: int
    chains: tuple[Chain, ...]
    annotations: tuple[Chain, ...]
    imports: tuple[str, ...]
    rebound: frozenset[str]
    mutated: frozenset[str]


_forms: dict[int, tuple[weakref.ref[CodeType], CodeForm]] = {}


def form_of_code(code: CodeType) -> CodeForm:
    """The form of a code object, from memory when it was asked for before."""
    key = id(code)
    known = _forms.get(key)
    if known is not None and known[0]() is code:
        return known[1]
    form = _form_from_source(code) or _form_from_bytecode(code)
    _forms[key] = (weakref.ref(code, lambda _: _forms.pop(key, None)), form)
    return form


# ---- From the source.


def _form_from_source(code: CodeType) -> CodeForm | None:
    node = function_node(code)
    if node is None:
        return None
    try:
        digest = hash_struct("Function", function_form(node))
    except RecursionError:  # an expression of hundreds of terms
        return None
    names = _names_used(code)
    return CodeForm(
        digest=digest,
        from_source=True,
        size_bytes=sum(len(line) for line in _lines(code)[node.lineno - 1 : node.end_lineno]),
        chains=tuple(sorted(set(_dotted(node, names.loaded)))),
        annotations=tuple(sorted(set(_annotation_chains(node)))),
        imports=tuple(sorted(set(imported_names(node)))),
        rebound=names.rebound,
        mutated=frozenset(name for name in _mutated(node) if name in names.loaded or name in code.co_freevars),
    )


def function_node(code: CodeType) -> Function | None:
    """The tree of the source that gives this code object, or None when there is none."""
    source = "".join(_lines(code))
    flags = code.co_flags & _FUTURES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # the user has seen them already
            warnings.simplefilter("ignore", DeprecationWarning)
            candidates = [
                (node, statement)
                for node, statement in _functions_by_line(source).get(code.co_firstlineno, ())
                if getattr(node, "name", "<lambda>") == code.co_name
            ]
            if not candidates:
                return None
            _, statement = candidates[0]
            if code not in _codes_of_statement(statement, flags) and code not in _codes_of_file(source, flags):
                return None
    except (SyntaxError, ValueError, RecursionError):  # the file is no longer Python, or was never
        return None
    nodes = [node for node, _ in candidates]
    if len(nodes) > 1:  # several lambdas on one line
        nodes = [node for node in nodes if _spans(node, code)]
    return nodes[0] if len(nodes) == 1 else None


def _lines(code: CodeType) -> list[str]:
    linecache.checkcache(code.co_filename)
    return linecache.getlines(code.co_filename)


@lru_cache(maxsize=32)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


@lru_cache(maxsize=32)
def _functions_by_line(source: str) -> dict[int, list[tuple[Function, ast.stmt]]]:
    """Every function by the line that its code object calls first, with the top-level statement around it."""
    functions: dict[int, list[tuple[Function, ast.stmt]]] = {}
    for statement in _parsed(source).body:
        for node in ast.walk(statement):
            if isinstance(node, Function):
                decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
                first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
                functions.setdefault(first, []).append((node, statement))
    return functions


# A cell is compiled statement by statement, a file as a whole; that makes a difference (a call of `np.mean` compiles to
# other bytecode where the compiler sees that `np` was imported).


@lru_cache(maxsize=256)
def _codes_of_statement(statement: ast.stmt, flags: int) -> list[CodeType]:
    return _compiled(ast.Module([statement], []), flags)


@lru_cache(maxsize=32)
def _codes_of_file(source: str, flags: int) -> list[CodeType]:
    return _compiled(_parsed(source), flags)


def _compiled(module: ast.Module, flags: int) -> list[CodeType]:
    code = compile(module, "<digest>", "exec", flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return list(_nested_codes(code))


def _nested_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested_codes(constant)


def _spans(node: Function, code: CodeType) -> bool:
    """True when everything that the code does stands in the body of this lambda."""
    if not isinstance(node, ast.Lambda):
        return False
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    return all(
        start <= (line, column) and (end_line, end_column) <= end
        for line, end_line, column, end_column in code.co_positions()
        if line is not None and column is not None and end_line is not None and end_column
    )


def _annotation_chains(function: Function) -> Iterator[Chain]:
    """The dotted names in annotations, which are evaluated elsewhere or never; those written as strings too."""
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield from _type_chains(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _type_chains(node.returns)


def _type_chains(annotation: ast.expr | None) -> Iterator[Chain]:
    if annotation is None:
        return
    yield from _dotted(annotation, None)
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                yield from _dotted(ast.parse(node.value, mode="eval"), None)
            except SyntaxError:  # a string in Literal or Annotated
                continue


def _dotted(tree: ast.AST, roots: frozenset[str] | None) -> Iterator[Chain]:
    """The longest dotted names in a tree, those that start at one of the roots (None: at any name)."""
    inner = set()
    for node in ast.walk(tree):  # breadth first: the outermost attribute of a chain comes before its inner ones
        if node in inner or not isinstance(node, ast.Attribute | ast.Name):
            continue
        attributes: list[str] = []
        value: ast.expr = node
        while isinstance(value, ast.Attribute):
            attributes.append(value.attr)
            value = value.value
            inner.add(value)
        if isinstance(value, ast.Name) and (roots is None or value.id in roots):
            yield (value.id, *reversed(attributes))


def _mutated(function: Function) -> Iterator[str]:
    """The names of which an item or attribute is assigned or deleted."""
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            value: ast.expr = node
            while isinstance(value, ast.Subscript | ast.Attribute):
                value = value.value
            if isinstance(value, ast.Name):
                yield value.id


# ---- From the bytecode.


@dataclass(frozen=True, slots=True)
class _Names:
    loaded: frozenset[str]
    rebound: frozenset[str]


def _names_used(code: CodeType) -> _Names:
    loaded, rebound = set(), set()
    for nested in _nested_codes(code):
        for instruction in dis.get_instructions(nested):
            name = instruction.argval
            if instruction.opname in _GLOBAL_LOADS:
                loaded.add(name)
            elif instruction.opname in _GLOBAL_STORES or (
                instruction.opname in _CELL_STORES and name in code.co_freevars
            ):
                rebound.add(name)
    return _Names(frozenset(loaded), frozenset(rebound))


def _form_from_bytecode(code: CodeType) -> CodeForm:
    names = _names_used(code)
    return CodeForm(
        digest=hash_struct("Bytecode", sys.implementation.cache_tag, _code_part(code)),
        from_source=False,
        size_bytes=len(code.co_code),
        chains=tuple(sorted(set(_loaded_chains(code)))),
        annotations=(),
        imports=tuple(sorted(_imported_names(code))),
        rebound=names.rebound,
        mutated=frozenset(),
    )


def _code_part(code: CodeType) -> Part:
    return [
        code.co_name,
        code.co_code,
        [_constant_part(constant) for constant in code.co_consts],
        list(code.co_names),
        [list(code.co_varnames), list(code.co_freevars), list(code.co_cellvars)],
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags],
        code.co_exceptiontable,
    ]


def _constant_part(value: object) -> Part:
    match value:
        case CodeType():
            return _code_part(value)
        case str():
            return text(value)
        case None | bool() | float() | bytes():
            return value
        case int():
            return integer(value)
        case tuple():
            return ["tuple", *(_constant_part(item) for item in value)]
        case frozenset():  # in no order that would outlive the process
            return ["frozenset", *sorted(hash_struct("", _constant_part(item)) for item in value)]
        case _:  # complex, slices, Ellipsis
            return [type(value).__name__, repr(value)]


def _loaded_chains(code: CodeType) -> Iterator[Chain]:
    for nested in _nested_codes(code):
        chain: list[str] = []
        for instruction in dis.get_instructions(nested):
            if chain and instruction.opname in _ATTRIBUTE_LOADS:
                chain.append(instruction.argval)
                continue
            if chain:
                yield tuple(chain)
            chain = [instruction.argval] if instruction.opname in _GLOBAL_LOADS else []


def _imported_names(code: CodeType) -> Iterator[str]:
    for nested in _nested_codes(code):
        module = ""
        for instruction in dis.get_instructions(nested):
            if instruction.opname == "IMPORT_NAME":
                module = instruction.argval
                if module:
                    yield module
            elif instruction.opname == "IMPORT_FROM" and module:
                yield f"{module}.{instruction.argval}"
