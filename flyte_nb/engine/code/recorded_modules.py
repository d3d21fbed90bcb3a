"""Modules of the user's own as a recorded run had them, beside those of this process, which keeps its own.

Inside `modules.in_place()` an import gives the recorded module; elsewhere what this process has under the name.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

from flyte_nb.executors.worker.shipped_modules import ShippedModules

__all__ = ["RecordedModules", "places"]

places = threading.RLock()
"""Held while recorded modules are in place, and by who looks which modules this process has itself."""


class RecordedModules(ShippedModules):
    """Modules that are only there while recorded code is loaded.

    Args:
        modules: file and text by name; none where this process's own are the recorded ones.
    """

    def __init__(self, modules: Mapping[str, tuple[str, str]]) -> None:
        super().__init__()
        self.remember(modules)
        self._loaded: dict[str, ModuleType] = {}

    def add(self, modules: Mapping[str, tuple[str, str]]) -> None:
        """See `ShippedModules.add`: all are known, and other code goes on finding what it found."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, imports give the recorded modules; those of this process are put back then.

        Another thread that imports one of them at this very moment gets the recorded one; one that loads other recorded
        code waits.
        """
        names = self.names
        with places:
            present = {name: sys.modules.pop(name) for name in names if name in sys.modules}
            sys.modules.update(self._loaded)
            sys.meta_path.insert(0, self)
            try:
                yield
            finally:
                sys.meta_path.remove(self)
                self._loaded = {name: sys.modules.pop(name) for name in names if name in sys.modules}
                sys.modules.update(present)
