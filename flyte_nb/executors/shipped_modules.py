"""Modules of the user's own that a worker would not find, or would find in another version than the kernel runs.

The worker imports them like any other module; a finder that stands before the others knows their files and texts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType

__all__ = ["ShippedModules"]


class ShippedModules(MetaPathFinder):
    """Finds modules by what the kernel said of them."""

    def __init__(self) -> None:
        self._modules: dict[str, tuple[str, str]] = {}

    def add(self, modules: Mapping[str, tuple[str, str]]) -> None:
        """Has further modules found.

        Args:
            modules: file and text (empty: as in the file) by name.
        """
        if modules and self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        self._modules.update(modules)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        file, text = self._modules[fullname]
        loader = TextLoader(fullname, file, text) if text else SourceFileLoader(fullname, file)
        return spec_from_file_location(fullname, file, loader=loader)


class TextLoader(SourceFileLoader):
    """Loads a module from a text that its file has had."""

    def __init__(self, name: str, file: str, text: str) -> None:
        super().__init__(name, file)
        self._text = text.encode()

    def get_data(self, path: str) -> bytes:
        return self._text

    def path_stats(self, path: str) -> Mapping[str, object]:
        raise OSError(f"{path} has another text by now")  # so no bytecode is read or written
