"""Modules of the user's own that a worker would not find, or would find in another version than the kernel runs.

The worker imports them like any other module; a finder that stands before the others knows their files and texts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType

__all__ = ["ShippedModules"]


class ShippedModules(MetaPathFinder):
    """Finds modules by what the kernel said of them."""

    def __init__(self) -> None:
        self._modules: dict[str, tuple[str, str]] = {}
        self._packages: set[str] = set()
        """Those around the modules."""

    def add(self, modules: Mapping[str, tuple[str, str]]) -> None:
        """Has further modules found.

        Args:
            modules: file and text (empty: as in the file) by name.
        """
        if modules and self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        self.remember(modules)

    def remember(self, modules: Mapping[str, tuple[str, str]]) -> None:
        """Knows further modules, see `add`."""
        self._modules.update(modules)
        self._packages.update(package for name in modules for package in _packages_around(name))

    @property
    def names(self) -> set[str]:
        """Of the modules, and of the packages around them."""
        return self._packages | set(self._modules)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return self._package(fullname, path) if fullname in self._packages else None
        file, text = self._modules[fullname]
        loader = TextLoader(fullname, file, text) if text else SourceFileLoader(fullname, file)
        return spec_from_file_location(fullname, file, loader=loader)

    def _package(self, name: str, path: Sequence[str] | None) -> ModuleSpec:
        """A package without a file of its own, whose folder may be gone."""
        return PathFinder.find_spec(name, path) or ModuleSpec(name, None, is_package=True)


class TextLoader(SourceFileLoader):
    """Loads a module from a text that its file has had."""

    def __init__(self, name: str, file: str, text: str) -> None:
        super().__init__(name, file)
        self._text = text.encode()

    def get_data(self, path: str) -> bytes:
        return self._text

    def path_stats(self, path: str) -> Mapping[str, object]:
        raise OSError(f"{path} has another text by now")  # so no bytecode is read or written


def _packages_around(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name
