"""For those who make kinds of tasks of their own: the classes to derive from, and the registry of plugins."""

from __future__ import annotations

import importlib
from typing import Any

from flyte_nb.authoring.image import Architecture
from flyte_nb.authoring.plugins import TaskPluginRegistry
from flyte_nb.authoring.pod_template import PRIMARY_CONTAINER_DEFAULT_NAME
from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, RuntimeTaskTemplate, TaskTemplate

__all__ = [
    "PRIMARY_CONTAINER_DEFAULT_NAME",
    "Architecture",
    "AsyncFunctionTaskTemplate",
    "RuntimeTaskTemplate",
    "TaskPluginRegistry",
    "TaskTemplate",
    "lazy_module",
]


class _LazyModule:
    """A module that is imported when it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)

    def __repr__(self) -> str:
        return f"<lazy module {self._name}>"


def lazy_module(fullname: str) -> Any:
    """A module that is imported when it is first used.

    Args:
        fullname: of the module; an optional one need not be installed until then.
    """
    return _LazyModule(fullname)
