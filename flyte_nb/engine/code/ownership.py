"""Whose code it is: the user's own, digested by content, or installed, which counts by name.

Own are the notebook (`__main__`) and modules that lie neither in the standard library nor in a `site-packages` folder:
files beside the notebook, the project, packages installed in editable mode. flyte_nb itself is never the user's, and
neither is Flyte's SDK.
"""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

__all__ = ["find_file", "installed_name", "is_own_module", "own_source_file"]

_STANDARD_LIBRARY = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
_INSTALLED_FOLDERS = {"site-packages", "dist-packages"}
FLYTE = ("flyte_nb", "flyte")
"""This package, and its alias (`flyte_nb.as_flyte`) or Flyte's own SDK."""


def is_own_module(name: str) -> bool:
    """True when the loaded module of this name is the user's own; one that was made by hand is, too."""
    if name == "__main__":
        return True
    if _is_never_own(name):
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or _is_own_file(file)


def own_source_file(name: str) -> str | None:
    """The Python file of a module of the user's own, found without importing anything; None for others."""
    if _is_never_own(name):
        return None
    loaded = sys.modules.get(name)
    file = find_file(name) if loaded is None else getattr(loaded, "__file__", None)
    return file if file is not None and file.endswith(".py") and _is_own_file(file) else None


def installed_name(module: str | None, qualname: str) -> str:
    """How an installed object is called in a digest: by package, as packages move things between their modules."""
    package = (module or "builtins").partition(".")[0].lstrip("_")
    return f"{package}.{qualname}"


def _is_never_own(name: str) -> bool:
    package = name.partition(".")[0]
    return package in sys.stdlib_module_names or package in FLYTE


def find_file(name: str) -> str | None:
    """The file that an import by this name would load, found without importing anything."""
    path = None
    file = None
    for part in name.split("."):  # not by full names: a namespace package would look for its parent among the loaded
        spec = PathFinder.find_spec(part, path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
        file = spec.origin
    return file


@cache
def _is_own_file(file: str) -> bool:
    path = Path(file).resolve()
    return not _INSTALLED_FOLDERS.intersection(path.parts) and not any(
        path.is_relative_to(folder) for folder in _STANDARD_LIBRARY
    )
