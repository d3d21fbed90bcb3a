"""Which notebook and cell run now, as far as the kernel was told."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import Any

__all__ = ["cell_id", "execution_id", "find_origin", "is_watched", "notebook_name"]

VS_CODE_NOTEBOOK = "__vsc_ipynb_file__"
"""Where VS Code leaves the notebook's path in the user's namespace."""


def find_origin() -> tuple[str, str] | None:
    """(notebook, cell) for the record of a run; None outside a kernel."""
    if kernel_shell() is None:
        return None
    return notebook_name(), cell_id()


def notebook_name() -> str:
    """File name of the notebook; empty when nobody told."""
    shell = kernel_shell()
    path = str(shell.user_ns.get(VS_CODE_NOTEBOOK, "")) if shell is not None else ""
    path = path or os.environ.get("JPY_SESSION_NAME", "")
    return PurePath(path).name


def is_watched() -> bool:
    """Whether there is likely a page: a kernel that nbclient or nbconvert started has none of these marks."""
    marks = ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD")
    return bool(notebook_name()) or any(mark in os.environ for mark in marks) or "google.colab" in sys.modules


def cell_id() -> str:
    """Id of the cell that runs now; of its execution where the front end sends no id."""
    request = current_request()
    return str(request.get("metadata", {}).get("cellId") or execution_id())


def execution_id() -> str:
    """Names the execution of the cell that runs now; empty outside a kernel."""
    return str(current_request().get("header", {}).get("msg_id", ""))


def current_request() -> dict[str, Any]:
    """The message that made the cell run."""
    shell = kernel_shell()
    parent = shell.get_parent() if shell is not None else None
    return parent or {}


def kernel_shell() -> Any:
    """The IPython shell, when it is a kernel's."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None
