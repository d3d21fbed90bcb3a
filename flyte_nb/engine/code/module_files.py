"""Modules of the user's own that a function imports when it runs: digested as files, with all that they import in turn.

They may not be loaded yet, and to load them would run code, so they count by their source. (A module imported at the
top of a file or in a cell is loaded, and what a function uses of it counts by the live object, see `references`.)
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flyte_nb.engine.code.normal_form import normal_form
from flyte_nb.engine.code.ownership import own_source_file
from flyte_nb.engine.hashing import hash_struct

__all__ = ["ModuleFile", "imported_files", "imported_names"]


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """One file as it stands on disk.

    Attributes:
        digest: of the normal form of the whole file (of its bytes when it is not Python).
        imports: every name that it may import, relative ones with their dots.
    """

    digest: bytes
    imports: frozenset[str]
    size_bytes: int


_files: dict[str, tuple[tuple[int, int], ModuleFile]] = {}


def imported_files(names: Iterable[str], package: str) -> dict[str, ModuleFile]:
    """The files of the user's own behind imports, transitively, by module name.

    Args:
        names: imported names as `imported_names` gives them.
        package: where relative names start.
    """
    found: dict[str, ModuleFile] = {}
    pending = [(name, package) for name in names]
    while pending:
        name, package = pending.pop()
        try:
            name = importlib.util.resolve_name(name, package)
        except ImportError:  # beyond the top-level package: the import itself will say so
            continue
        path = None if name in found else own_source_file(name)
        if path is not None and os.path.exists(path):  # a module that was loaded may have no file any more
            file = found[name] = _read(path)
            inner = name if Path(path).name == "__init__.py" else name.rpartition(".")[0]
            pending.extend((imported, inner) for imported in file.imports)
    return found


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every module that a tree imports; of `from a import b` both `a` and `a.b`, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from _with_parents(base)
            for alias in node.names:
                yield f"{base}.{alias.name}" if node.module else f"{base}{alias.name}"


def _with_parents(name: str) -> Iterator[str]:
    """A dotted name and the packages whose `__init__` an import of it runs."""
    stem = name.lstrip(".")
    dots = name[: len(name) - len(stem)]
    parts = stem.split(".") if stem else []
    for depth in range(1, len(parts) + 1):
        yield dots + ".".join(parts[:depth])


def _read(path: str) -> ModuleFile:
    stat = os.stat(path)
    signature = (stat.st_mtime_ns, stat.st_size)
    known = _files.get(path)
    if known is not None and known[0] == signature:
        return known[1]
    source = Path(path).read_bytes()
    try:
        tree = ast.parse(source)
        file = ModuleFile(hash_struct("Module", normal_form(tree)), frozenset(imported_names(tree)), len(source))
    except (SyntaxError, ValueError):
        file = ModuleFile(hash_struct("File", source), frozenset(), len(source))
    _files[path] = (signature, file)
    return file
