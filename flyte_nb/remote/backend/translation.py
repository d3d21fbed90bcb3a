"""Ships what the user declared to the process of the official SDK: objects of ours become names or descriptions.

    task, environment, trace      a description, see `flyte_nb.remote.backend.neutral`
    Resources, Image, File ...    the SDK's class of that name with the same fields
    flyte, flyte.io ... functions, errors       the SDK's of that name
    functions, classes, modules of the user's   by value, wherever they are found: globals, closures, containers,
                                                defaults, attributes, classes, modules of the project

Pickling is the walk, so nothing that a function can reach is left out. What the SDK does not have (`flyte.fork`) is
refused with its name.
"""

from __future__ import annotations

import dataclasses
import dis
import io
import sys
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cloudpickle import cloudpickle as trackers

from flyte_nb.authoring.environment import Environment
from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.code.forms import form_of_code
from flyte_nb.engine.code.module_files import imported_files
from flyte_nb.engine.code.ownership import is_own_module
from flyte_nb.engine.tracebacks import place_of
from flyte_nb.remote.backend import neutral
from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.classes import ValuePickler, kept

__all__ = ["translated"]

SAME_ELSEWHERE = {
    "flyte_nb.authoring.image_layers": "flyte._image",
    "flyte_nb.authoring.cache": "flyte._cache.policy_function_body",
    "flyte_nb.interface": "flyte.models",
}
"""Our modules that are not public, with the SDK's that hold the same classes."""
OURS_ONLY = {
    "flyte": {"check", "connect", "fork", "install_as_flyte"},
    "flyte.artifacts": {"metadata_of"},
    "flyte.errors": {"error_message", "from_code", "user_error"},
    "flyte.io": {"HashMethod"},
    "flyte.models": {"NullTaskContext"},
    "flyte.remote": {"export_run", "import_run", "prune"},
    "flyte.report": {"Tab"},
    "flyte.storage": {"local_path"},
    "flyte.syncify": {"SyncFunction", "SyncGenFunction"},
}
"""Public names that the official SDK does not have."""
BY_NAME = frozenset({neutral.__name__, "flyte_nb.types.classes"})
"""Our modules that the SDK process calls when it loads the pickle."""
LOCATED = frozenset({"flyte_nb.io.dataframe", "flyte_nb.io.dir", "flyte_nb.io.file"})
"""The classes of what is somewhere: named, because importing them takes pydantic, and `flyte-nb` starts without."""
DERIVED = frozenset({"interface", "parent_env", "parent_env_name"})
"""Fields of a task that are told apart from the others."""
WHOLE = "*"
"""Stands for every name of a module: it is used without an attribute."""


def translated(value: Any) -> bytes:
    """A pickle for `flyte_nb.remote.backend.neutral.rebuilt`, which has the official SDK in place of ours.

    Args:
        value: anything with tasks, environments and the user's code in it.

    Raises:
        flyte_nb.types.TypeTransformerFailedError: something that it reaches cannot be shipped; the message names it.
    """
    used: dict[str, set[str]] = {}
    while True:  # a module crosses with the names that are used of it: which ones is known after a first walk
        before = {name: set(names) for name, names in used.items()}
        out = io.BytesIO()
        translator = Translator(out, used)
        try:
            translator.dump(value)
        except Exception as error:  # a user's __reduce__ raises anything; raised again, with the name and the way out
            raise TypeTransformerFailedError(translator.refusal(error)) from error
        if used == before:
            return out.getvalue()


class Named:
    """The SDK's object of a name.

    Args:
        module: of the SDK.
        name: in it.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


class ImportedLater:
    """Stands for the modules that the functions met so far import when they run."""


class Translator(ValuePickler):
    """Pickles for the SDK process.

    Args:
        out: where it is written.
        used: which names of which modules of the user's own are used; filled as functions are met.
        hollow: modules that cross without their names.
    """

    def __init__(self, out: io.BytesIO, used: dict[str, set[str]], hollow: Collection[str] = ()) -> None:
        super().__init__(out, protocol=5)
        self._used = used
        self._hollow = hollow
        self._later: dict[str, ModuleType] = {}
        self._latest: Any = None
        self._readers: list[str] = []

    def refusal(self, error: Exception) -> str:
        """Why something cannot be shipped: what it is, what reaches it, and the way out."""
        what = f"{type(self._latest).__qualname__} {str(self._latest)[:80]!r}"
        where = f" (reached from {self._readers[-1]})" if self._readers else ""
        return (
            f"{what} cannot be sent to the backend{where}: {error}. Create it inside the task, or run the task here: "
            "flyte.with_runcontext(mode='local').run(...)."
        )

    def reducer_override(self, obj: Any) -> Any:
        self._latest = obj
        match obj:
            case Named():
                return neutral.named, (obj.module, obj.name)
            case ImportedLater():
                return dict, (list(self._later.items()),)
            case TaskTemplate():
                return self._task(obj)
            case TraceFunction():
                return neutral.trace, (obj.func,)
            case Environment():
                return self._environment(obj)
            case _ if type(obj).__module__ in LOCATED:
                return _file(obj)
            case ModuleType():
                return self._module(obj)
            case FunctionType() | type():
                return self._code(obj)
            case CodeType():
                return super().reducer_override(_importing_official(obj))
        if _is_ours(type(obj).__module__):
            return self._ours(obj)
        return super().reducer_override(obj)

    # ---- What the user declared.

    def _task(self, task: TaskTemplate[Any, Any]) -> Any:
        if type(task) is not AsyncFunctionTaskTemplate:
            raise TypeError(f"the official SDK has no tasks of the kind {type(task).__name__}")
        self._readers.append(f"task {task.name}")
        environment = task.parent_env() if task.parent_env is not None else None
        fields = {
            field.name: getattr(task, field.name)
            for field in dataclasses.fields(task)
            if field.init and field.name not in DERIVED
        }
        fields["interface"] = task.native_interface
        is_declared = environment is not None and environment.tasks.get(task.name) is task
        state = neutral.TaskState(environment, fields, is_declared, ImportedLater())
        kind = Named("flyte._task", "AsyncFunctionTaskTemplate")
        return neutral.task, (kind,), tuple(state), None, None, neutral.fill_task

    def _environment(self, environment: Environment) -> Any:
        fields = {
            field.name: getattr(environment, field.name) for field in dataclasses.fields(environment) if field.init
        }
        return neutral.environment, (_counterpart(type(environment)), fields, environment._declaring_file)

    # ---- The user's code.

    def _code(self, code: FunctionType | type) -> Any:
        module = getattr(code, "__module__", None) or ""
        if module in BY_NAME:
            return NotImplemented
        if _is_ours(module):
            named = _counterpart(code)
            return neutral.named, (named.module, named.name)
        is_by_value = is_own_module(module) or not trackers._should_pickle_by_reference(code)
        if not is_by_value or code.__module__ == "builtins":
            return super().reducer_override(code)
        return kept(trackers._dynamic_class_reduce(code)) if isinstance(code, type) else self._function(code)

    def _function(self, function: FunctionType) -> Any:
        self._readers.append(
            f"{function.__qualname__}, {place_of(function.__code__.co_filename, function.__code__.co_firstlineno)}"
        )
        form = form_of_code(function.__code__)
        names = {**function.__globals__, **_closure(function)}
        for chain in form.chains:
            self._note_use(names.get(chain[0]), chain[1:])
        for variable in function.__code__.co_freevars:
            self._note_use(names.get(variable), ())
        self._note_imports(form.imports, function.__globals__.get("__package__") or "")
        make, arguments, (attributes, members), *rest = self._dynamic_function_reduce(function)
        members["__annotations__"] = _resolved_annotations(function)
        members["_cloudpickle_submodules"] = [
            module
            for module in members["_cloudpickle_submodules"]
            if not _is_ours(module.__name__) or _official_module(module.__name__)
        ]
        return make, arguments, (attributes, members), *rest

    def _note_use(self, value: Any, attributes: tuple[str, ...]) -> None:
        """Notes which name is used of a module of the user's own, and of the module that this name may be."""
        while isinstance(value, ModuleType) and _is_own(value):
            name, attributes = (attributes[0], attributes[1:]) if attributes else (WHOLE, ())
            self._used.setdefault(value.__name__, set()).add(name)
            value = getattr(value, name, None)

    def _note_imports(self, imports: Iterable[str], package: str) -> None:
        """Notes the modules of the user's own that a function imports when it runs, with the packages they are in."""
        for found in imported_files(imports, package):
            self._later[found] = import_module(found)
            self._used.setdefault(found, set()).add(WHOLE)
            while "." in found:
                found, _, part = found.rpartition(".")
                self._later[found] = sys.modules[found]
                self._used.setdefault(found, set()).add(part)

    def _module(self, module: ModuleType) -> Any:
        if _is_ours(module.__name__):
            name = _official_module(module.__name__)
            if name is None:
                raise TypeError(f"{module.__name__} is not public: import what flyte has under flyte's names")
            return import_module, (name,)
        if not _is_own(module):
            return super().reducer_override(module)
        used = self._used.get(module.__name__, set())
        names = {name: vars(module)[name] for name in sorted(used) if name in vars(module)}
        if (WHOLE in used or not used) and module.__name__ not in self._hollow:
            names |= {name: value for name, value in vars(module).items() if self._is_crossing(module, name, value)}
        return neutral.module, (module.__name__, module.__doc__), names, None, None, neutral.fill_module

    def _is_crossing(self, module: ModuleType, name: str, value: Any) -> bool:
        """Whether a name of a module that is needed as a whole can cross: a lock in it does no harm while nobody needs
        it there."""
        if name.startswith("__"):
            return False
        try:
            Translator(io.BytesIO(), {}, {*self._hollow, module.__name__}).dump(value)
        # A lock's TypeError, a PicklingError, whatever a user's __reduce__ raises. Left out is only what no function
        # names: what one does name goes another way, whose error is raised.
        except Exception:
            return False
        return True

    # ---- Ours.

    def _ours(self, value: Any) -> Any:
        if id(value) in _public_names():
            return neutral.named, _public_names()[id(value)]
        if id(value) in _our_names():
            raise TypeError(f"{_our_names()[id(value)]} exists in flyte_nb only")
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
            return neutral.instance, (_counterpart(type(value)), fields)
        return super().reducer_override(value)


def _file(value: Any) -> Any:
    """A file, folder or frame by its address; one of this machine is uploaded by the SDK."""
    kind = _counterpart(type(value))
    path = getattr(value, "path", None)
    if path is not None and "://" not in str(path):
        return neutral.local_path, (kind, str(path))
    fields = {name: getattr(value, name) for name in type(value).model_fields if name != "hash_method"}
    return neutral.instance, (kind, fields)


def _is_ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == "flyte_nb"


def _is_own(module: ModuleType) -> bool:
    return module.__name__ != "__main__" and not _is_ours(module.__name__) and is_own_module(module.__name__)


@cache
def _public_names() -> dict[int, tuple[str, str]]:
    """The SDK's module and name of everything public here, by identity."""
    return {id(value): (official, name) for value, official, name in _public() if not _is_ours_only(official, name)}


@cache
def _our_names() -> dict[int, str]:
    """The name of everything public that the SDK does not have, by identity."""
    return {id(value): f"{official}.{name}" for value, official, name in _public() if _is_ours_only(official, name)}


def _is_ours_only(official: str, name: str) -> bool:
    return name in OURS_ONLY.get(official, ())


def _public() -> Iterator[tuple[Any, str, str]]:
    """Everything public with the SDK's module and name; what stands in several modules last under its shortest name."""
    face = import_module("flyte_nb")
    for submodule in sorted(face.SUBMODULES):
        module = import_module(f"flyte_nb.{submodule}")
        for name in module.__all__:
            yield getattr(module, name), f"flyte.{submodule}", name
    for name, home in face.HOMES.items():
        yield getattr(import_module(home), name), "flyte", name


def _counterpart(code: Any) -> Named:
    """The SDK's class or function for one of ours.

    Raises:
        TypeError: there is none.
    """
    public = _public_names().get(id(code))
    if public is not None:
        return Named(*public)
    if code.__module__ in SAME_ELSEWHERE:
        return Named(SAME_ELSEWHERE[code.__module__], code.__qualname__)
    raise TypeError(f"{code.__module__}.{code.__qualname__} exists in flyte_nb only")


def _official_module(name: str) -> str | None:
    """The SDK's module for one of ours that is public."""
    submodule = name.removeprefix("flyte_nb").removeprefix(".")
    is_public = not submodule or submodule in import_module("flyte_nb").SUBMODULES
    return "flyte" + name.removeprefix("flyte_nb") if is_public else None


def _importing_official(code: CodeType) -> CodeType:
    """The code with `import flyte_nb` in it meaning `import flyte`."""
    names = list(code.co_names)
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME" and _is_ours(instruction.argval):
            names[names.index(instruction.argval)] = "flyte" + instruction.argval.removeprefix("flyte_nb")
    return code.replace(co_names=tuple(names)) if names != list(code.co_names) else code


def _closure(function: FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not bound yet
            found[name] = cell.cell_contents
    return found


def _resolved_annotations(function: FunctionType) -> Mapping[str, Any]:
    """The annotations, those that are text as what they stand for: the names that they use do not cross."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # an annotation of a helper may be anything that only a type checker reads
        return function.__annotations__
