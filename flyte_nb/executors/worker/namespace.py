"""The namespace of a worker: its `__main__` mirrors that part of the notebook's which its tasks reach.

    load(code)        the task; the names that its code reads are set to what the kernel has, where that is news
    reference(task)   how a call of a task is told to the kernel

All tasks of a worker share the namespace, and it lasts as long as the worker. What a task changes in it (a model
that it loads, a list it appends to) stays until the kernel's own value of that name changes.
"""

from __future__ import annotations

import builtins
import io
import linecache
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import msgspec
from blake3 import blake3

from flyte_nb.authoring.context import current_scope
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.errors import ModuleLoadError
from flyte_nb.executors.callee import callee_of
from flyte_nb.executors.code_pickle import (
    CodePickler,
    code_bytes,
    is_mirrored,
    loads,
    settings_of,
    template_of,
)
from flyte_nb.executors.frames import DEPLOYED, Code, Entry, TaskReference
from flyte_nb.executors.stand_ins import PlainFunction
from flyte_nb.executors.worker.shipped_modules import ShippedModules
from flyte_nb.types.classes import class_of_id
from flyte_nb.types.signature import Signature, signature_of

__all__ = [
    "CLASSES",
    "LoadedTask",
    "Namespace",
    "ShippedTask",
    "code_of_trace",
    "deployed",
    "deployed_version",
    "fetch",
    "is_worker",
    "load",
    "reference",
    "whole",
]

CLASSES = "<classes>"
"""Stands for the module of entries that are classes, named by their tracker ids."""

logger = logging.getLogger("flyte")


class ShippedTask(msgspec.Struct, array_like=True, frozen=True):
    """What `Code.template` holds.

    Attributes:
        key: under which the kernel knows the task.
        modules: those of the user's own that an import would not find, or not as they are: file and text (empty: as
            in the file) by name.
        template: the template, pickled.
    """

    key: str
    modules: dict[str, tuple[str, str]]
    template: bytes


_decode = msgspec.msgpack.Decoder(ShippedTask).decode


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A task, ready to be called in this process.

    Attributes:
        function: what is called when an attempt runs.
        is_async: whether that gives an awaitable.
    """

    function: Callable[..., Any]
    is_async: bool
    signature: Signature
    template: TaskTemplate[Any, Any]
    name: str


def _fetch_nowhere(key: str) -> Code:
    raise RuntimeError(f"no kernel to fetch the code of task {key} from")


fetch: Callable[[str], Code] = _fetch_nowhere
"""Asks the kernel for the code of a task that other code refers to; blocks. The worker sets it."""


class Namespace:
    """The names of shipped code.

    Args:
        modules: where `__main__` and other modules without a file are found and put; `sys.modules` by default.
    """

    def __init__(self, modules: MutableMapping[str, ModuleType] | None = None) -> None:
        self._modules = sys.modules if modules is None else modules
        self._modules["__main__"] = _empty_module("__main__")
        self.fetch: Callable[[str], Code] | None = None
        """Where the code of a task comes from; None asks the kernel."""
        self._lock = threading.RLock()
        self._own_modules = ShippedModules()
        self._known: set[str] = set()
        self._applied: dict[tuple[str, str], str] = {}
        self._applied_together = ""
        self._new_classes: dict[str, Entry] = {}
        self._classes: dict[str, type] = {}
        self._loaded: dict[bytes, LoadedTask] = {}
        self._tasks: dict[str, TaskTemplate[Any, Any]] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._fetched: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
        self._keys: weakref.WeakKeyDictionary[Callable[..., Any], str] = weakref.WeakKeyDictionary()

    # ---------------------------------------------------------------- code that arrives

    def load(self, code: Code) -> LoadedTask:
        """The task of shipped code; a cheap call when nothing has changed since the last.

        Raises:
            ModuleLoadError: when something in it cannot be rebuilt here.
        """
        with self._lock:
            if code.digest not in self._known:
                self._known.add(code.digest)
                self._own_modules.add(_decode(code.template).modules)
                for file, text in code.sources.items():
                    self.remember_source(file, text)
            loaded = self._loaded.get(code.template)
            if loaded is None or code.globals_digest != self._applied_together:
                with _said_in_the_kernel():
                    loaded = self._renew(code)
            return loaded

    def _renew(self, code: Code) -> LoadedTask:
        if code.globals_digest != self._applied_together:
            self._apply(code.entries)
            self._applied_together = code.globals_digest
        loaded = self._loaded.get(code.template)
        if loaded is None:
            loaded = self._loaded[code.template] = self._make(_decode(code.template))
        return loaded

    def _make(self, shipped: ShippedTask) -> LoadedTask:
        template: TaskTemplate[Any, Any] = self._rebuilt(shipped.template, "the task")
        self._remember(template, shipped.key)
        if plain := getattr(template, "func", None):
            self._functions[shipped.key] = plain
            with suppress(TypeError):  # a callable object that cannot be a key
                self._keys[plain] = shipped.key
        self.remember_loaded(template, shipped.key)
        function, is_async = callee_of(template)
        return LoadedTask(function, is_async, signature_of(template), template, template.name)

    def remember_source(self, file: str, text: str) -> None:
        """Has tracebacks and `inspect` find the text of a file."""
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file

    def remember_loaded(self, task: TaskTemplate[Any, Any], key: str) -> None:
        """Told of each task that has been loaded with its code."""

    def _apply(self, entries: Iterable[Entry]) -> None:
        """Sets the names that have changed in the kernel since they were last set from there."""
        changed = [entry for entry in entries if self._applied.get((entry.module, entry.name)) != entry.digest]
        self._new_classes = {entry.name: entry for entry in changed if entry.module == CLASSES}
        for entry in changed:
            if entry.module == CLASSES:
                self.class_of(entry.name)
            else:
                self._apply_global(entry)

    def _apply_global(self, entry: Entry) -> None:
        place = entry.module, entry.name
        names = self.globals_of(entry.module)
        if not entry.pickled:
            names.pop(entry.name, None)
        elif not (entry.assigned and place not in self._applied and entry.name in names):
            names[entry.name] = self._rebuilt(entry.pickled, f"`{entry.name}`")
        self._applied[place] = entry.digest

    def _rebuilt(self, pickled: bytes, what: str) -> Any:
        try:
            return loads(pickled, self)
        except Exception as error:  # whatever a user's class or module raises while it is rebuilt
            raise ModuleLoadError(f"{what} cannot be rebuilt in this process: {error!r}") from error

    # ---------------------------------------------------------------- what pickles find, see `Surroundings`

    def module_of(self, namespace: str) -> ModuleType:
        module = self._modules.get(namespace)
        if module is None:
            name, detached, _ = namespace.partition("@")
            module = self._modules[namespace] = _empty_module(name) if detached else import_module(name)
        return module

    def globals_of(self, namespace: str) -> dict[str, Any]:
        return vars(self.module_of(namespace))

    def class_of(self, tracker_id: str) -> type:
        entry = self._new_classes.pop(tracker_id, None)
        if entry is not None:
            self._classes[tracker_id] = self._rebuilt(entry.pickled, "a class")
            self._applied[CLASSES, tracker_id] = entry.digest
        known = class_of_id(tracker_id)  # while it is being rebuilt it refers to itself
        return self._classes[tracker_id] if known is None else known

    def template_of(self, key: str, changes: bytes) -> TaskTemplate[Any, Any]:
        return self._tasks[key]

    # ---------------------------------------------------------------- tasks that code refers to

    def stand_in(self, task: TaskTemplate[Any, Any], key: str, plain: PlainFunction | None) -> None:
        """Completes a task that crossed without its function: that is fetched when it is called."""
        self._remember(task, key)
        if plain is not None:
            function = vars(task)["func"] = self._stand_in_function(key, plain)
            self._keys[function] = key

    def _stand_in_function(self, key: str, plain: PlainFunction) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            return self._function(key)(*args, **kwargs)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return await self._function(key)(*args, **kwargs)

        stand_in = coroutine if plain.is_coroutine else function
        stand_in.__module__, stand_in.__qualname__, stand_in.__doc__ = plain.module, plain.qualname, plain.doc
        stand_in.__name__ = plain.qualname.rpartition(".")[2]
        return stand_in

    def _function(self, key: str) -> Callable[..., Any]:
        """The plain function of a task that the kernel knows, as it was there when the running attempt first asked."""
        scope = current_scope.get()
        fetched = set() if scope is None else self._fetched.setdefault(scope.attempt, set())
        if key not in fetched:
            self.load((self.fetch or fetch)(key))
            fetched.add(key)
        return self._functions[key]

    def whole(self, task: TaskTemplate[Any, Any]) -> TaskTemplate[Any, Any]:
        """The task with its own function, where it has crossed without; others as they are. May block."""
        function: Any = getattr(task, "func", None)
        key = self._key_of_function(function)
        if key is None or self._functions.get(key) is function:
            return task
        whole: TaskTemplate[Any, Any] = object.__new__(type(task))
        vars(whole).update(settings_of(task), func=self._function(key), parent_env=task.parent_env)
        return whole

    def _key_of_function(self, function: Any) -> str | None:
        try:
            return self._keys.get(function)
        except TypeError:  # a callable object that cannot be a key
            return None

    def _remember(self, task: TaskTemplate[Any, Any], key: str) -> None:
        self._tasks[key] = task
        vars(task)["_reference"] = TaskReference(key)

    def deployed(self, name: str, version: str) -> TaskTemplate[Any, Any]:
        """A deployed task without its code, for its calls; empty for the latest version. May block."""
        code = (self.fetch or fetch)(f"{DEPLOYED}{name}@{version}")
        with self._lock:
            self._new_classes.update({entry.name: entry for entry in code.entries if entry.module == CLASSES})
            task: TaskTemplate[Any, Any] = self._rebuilt(code.template, f"deployed task {name}")
            return task

    def deployed_version(self, name: str) -> str:
        """The version of a deployed task that is the latest throughout the run, empty where it has none. May block."""
        return (self.fetch or fetch)(f"{DEPLOYED}{name}@").version

    # ---------------------------------------------------------------- calls that leave

    def reference(self, task: TaskTemplate[Any, Any]) -> TaskReference:
        """How the kernel is told which task is called: by key, or by value if it was made here."""
        known: TaskReference | None = vars(task).get("_reference")
        if known is None:
            origin = self._origin(task)
            known = TaskReference("", Reply.dumps(task, self, task)) if origin is None else self._changed(task, *origin)
            vars(task)["_reference"] = known
        return known

    def is_known(self, task: TaskTemplate[Any, Any]) -> bool:
        """Whether the kernel knows the task, or one of which it is an override."""
        return bool(vars(task).get("_reference", TaskReference("")).key) or self._origin(task) is not None

    def _origin(self, task: TaskTemplate[Any, Any]) -> tuple[str, TaskTemplate[Any, Any]] | None:
        """The task that this one is, but for its settings: its key, and itself as the kernel has it."""
        function: Any = getattr(task, "func", None)
        key = self._key_of_function(function)
        if key is not None:
            return key, self._tasks[key]
        module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, TaskTemplate) and getattr(found, "func", None) is function and not is_mirrored(module):
            return f"{module}:{name}", found
        return None

    def _changed(self, task: TaskTemplate[Any, Any], key: str, origin: TaskTemplate[Any, Any]) -> TaskReference:
        """A task as the change of another's settings, as `override` makes it."""
        before = settings_of(origin)
        changes = {
            name: value
            for name, value in settings_of(task).items()
            if name != "func" and not (name in before and _is_same(value, before[name]))
        }
        kind = None if type(task) is type(origin) else type(task)
        if kind is None and not changes:
            return TaskReference(key)
        return TaskReference(key, Reply.dumps((kind, changes), self))


class Reply(CodePickler):
    """Pickles what was made in a worker for the kernel.

    Args:
        out: where it is written.
        namespace: of the worker.
        root: a task that crosses by value.
    """

    def __init__(self, out: io.BytesIO, namespace: Namespace, root: Any = None) -> None:
        super().__init__(out, protocol=5)
        self.root = root
        self._namespace = namespace

    def refer_to_task(self, task: TaskTemplate[Any, Any]) -> Any:
        reference = self._namespace.reference(task) if self._namespace.is_known(task) else None
        return self.by_value(task) if reference is None else (template_of, (reference.key, reference.changes))

    def code_of_trace(self, function: TraceFunction[..., Any]) -> str:
        return code_of_trace(function)


def code_of_trace(function: TraceFunction[..., Any]) -> str:
    """What names the code of a traced function in records.

    Returns:
        The digest that the kernel attached, `module:name` of one that was imported here, else a digest of the bytecode.
    """
    known: str | None = vars(function).get("_code")
    if known is not None:
        return known
    module = getattr(function, "__module__", "")
    name = getattr(function, "__qualname__", "")
    if not is_mirrored(module) and getattr(sys.modules.get(module), name, None) is function:
        return f"{module}:{name}"
    code = getattr(function.func, "__code__", None)
    return blake3(code_bytes(code) if code is not None else name.encode()).hexdigest(length=16)


def _empty_module(name: str) -> ModuleType:
    module = ModuleType(name)
    vars(module)["__builtins__"] = builtins  # as the interpreter has it; extension modules look there
    return module


@contextmanager
def _said_in_the_kernel() -> Iterator[None]:
    """What declarations warn of when they are made again here, by an import, was said where they were made first."""
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # whatever a user's __eq__ raises: then they count as different
        return False


# ---------------------------------------------------------------- the namespace of this process

_namespace: Namespace | None = None


def _own() -> Namespace:
    global _namespace
    if _namespace is None:
        _namespace = Namespace()
    return _namespace


def is_worker() -> bool:
    """Whether this process has been sent code to run."""
    return _namespace is not None


def load(code: Code) -> LoadedTask:
    """The task of shipped code in the namespace of this process, see `Namespace.load`."""
    return _own().load(code)


def reference(task: TaskTemplate[Any, Any]) -> TaskReference:
    """How a call of a task is told to the kernel, see `Namespace.reference`."""
    return _own().reference(task)


def whole(task: TaskTemplate[Any, Any]) -> TaskTemplate[Any, Any]:
    """The task with its own function, for a run that a task starts in this process, see `Namespace.whole`."""
    return task if _namespace is None else _namespace.whole(task)


def deployed_version(name: str) -> str:
    """The version of a deployed task that is the latest throughout the run, see `Namespace.deployed_version`."""
    return _own().deployed_version(name)


def deployed(name: str, version: str) -> TaskTemplate[Any, Any]:
    """A deployed task as the code of this process calls it, see `Namespace.deployed`."""
    return _own().deployed(name, version)
