"""One task on its way to other processes, and that part of the notebook's namespace which it reaches.

    template --pickled--> names of its functions --their values pickled--> names of theirs ... -> Code

Pickling is the walk: what is reached is what a pickler meets. Each name crosses by itself, so that a worker replaces
only what has changed; tasks cross as references, classes by their tracker ids, installed packages by name, and
modules of the user's own are imported from their files.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import io
import linecache
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
from blake3 import blake3

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.code.digests import own_digest
from flyte_nb.engine.code.forms import form_of_code
from flyte_nb.engine.code.module_files import imported_files
from flyte_nb.engine.code.ownership import find_file, is_own_module
from flyte_nb.engine.tracebacks import place_of
from flyte_nb.executors.code_pickle import CodePickler, class_of, is_mirrored, namespace_of, settings_of
from flyte_nb.executors.frames import Code, Entry
from flyte_nb.executors.stand_ins import PlainFunction, fill_stand_in, make_stand_in
from flyte_nb.executors.worker.namespace import CLASSES, ShippedTask, whole
from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.classes import id_of_class

if TYPE_CHECKING:
    from flyte_nb.engine.code.shipping import Shipper

__all__ = ["Shipment"]

LARGE_BYTES = 10_000_000
"""A global of this size costs enough, at each run, to say so."""
KEPT_BYTES = 50_000_000
"""So much is kept with a run."""
NOT_SHIPPED = {"__builtins__", "__loader__", "__name__", "__spec__"}
_MISSING = object()

Place: TypeAlias = tuple[str, str]
"""Namespace and name."""


class Name(NamedTuple):
    """A name that a function reads."""

    namespace: str
    name: str
    value: Any
    reader: FunctionType


class Room:
    """How much may still be kept with a run."""

    def __init__(self) -> None:
        self._bytes = KEPT_BYTES

    def take(self, size_bytes: int) -> None:
        """Takes as much.

        Raises:
            OverflowError: there is not as much left.
        """
        self._bytes -= size_bytes
        self.check(0)

    def check(self, size_bytes: int) -> None:
        """Raises OverflowError if there is not as much left."""
        if size_bytes > self._bytes:
            raise OverflowError(f"with it the run's code takes more than {KEPT_BYTES / 1e6:.0f} MB")


class Shipment:
    """One task on its way: what has been reached so far.

    Args:
        shipper: knows the other tasks.
        template: the task.
        room: for what is kept with a run, modules of the user's own included; None for code on its way to a worker.

    Attributes:
        tasks: the tasks that it refers to.
    """

    def __init__(self, shipper: Shipper, template: TaskTemplate[Any, Any], room: Room | None = None) -> None:
        self.shipper = shipper
        self.tasks: list[TaskTemplate[Any, Any]] = []
        self._template = whole(template)
        self._room = room
        self._key = shipper.key_of(template)
        self._entries: dict[Place, tuple[str, bytes]] = {}
        self._reached: list[Name | type] = []
        self._visited: set[Place] = set()
        self._assigned: set[Place] = set()
        self._packages: list[Name] = []
        self._functions: dict[int, FunctionType] = {}
        self._modules: set[str] = set()
        self._submodules: dict[str, set[str]] = {}

    def code(self) -> Code:
        """All of it; what is needed to rebuild a value stands before it."""
        pickled = self._pickle(self._template, self._template, None)
        entered, self._entries = self._entries, {}
        for package in self._packages:  # by now it is known which of their modules are used
            self._enter((package.namespace, package.name), self._pickle(package.value, None, package))
        entries = [
            Entry(*place, digest, content, place in self._assigned)
            for place, (digest, content) in (self._entries | entered).items()
            if content or place not in self._assigned
        ]
        modules, texts = self._own_modules()
        template = msgspec.msgpack.encode(ShippedTask(self._key, texts, pickled))
        sources = self._sources() | {file: text for file, text in texts.values() if text}
        together = _digest(msgspec.msgpack.encode([(e.module, e.name, e.digest, e.assigned) for e in entries]))
        digest = _digest(msgspec.msgpack.encode([template, together, modules, sorted(sources)]))
        return Code(digest, template, entries, sources, modules, together)

    def reference(self) -> Code:
        """What other code needs to call it: its settings and interface, and the classes that these name."""
        pickled = self._pickle(self._template, None, None)
        entries = [Entry(*place, digest, content) for place, (digest, content) in self._entries.items()]
        return Code(_digest(pickled), pickled, entries, {}, {})

    # ---- The walk, depth first.

    def _pickle(self, value: Any, root: Any, name: Name | None) -> bytes:
        """A value as bytes; what it reaches is entered."""
        out = io.BytesIO() if self._room is None else Kept(self._room)
        pickler = Outgoing(out, self, root, self._room)
        outer, self._reached = self._reached, []
        try:
            pickler.dump(value)
        except Exception as error:  # a user's __reduce__ raises anything; raised again, with the name and the way out
            culprit = value if pickler.latest is None else pickler.latest
            raise TypeTransformerFailedError(self._refusal(value, name, culprit, error)) from None
        reached, self._reached = self._reached, outer
        for met in reached:
            self._visit(met)
        return out.getvalue()

    def _visit(self, met: Name | type) -> None:
        place = (met.namespace, met.name) if isinstance(met, Name) else (CLASSES, id_of_class(met))
        if place in self._visited:
            return
        self._visited.add(place)
        if not isinstance(met, Name):
            self._enter(place, self._pickle(met, met, None))
        elif met.value is _MISSING:
            self._entries[place] = "", b""
        elif isinstance(met.value, ModuleType):
            self._packages.append(met)
        else:
            pickled = self._pickle(met.value, None, met)
            self._enter(place, pickled)
            if len(pickled) > LARGE_BYTES and self._room is None:
                self._warn_of_size(met, len(pickled))

    def _enter(self, place: Place, pickled: bytes) -> None:
        self._entries[place] = _digest(pickled), pickled

    # ---- What the picklers meet.

    def reach_function(self, function: FunctionType, namespace: str) -> None:
        self._functions[id(function)] = function
        if not is_mirrored(namespace):
            self._modules.add(namespace)
            return
        form = form_of_code(function.__code__)
        names = function.__globals__
        if any(name.startswith(".") for name in form.imports):  # of a module that was started with `python -m`
            self._reached.append(Name(namespace, "__package__", names.get("__package__"), function))
        free = function.__code__.co_freevars
        self._assigned.update((namespace, name) for name in form.rebound if name not in free)
        for chain in form.chains:
            value = names.get(chain[0], _MISSING)
            if isinstance(value, ModuleType) and len(chain) > 1:
                self._reach_attributes(value, chain, function)
            if chain[0] not in NOT_SHIPPED and not (value is _MISSING and hasattr(builtins, chain[0])):
                self._reached.append(Name(namespace, chain[0], value, function))

    def _reach_attributes(self, module: ModuleType, chain: tuple[str, ...], reader: FunctionType) -> None:
        """What is used of a module: a name of one made by hand, or submodules that an import has to load."""
        namespace = namespace_of(vars(module))
        if is_mirrored(namespace):
            self._reached.append(Name(namespace, chain[1], vars(module).get(chain[1], _MISSING), reader))
            return
        dotted = module.__name__
        for attribute in chain[1:]:
            dotted = f"{dotted}.{attribute}"
            if dotted not in sys.modules:
                break
            self._submodules.setdefault(module.__name__, set()).add(dotted)

    def reach_class(self, cls: type) -> str:
        self._reached.append(cls)
        return id_of_class(cls)

    def reach_module(self, name: str) -> list[str]:
        self._modules.add(name)
        return sorted(self._submodules.get(name, ()))

    # ---- What else belongs to it.

    def _own_modules(self) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
        """Every module of the user's own that the worker will import.

        Returns:
            The digests by name, and file and text of those that it would not find, or not in this version.
        """
        used = self._modules.union(*(self._submodules.get(name, ()) for name in self._modules))
        found = dict(imported_files((name for name in used if is_own_module(name)), ""))
        for function in self._functions.values():
            imports = form_of_code(function.__code__).imports
            if imports:
                found.update(imported_files(imports, function.__globals__.get("__package__") or ""))
        digests, texts = {}, {}
        for name, file in sorted(found.items()):
            digests[name], text = self.shipper.modules.version(name, file)
            if text is not None or self.shipper.modules.is_hidden(name):
                texts[name] = str(sys.modules[name].__file__), text or ""
            elif self._room is not None and (path := find_file(name)) is not None:
                texts[name] = path, Path(path).read_text(encoding="utf-8", errors="replace")
        return digests, texts

    def _sources(self) -> dict[str, str]:
        """The text of cells, and of whatever else has no file that the worker could read."""
        sources = {}
        for file in {function.__code__.co_filename for function in self._functions.values()}:
            if (self._room is not None or not os.path.exists(file)) and (lines := linecache.getlines(file)):
                sources[file] = "".join(lines)
        return sources

    # ---- What is said of it.

    def _warn_of_size(self, name: Name, size_bytes: int) -> None:
        self.shipper.warn_once(
            name.namespace,
            name.name,
            f"`{name.name}` ({_described(name.value)}, {size_bytes / 1e6:,.0f} MB) is sent to every worker with the "
            f"code that reads it ({_place(name)}). Pass it as an input: that is shared, and sent once.",
        )

    def _refusal(self, value: Any, name: Name | None, culprit: Any, error: Exception) -> str:
        task = self._template.name
        if name is not None and _belongs_to_shell(value):
            return (
                f"`{name.name}` belongs to the notebook's shell, which no other process has; magics and !commands "
                f"need it (read in {_place(name)}). Use subprocess.run or sys.exit, or run the task in the kernel: "
                "isolation='kernel'."
            )
        if name is None:
            free = [variable for variable, content in _closure(self._template) if content is culprit]
            called = f"`{free[0]}`, " if free else ""
            what, where = f"{called}{_described(culprit)},", f" with task {task}, which holds it"
        else:
            holds = "" if culprit is value else f" that holds {_described(culprit)}"
            what, where = f"`{name.name}`, {_described(value)}{holds},", f" (read in {_place(name)})"
        if self._room is not None:
            return f"{what} cannot be kept{where}: {error}."
        return (
            f"{what} cannot be sent to another process{where}: {error}. "
            f"Create it inside task {task}, or run the task in the kernel: isolation='kernel'."
        )


class Kept(io.BytesIO):
    """Bytes that take room as they are written."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._room = room

    def write(self, data: Any) -> int:
        self._room.take(memoryview(data).nbytes)  # of an array, a PickleBuffer, which has no length
        return super().write(data)


class Outgoing(CodePickler):
    """Pickles for workers.

    Args:
        out: where it is written.
        shipment: hears what is reached.
        root: the task or class that crosses by value.
        room: how much may be written.
    """

    def __init__(self, out: io.BytesIO, shipment: Shipment, root: Any, room: Room | None) -> None:
        super().__init__(out, protocol=5)
        self.root = root
        self._shipment = shipment
        self._room = room

    def reducer_override(self, obj: Any) -> Any:
        if self._room is not None and hasattr(type(obj), "nbytes"):  # an array: known before it is copied
            self.latest = obj
            self._room.check(int(obj.nbytes))
        return super().reducer_override(obj)

    def refer_to_task(self, task: TaskTemplate[Any, Any]) -> Any:
        self._shipment.tasks.append(task)
        settings = settings_of(task)
        function = settings.pop("func", None)
        plain = None if function is None else msgspec.msgpack.encode(_plain(function))
        state = (self._shipment.shipper.key_of(task), settings, plain)
        return make_stand_in, (type(task),), state, None, None, fill_stand_in

    def refer_to_class(self, cls: type) -> Any:
        return class_of, (self._shipment.reach_class(cls),)

    def code_of_trace(self, function: TraceFunction[..., Any]) -> str:
        return own_digest(function)

    def reach_function(self, function: FunctionType, namespace: str) -> None:
        self._shipment.reach_function(function, namespace)

    def reach_module(self, name: str) -> Iterable[str]:
        return self._shipment.reach_module(name)


def _plain(function: Any) -> PlainFunction:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    doc = getattr(function, "__doc__", None)
    return PlainFunction(
        inspect.iscoroutinefunction(function), module or "", name or type(function).__name__, doc or None
    )


def _closure(template: TaskTemplate[Any, Any]) -> Iterator[tuple[str, Any]]:
    """What the function of a task has from the function around it."""
    function = getattr(template, "func", None)
    if isinstance(function, FunctionType):
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # not bound yet
                yield name, cell.cell_contents


def _digest(content: bytes) -> str:
    return blake3(content).hexdigest(length=16)


def _described(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return f"a {module}{kind.__qualname__}"


def _belongs_to_shell(value: Any) -> bool:
    """Whether it is what IPython itself puts into a notebook: get_ipython, exit, quit."""
    return type(getattr(value, "__self__", value)).__module__.startswith(("IPython.", "ipykernel."))


def _place(name: Name) -> str:
    """Where a name is read."""
    code = name.reader.__code__
    line = next(_lines_reading(code, name.name), code.co_firstlineno)
    return f"{name.reader.__qualname__}, {place_of(code.co_filename, line)}"


def _lines_reading(code: CodeType, name: str) -> Iterator[int]:
    for instruction in dis.get_instructions(code):
        line = instruction.positions.lineno if instruction.positions is not None else None
        if instruction.argval == name and line is not None:
            yield line
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines_reading(constant, name)
