"""The Python that workers run in: the kernel's own, or that of a virtual environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flyte_nb.executors.frames import WorkerSettings
from flyte_nb.executors.processes.entrance import BOOTSTRAP, Opening, encode_opening
from flyte_nb.executors.processes.offspring import MARK

__all__ = ["Interpreter"]

OF_THE_KERNELS_PYTHON = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")
"""Environment variables that would lead another interpreter to the kernel's packages."""


class Interpreter:
    """How to start a Python, and what to tell a worker in it.

    Args:
        path: of the Python; None is the kernel's own.
        support: a folder put first on its `sys.path`.
        variables: its environment; None is the kernel's as it is when something starts.
    """

    def __init__(self, path: str | None = None, support: str = "", variables: Mapping[str, str] | None = None) -> None:
        self.is_own = path is None
        self._variables = os.environ if variables is None else variables
        self._path = path or sys.executable
        self._support = support

    def environment(self) -> dict[str, str]:
        """The environment as it is now, without what does not hold for this Python."""
        return {
            name: value for name, value in self._variables.items() if self.is_own or name not in OF_THE_KERNELS_PYTHON
        }

    def run(
        self, module: str, order: Mapping[str, Any], environment: Mapping[str, str], outputs: Sequence[int], stdin: int
    ) -> subprocess.Popen[bytes]:
        """Starts it, in a session of its own.

        Args:
            module: of `flyte_nb.executors`; its `main` takes the order.
            order: as JSON can say it; `socket` is a file descriptor to pass on.
            environment: its environment variables.
            outputs: file descriptors for its standard output and its standard error.
            stdin: as `subprocess` takes it.

        Raises:
            OSError: it does not start.
        """
        options = subprocess._args_from_interpreter_flags() if self.is_own else []  # type: ignore[attr-defined]
        text = json.dumps({**self._path_around(), **order})
        return subprocess.Popen(
            [self._path, *options, "-c", BOOTSTRAP.format(module=module), text],
            env=environment,
            stdin=stdin,
            stdout=outputs[0],
            stderr=outputs[1],
            pass_fds=[order["socket"]],
            start_new_session=True,
        )

    def _path_around(self) -> dict[str, list[str]]:
        """What goes before and after its own `sys.path`, so that it finds flyte_nb and what the kernel finds."""
        first = [self._support] if self._support else []
        if not self.is_own:
            return {"first": first, "last": []}
        home = str(Path(__file__).resolve().parents[3])
        return {"first": first, "last": [home, *(folder for folder in sys.path if folder)]}

    def modules(self, names: list[str]) -> list[tuple[str, str]]:
        """Modules to import early, each with the file that the kernel has it from, if that counts here."""
        if not self.is_own:
            return [(name, "") for name in names]
        loaded = {name: sys.modules[name].__file__ for name in names if name in sys.modules}
        return [(name, file) for name, file in loaded.items() if file]

    def opening(self, settings: WorkerSettings, inherited: dict[str, str] | None = None) -> bytes:
        """The first frame for a worker.

        Args:
            settings: its settings.
            inherited: the environment that it starts with, if that is not the kernel's.
        """
        changes = [] if inherited is None else _changes(inherited, {**self.environment(), MARK: inherited[MARK]})
        if not self.is_own:
            settings = msgspec.structs.replace(settings, path=[folder for folder in settings.path if _is_users(folder)])
        return encode_opening(Opening(changes, settings, adds_path=not self.is_own))


def _changes(inherited: dict[str, str], wanted: dict[str, str]) -> list[tuple[bytes, bytes | None]]:
    """What makes one environment into another."""
    changed = [(name, value) for name, value in wanted.items() if inherited.get(name) != value]
    removed = [(name, None) for name in inherited if name not in wanted]
    return [(os.fsencode(name), None if value is None else os.fsencode(value)) for name, value in [*changed, *removed]]


def _is_users(folder: str) -> bool:
    """Whether a folder of the kernel's `sys.path` holds the user's own modules, not installed ones."""
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    parts = Path(folder).parts
    if "site-packages" in parts or "dist-packages" in parts or folder.endswith(".zip"):
        return False
    return not any(folder == path or folder.startswith(path + os.sep) for path in library)
