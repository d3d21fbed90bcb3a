"""`import flyte` as this package: existing Flyte 2 code runs here unchanged.

    flyte_nb.install_as_flyte()          in a program, before anything imports flyte
    %load_ext flyte_nb.as_flyte          in a notebook
    flyte-nb run hello.py main           whose `import flyte` is this package without a word

The aliases are our modules: `sys.modules["flyte.io"] is flyte_nb.io`. They are made when they are imported. Workers and
recorded code find them, too.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["install_as_flyte", "is_installed", "load_ipython_extension", "offer_as_flyte", "unload_ipython_extension"]

OURS, FLYTES = "flyte_nb", "flyte"


class _Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `flyte` and `flyte.X` as this package and its modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != FLYTES and not fullname.startswith(f"{FLYTES}."):
            return None
        ours = OURS + fullname.removeprefix(FLYTES)
        if importlib.util.find_spec(ours) is None:
            said = f"No module named {fullname!r}: flyte_nb, which stands for flyte here, has none of that name"
            raise ModuleNotFoundError(said, name=fullname)
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(OURS + spec.name.removeprefix(FLYTES))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It is executed already; only its own spec, which the import has replaced, is put back."""
        module.__spec__ = module.__spec__.loader_state if module.__spec__ is not None else None


def install_as_flyte() -> None:
    """From now on `import flyte` and its submodules give this package's; idempotent.

    Raises:
        ImportError: another `flyte` is loaded already.
    """
    if is_installed():
        return
    loaded = sys.modules.get(FLYTES)
    if loaded is not None:
        raise ImportError(
            f"flyte is loaded already, from {getattr(loaded, '__file__', None) or 'elsewhere'}: flyte_nb cannot "
            "stand for it any more. Restart the kernel, and install the alias before anything imports flyte.",
            name=FLYTES,
        )
    offer_as_flyte()
    importlib.import_module(FLYTES)


def offer_as_flyte() -> None:
    """Has `import flyte` give this package as soon as anything imports it: the alias is installed from then on."""
    if not any(isinstance(finder, _Alias) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Alias())


def is_installed() -> bool:
    """Whether `flyte` is this package in this process."""
    return FLYTES in sys.modules and sys.modules[FLYTES] is sys.modules.get(OURS)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext flyte_nb.as_flyte`: installs the alias, and loads the extension `flyte_nb`.

    Raises:
        ImportError: another `flyte` is loaded already.
    """
    install_as_flyte()
    shell.extension_manager.load_extension(OURS)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext flyte_nb.as_flyte`: the alias stays, for modules have it by now; the extension goes."""
    shell.extension_manager.unload_extension(OURS)
