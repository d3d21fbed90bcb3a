"""The user's own modules as this process has loaded them, which may not be what their files say now.

A worker imports them from their files. Where a file was edited after its module was imported (and nobody reloaded it),
the text that was loaded goes along instead, so that a worker runs what the kernel runs.
"""

from __future__ import annotations

import ast
import logging
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from flyte_nb.engine.code.module_files import ModuleFile
from flyte_nb.engine.code.ownership import find_file

__all__ = ["LoadedModules"]

logger = logging.getLogger("flyte")


class Version(NamedTuple):
    """A module at the time when it was first seen after it was loaded.

    Attributes:
        spec: another object once the module is reloaded.
    """

    spec: Any
    digest: str
    text: str


class LoadedModules:
    """Versions of loaded modules."""

    def __init__(self) -> None:
        self._versions: dict[str, Version] = {}
        self._hidden: dict[tuple[str, str], bool] = {}

    def version(self, name: str, file: ModuleFile) -> tuple[str, str | None]:
        """What is loaded under a name.

        Args:
            name: of the module.
            file: as it stands on disk.

        Returns:
            The digest, and the text where it is not the file's.
        """
        digest = file.digest.hex()
        module = sys.modules.get(name)
        if module is None:  # it will be imported by whoever runs the code
            return digest, None
        known = self._versions.get(name)
        if known is not None and known.spec is module.__spec__ and known.digest != digest:
            text = _read(module)
            if not (_has_functions_of(text, module) and _has_constants_of(text, module)):
                return known.digest, known.text
            known = None  # it was changed in place, as %autoreload does
        if known is None or known.spec is not module.__spec__:
            self._versions[name] = _seen(module, digest)
        return digest, None

    def is_hidden(self, name: str) -> bool:
        """Whether a loaded module's file is not where an import by that name would look."""
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file is None:
            return False
        hidden = self._hidden.get((name, file))
        if hidden is None:
            found = find_file(name)
            hidden = self._hidden[name, file] = found is None or Path(found).resolve() != Path(file).resolve()
        return hidden


def _seen(module: ModuleType, digest: str) -> Version:
    text = _read(module)
    if type(getattr(module.__spec__, "loader", None)) is SourceFileLoader and not _has_functions_of(text, module):
        logger.warning(
            "Module %s was edited after it was imported: workers run the file as it stands now, the kernel does not. "
            "Reload it, or use %%autoreload.",
            module.__name__,
        )
    return Version(module.__spec__, digest, text)


def _read(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8", errors="replace")


def _has_functions_of(text: str, module: ModuleType) -> bool:
    try:
        codes = set(_nested(compile(text, "<module>", "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return False
    functions = [value for value in vars(module).values() if isinstance(value, FunctionType)]
    loaded = [one.__code__ for one in functions if one.__module__ == module.__name__]
    # A decorator's wrapper (of contextlib, functools) says that it is of this module; its code is of another file.
    return codes.issuperset(code for code in loaded if code.co_filename == module.__file__)


def _has_constants_of(text: str, module: ModuleType) -> bool:
    constants = {
        target.id: statement.value.value
        for statement in ast.parse(text).body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return all(vars(module).get(name) == value for name, value in constants.items())


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
