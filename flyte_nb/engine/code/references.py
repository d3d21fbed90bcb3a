"""All that a function reaches: the code and the values behind its names, and behind theirs.

    function -> code form, defaults, closure, global names, imports      followed
    class    -> bases, annotations, body, see `classes`                  followed
    module   -> every name in it, where it is used without an attribute  followed
    trace    -> its function                                             followed
    task     -> name and interface; with `follow_tasks` its function     followed
    value    -> see `values`

Functions, classes and modules are numbered as they are met, so that recursion ends and equal reach gives equal parts.
Values wait until all code is known: only then it is known which of them the code itself assigns. Those count by name
(and type, if they are changed in place), for their content is a matter of when one looks.
"""

from __future__ import annotations

import builtins
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias

from flyte_nb.authoring.environment import Environment
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.code.classes import class_items
from flyte_nb.engine.code.forms import Chain, form_of_code
from flyte_nb.engine.code.module_files import imported_files
from flyte_nb.engine.code.objects import code_part, is_own_function
from flyte_nb.engine.code.ownership import installed_name, is_own_module
from flyte_nb.engine.code.values import ValueEncoder, type_name
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.parts import Part
from flyte_nb.executors.worker.namespace import whole
from flyte_nb.types.names import describe_type

__all__ = ["Found", "Reach"]

Place: TypeAlias = tuple[int, str]
"""Where a value is kept: the identity of a namespace, or of a cell, and a name."""

_MISSING = object()
_CODE = {"code", "task", "trace", "environment", "staticmethod", "classmethod", "property", "cached_property"}


class Found(NamedTuple):
    """One thing that was reached: name, kind, the part it counts by, and the length of its source if it has one."""

    name: str
    kind: str
    part: Part
    source_bytes: int | None


class Reach:
    """What is reached from one function or task.

    Args:
        follow_tasks: count called tasks by their code too.

    Attributes:
        found: all that was reached, in order.
        opaque: what of it counts by name and type alone, as (name, type and shape).
        steps: the tasks and traced functions of it.
    """

    def __init__(self, *, follow_tasks: bool) -> None:
        self.found: list[Found] = []
        self.opaque: list[tuple[str, str]] = []
        self.steps: list[TaskTemplate[Any, Any] | TraceFunction[Any, Any]] = []
        self._follow_tasks = follow_tasks
        self._nodes: list[Part] = []
        self._numbers: dict[int, tuple[int, object]] = {}
        self._code: deque[tuple[Any, list[Part]]] = deque()
        self._values: deque[tuple[list[Part], Place, str, object]] = deque()
        self._rebound: set[Place] = set()
        self._mutated: set[Place] = set()
        self._encoder = ValueEncoder(self._refer)

    def digest(self, tag: str, root: object) -> bytes:
        """The digest of a piece of code with all that it reaches."""
        start, _ = self._encoder.encode_within_limits(root)
        while self._code or self._values:
            if self._code:
                self._describe(*self._code.popleft())
            else:
                self._settle(*self._values.popleft())
        return hash_struct(tag, start, self._nodes)

    def _refer(self, value: object) -> Part | None:
        """The part that stands for a piece of code; None for a value."""
        match value:
            case TaskTemplate():
                return self._task(value)
            case TraceFunction():
                self.steps.append(value)
                return ["trace", self._encoder.encode(value.func)]
            case Environment():
                return ["environment"]
            case _:
                return code_part(value, self._follow, self._encoder.encode)

    def _task(self, task: TaskTemplate[Any, Any]) -> Part:
        self.steps.append(task)
        interface = task.native_interface
        inputs = [[name, describe_type(kind)] for name, (kind, _) in interface.inputs.items()]
        outputs = [[name, describe_type(kind)] for name, kind in interface.outputs.items()]
        part: list[Part] = ["task", task.name, inputs, outputs]
        self.found.append(Found(task.name, "task", part, None))
        if self._follow_tasks:
            part.append(self._encoder.encode(getattr(whole(task), "func", None)))
        return part

    def _follow(self, value: Any) -> Part:
        """The number of a function, class or module; it is described later."""
        known = self._numbers.get(id(value))
        if known is not None:
            return ["code", known[0]]
        number = len(self._nodes)
        parts: list[Part] = []
        self._numbers[id(value)] = number, value
        self._nodes.append(parts)
        self._code.append((value, parts))
        return ["code", number]

    # ---- Code.

    def _describe(self, value: Any, parts: list[Part]) -> None:
        match value:
            case FunctionType():
                if is_own_function(value):
                    self._describe_function(value, parts)
                else:
                    self._describe_wrapper(value, parts)
            case ModuleType():
                self.found.append(Found(value.__name__, "module", value.__name__, None))
                items = vars(value)
                for name in sorted(name for name in items if not _is_dunder(name)):
                    self._link(parts, value.__name__, (id(items), name), items[name])
            case _:
                self.found.append(Found(value.__qualname__, "class", value.__qualname__, None))
                parts.append(value.__qualname__)
                for name, item in class_items(value):
                    self._link(parts, value.__qualname__, (id(value), name), item)

    def _describe_function(self, function: FunctionType, parts: list[Part]) -> None:
        form = form_of_code(function.__code__)
        parts.append(form.digest)
        name = function.__qualname__
        self.found.append(Found(name, "function" if form.from_source else "bytecode", form.digest, form.size_bytes))

        cells = _cells(function)
        for places, names in ((self._rebound, form.rebound), (self._mutated, form.mutated)):
            places.update((id(cells[at]), at) if at in cells else (id(function.__globals__), at) for at in names)

        for place, value in _annotated(form.annotations, function.__globals__):
            self._link(parts, name, place, value)
        for place, value in _globals(form.chains, function.__globals__):
            self._link(parts, name, place, value)
        for place, value in _bound(function, cells):
            self._link(parts, name, place, value)
        package = function.__globals__.get("__package__") or ""
        for module, file in sorted(imported_files(form.imports, package).items()):
            parts.append([module, file.digest])
            self.found.append(Found(module, "module", file.digest, file.size_bytes))

    def _describe_wrapper(self, function: FunctionType, parts: list[Part]) -> None:
        """A function of an installed package around others: its name, the code it holds, and its plain settings."""
        parts.append(installed_name(function.__globals__.get("__name__"), function.__code__.co_qualname))
        for (_, name), value in _bound(function, _cells(function)):
            part, _ = self._encoder.encode_within_limits(value)
            plain = _kind_of(part) != "value" or isinstance(value, bool | int | float | str | bytes | None)
            parts.append([name, part if plain else type_name(type(value))])  # its caches and locks are its own affair

    def _link(self, parts: list[Part], owner: str, place: Place, value: object) -> None:
        """Adds a named reference: code is numbered at once, a value waits until all code is known."""
        link: list[Part] = [place[1]]
        parts.append(link)
        if isinstance(value, FunctionType | type) and place not in self._rebound:
            link.append(self._refer(value))
        else:
            self._values.append((link, place, owner, value))

    # ---- Values.

    def _settle(self, link: list[Part], place: Place, owner: str, value: object) -> None:
        """Puts the part of a value behind its name."""
        if value is _MISSING:
            link.append(["missing"])
            return
        name = f"{owner}: {place[1]}"
        part, opaque = self._encoder.encode_within_limits(value)
        kind = _kind_of(part)
        if place in self._rebound:
            part, kind = ["assigned"], "assigned"
        elif place in self._mutated and kind == "value":
            part, kind = ["assigned", self._refer(type(value))], "assigned"
        elif opaque:
            kind = "opaque"
            self.opaque.extend((name, what) for what in opaque)
        link.append(part)
        if kind != "code":
            self.found.append(Found(name, kind, part, None))


def _kind_of(part: Part) -> str:
    """Code says what it is in its first place; all else is a value."""
    tag = part[0] if isinstance(part, list) else None
    if tag == "installed":
        return "installed"
    return "code" if isinstance(tag, str) and tag in _CODE else "value"


def _globals(chains: Iterable[Chain], namespace: Mapping[str, Any]) -> Iterator[tuple[Place, object]]:
    """What dotted names stand for: followed through modules of the user's own, to the first thing that is none."""
    for chain in chains:
        place, value = _resolve(chain, namespace)
        if not _is_dunder(place[1]) and (value is not _MISSING or not hasattr(builtins, chain[0])):
            yield place, value


def _annotated(chains: Iterable[Chain], namespace: Mapping[str, Any]) -> Iterator[tuple[Place, object]]:
    """The user's own classes in annotations; names that mean nothing here are left to type checkers."""
    for chain in chains:
        place, value = _resolve(chain, namespace)
        if isinstance(value, type) and is_own_module(value.__module__):
            yield place, value


def _resolve(chain: Chain, namespace: Mapping[str, Any]) -> tuple[Place, object]:
    value = namespace.get(chain[0], _MISSING)
    name = chain[0]
    for attribute in chain[1:]:
        if not isinstance(value, ModuleType) or not is_own_module(value.__name__):
            break
        namespace, name = vars(value), attribute
        value = namespace.get(name, _MISSING)
    return (id(namespace), name), value


def _bound(function: FunctionType, cells: Mapping[str, CellType]) -> Iterator[tuple[Place, object]]:
    """What a function object brings along: closure, defaults, and the function that it wraps."""
    for name, cell in cells.items():
        try:
            yield (id(cell), name), cell.cell_contents
        except ValueError:  # a name of an enclosing function that is not bound yet
            yield (id(cell), name), _MISSING
    for position, value in enumerate(function.__defaults__ or ()):
        yield (id(function), f"default {position}"), value
    for name, value in sorted((function.__kwdefaults__ or {}).items()):
        yield (id(function), f"default {name}"), value
    if "__wrapped__" in function.__dict__:
        yield (id(function), "__wrapped__"), function.__dict__["__wrapped__"]


def _cells(function: FunctionType) -> dict[str, CellType]:
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
