"""What a task says about itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["MAX_DESCRIPTION_CHARS", "Documentation", "extract_docstring", "shortened"]

MAX_DESCRIPTION_CHARS = 255
_MARK = "...(tr.)"


@dataclass
class Documentation:
    """The description of a task."""

    description: str


def extract_docstring(func: Callable[..., Any] | None) -> Documentation:
    """The function's docstring as a description, empty where there is none."""
    return Documentation(inspect.getdoc(func) or "" if func else "")


def shortened(description: str) -> str:
    """The description as Flyte stores it: at most 255 characters, marked where it was cut."""
    if len(description) <= MAX_DESCRIPTION_CHARS:
        return description
    return description[: MAX_DESCRIPTION_CHARS - len(_MARK)] + _MARK
