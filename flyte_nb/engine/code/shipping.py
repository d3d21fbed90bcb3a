"""Code that leaves the kernel for workers, and tasks that come back from there as references.

    ship(template)       -> Code            the task, and that part of the notebook's namespace which it reaches
    template(reference)  -> TaskTemplate    the task that a worker calls

The worker's side is `flyte_nb.executors.worker.namespace`.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections import OrderedDict, deque
from contextlib import suppress
from importlib import import_module
from itertools import count
from secrets import token_hex
from types import ModuleType
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.code.loaded_modules import LoadedModules
from flyte_nb.engine.code.shipment import Shipment
from flyte_nb.errors import RuntimeSystemError
from flyte_nb.executors.code_pickle import known_globals, loads, settings_of
from flyte_nb.executors.frames import Code, TaskReference

__all__ = ["Shipper"]

logger = logging.getLogger("flyte")

CHANGED_TASKS = 1_000
"""So many tasks that workers made or changed are remembered."""
SHIPPED_TASKS = 10_000
"""So many tasks stay callable from workers, whatever becomes of them here (a cell declares them anew, say)."""


class Shipper:
    """Ships the tasks of a session, and knows them again when workers call them."""

    def __init__(self) -> None:
        self.modules = LoadedModules()
        self._keys: weakref.WeakKeyDictionary[TaskTemplate[Any, Any], str] = weakref.WeakKeyDictionary()
        self._templates: weakref.WeakValueDictionary[str, TaskTemplate[Any, Any]] = weakref.WeakValueDictionary()
        self._latest: deque[TaskTemplate[Any, Any]] = deque(maxlen=SHIPPED_TASKS)
        self._session = token_hex(4)
        """Keys of other kernels, kept with their runs, are other keys."""
        self._numbers = count()
        self._changed: OrderedDict[TaskReference, TaskTemplate[Any, Any]] = OrderedDict()
        self._warned: set[tuple[str, str]] = set()

    def ship(self, template: TaskTemplate[Any, Any]) -> Code:
        """A task for other processes, as it and all that it reaches stand now.

        Raises:
            TypeTransformerFailedError: something that it reaches cannot leave this process; says what and where.
        """
        return Shipment(self, template).code()

    def template(self, reference: TaskReference) -> TaskTemplate[Any, Any]:
        """The task that a worker calls; for equal references the same object.

        Raises:
            RuntimeSystemError: it is not known here.
        """
        if reference.key and not reference.changes:
            return self._known(reference.key)
        template = self._changed.get(reference)
        if template is None:
            template = self._changed[reference] = self._change(reference)
            if len(self._changed) > CHANGED_TASKS:
                self._changed.popitem(last=False)
        else:
            self._changed.move_to_end(reference)
        return template

    def key_of(self, template: TaskTemplate[Any, Any]) -> str:
        """What workers call a task by."""
        key = self._keys.get(template)
        if key is None:
            key = self._keys[template] = f"{template.name}#{self._session}.{next(self._numbers)}"
            self._templates[key] = template
            self._latest.append(template)
        return key

    def adopt(self, key: str, template: TaskTemplate[Any, Any]) -> None:
        """Knows a task by the key that another kernel gave it."""
        self._keys[template] = key
        self._templates[key] = template
        self._latest.append(template)

    def warn_once(self, module: str, name: str, text: str) -> None:
        """Says something about a name, the first time."""
        if (module, name) not in self._warned:
            self._warned.add((module, name))
            logger.warning(text)

    def _known(self, key: str) -> TaskTemplate[Any, Any]:
        found: Any = self._templates.get(key)
        if found is None and ":" in key:  # the worker imported it
            module, _, name = key.partition(":")
            with suppress(ImportError):
                found = getattr(import_module(module), name, None)
        if not isinstance(found, TaskTemplate):
            raise RuntimeSystemError("TaskNotFound", f"a worker called task {key}, which this kernel does not know")
        return found

    def _change(self, reference: TaskReference) -> TaskTemplate[Any, Any]:
        content = loads(reference.changes, self)
        if not reference.key:
            made: TaskTemplate[Any, Any] = content
            return made
        kind, changes = content
        origin = self._known(reference.key)
        changed: TaskTemplate[Any, Any] = object.__new__(kind or type(origin))
        vars(changed).update(settings_of(origin), parent_env=origin.parent_env)
        vars(changed).update(changes)
        return changed

    # ---- What pickles from workers find, see `Surroundings`.

    def module_of(self, namespace: str) -> ModuleType:
        return sys.modules[self.globals_of(namespace)["__name__"]]

    def globals_of(self, namespace: str) -> dict[str, Any]:
        return known_globals(namespace)

    def class_of(self, tracker_id: str) -> type:
        # No pickle of a worker asks for one: its classes come by value. A damaged one would.
        raise RuntimeSystemError("ClassNotFound", f"a worker referred to class {tracker_id}, which it must send")

    def template_of(self, key: str, changes: bytes) -> TaskTemplate[Any, Any]:
        return self.template(TaskReference(key, changes))
