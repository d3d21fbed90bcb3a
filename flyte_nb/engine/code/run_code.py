"""The code of a run, kept with it, so that a kernel that never ran the cells can run it again.

    bundle_of(root task)  every task that it can reach, shipped as to a worker  ->  one value of the store
    RecordedCode          that value, loaded beside the notebook's own names: nothing of the notebook changes

Digests are those of the recording: code that ran once is the same code for ever, whatever this Python says of it.
"""

from __future__ import annotations

import linecache
import logging
import os
from contextlib import suppress
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import msgspec

from flyte_nb.as_flyte import install_as_flyte, is_installed
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.code.bundles import RunCode, TaskCode, decode_bundle, read_bundle
from flyte_nb.engine.code.digests import deep_digest, own_digest, recorded_digests, steps_of
from flyte_nb.engine.code.module_files import imported_files
from flyte_nb.engine.code.recorded_modules import RecordedModules, places
from flyte_nb.engine.code.shipment import Room, Shipment
from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.engine.secrets.masking import Masker
from flyte_nb.engine.secrets.values import known_values
from flyte_nb.errors import RuntimeUserError
from flyte_nb.executors.frames import Code
from flyte_nb.executors.stand_ins import PlainFunction
from flyte_nb.executors.worker.namespace import CLASSES, LoadedTask, Namespace, ShippedTask
from flyte_nb.store.errors import StoreError
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.classes import PYTHON, class_of_id

__all__ = ["CodeKeeper", "RecordedCode", "recorded_task"]

logger = logging.getLogger("flyte")


class CodeKeeper:
    """Keeps the code of this session's runs.

    Args:
        shipper: makes code of tasks.
        values: where it is kept.
        masker: takes the values of secrets out of the text of cells and modules.
    """

    def __init__(self, shipper: Shipper, values: ValueStore, masker: Masker) -> None:
        self._shipper = shipper
        self._values = values
        self._masker = masker
        self._kept: WeakKeyDictionary[TaskTemplate[Any, Any], tuple[str, str]] = WeakKeyDictionary()
        self._loaded: WeakValueDictionary[tuple[str, str], RecordedCode] = WeakValueDictionary()

    def keep(self, root: TaskTemplate[Any, Any]) -> str:
        """Keeps the code that a run of a task can reach; returns the digest of the value that holds it.

        Code that has not changed since the last run is not looked at again. Where it cannot be written the run goes
        on without, and says so.
        """
        try:
            return self._keep(root)
        except StoreError as error:
            logger.warning("The code of this run is not recorded, so that it cannot be recovered: %s", error)
            return ""

    def _keep(self, root: TaskTemplate[Any, Any]) -> str:
        recorded = recorded_task(root)
        if recorded is not None:
            return recorded.owner.digest
        deep = deep_digest(root)
        known = self._kept.get(root)
        if known is None or known[0] != deep or not self._values.renew(known[1]):
            known = self._kept[root] = deep, self._values.put([msgspec.msgpack.encode(self._bundle(root))])
        return known[1]

    def keep_deployed(self, root: TaskTemplate[Any, Any], is_dry_run: bool = False) -> str:
        """Keeps the code of a task that is deployed; returns the digest of the value that holds it.

        Args:
            root: the task.
            is_dry_run: only look whether it could be kept, and return an empty digest.

        Raises:
            TypeTransformerFailedError: something that it reaches cannot be kept.
            StoreError: it cannot be written.
        """
        if is_dry_run:
            bundle, digest = self._bundle(root), ""
        else:
            digest = self._keep(root)
            bundle = decode_bundle(self._values, digest)
        if bundle.refusal:
            raise TypeTransformerFailedError(bundle.refusal)
        return digest

    def load(self, digest: str, run: str) -> RecordedCode:
        """The code of a recorded run, see `RecordedCode`; the same object while it is in use and still fits."""
        return self._load(
            digest, f"run {run}", "Run the cells and use flyte.fork(run, task): it takes the code as it stands."
        )

    def load_deployed(self, digest: str, task: str, version: str) -> RecordedCode:
        """The same of a deployed task."""
        cure = "Deploy it from here under another version: flyte.deploy(environment, version=...)."
        return self._load(digest, f"deployed task {task}, version {version},", cure, version)

    def _load(self, digest: str, what: str, cure: str, version: str = "") -> RecordedCode:
        with places:
            code = RecordedCode(digest, self._values, self._shipper, what, cure, version)
            known = self._loaded.get((digest, version))
            if known is not None and known.other_modules == code.other_modules:
                return known
            self._loaded[digest, version] = code
            return code

    def remember_sources(self, digest: str) -> None:
        """Has the text of recorded cells found: values of an earlier run may hold functions and classes of theirs."""
        with suppress(KeyError):
            for task in decode_bundle(self._values, digest).tasks:
                for file, text in task.code.sources.items():
                    _remember_source(file, text)

    def _bundle(self, root: TaskTemplate[Any, Any]) -> RunCode:
        codes: dict[str, tuple[TaskTemplate[Any, Any], Code]] = {}
        traces: dict[str, str] = {}
        pending = [root]
        room = Room()
        try:
            while pending:
                task = pending.pop()
                key = self._shipper.key_of(task)
                if key in codes:
                    continue
                if task.secrets:
                    self._masker.add(known_values(task.secrets))
                shipment = Shipment(self._shipper, task, room)
                codes[key] = task, shipment.code()
                pending += shipment.tasks
                for step in steps_of(task):  # pickles do not look into modules
                    if isinstance(step, TaskTemplate):
                        pending.append(step)
                    else:
                        traces[place_of_import(step)] = own_digest(step)
            tasks = [
                TaskCode(key, task.name, own_digest(task), deep_digest(task), self._without_secrets(code, task.name))
                for key, (task, code) in codes.items()
            ]
        except TypeTransformerFailedError as error:
            return RunCode("", [], str(error))
        return RunCode(self._shipper.key_of(root), tasks, traces=traces, python=PYTHON, is_flyte=is_installed())

    def _without_secrets(self, code: Code, task: str) -> Code:
        """The code with the values of secrets masked in the text of cells and modules.

        Raises:
            TypeTransformerFailedError: a pickle of it holds one; masked there, it would run with another value.
        """
        if not self._masker.active:
            return code
        mask = self._masker.mask
        shipped = msgspec.msgpack.decode(code.template, type=ShippedTask)
        if self._masker.is_in(shipped.template):
            raise holds_secret(f"task {task}")
        for entry in code.entries:
            if self._masker.is_in(entry.pickled):
                raise holds_secret(f"a class that task {task} uses" if entry.module == CLASSES else f"`{entry.name}`")
        modules = {name: (file, mask(text)) for name, (file, text) in shipped.modules.items()}
        template = msgspec.msgpack.encode(msgspec.structs.replace(shipped, modules=modules))
        sources = {file: mask(text) for file, text in code.sources.items()}
        return msgspec.structs.replace(code, template=template, sources=sources)


class RecordedTask:
    """A task of a recorded run.

    Attributes:
        owner: the code that it belongs to.
        code: as it was shipped.
    """

    def __init__(self, owner: RecordedCode, recorded: TaskCode) -> None:
        self.owner = owner
        self.code = recorded.code
        self.key = recorded.key

    @property
    def template(self) -> TaskTemplate[Any, Any]:
        """The task with its own function, loaded when it is first needed."""
        return self.owner.namespace.load(self.code).template


class RecordedNamespace(Namespace):
    """A namespace of its own in this process, whose tasks are known as recorded.

    Classes that this process has under the same tracker ids are its own: they are left as they are.
    """

    def __init__(self, owner: RecordedCode) -> None:
        super().__init__({})
        self._owner = owner
        self._own_modules = self._recorded_modules = RecordedModules(owner.modules() if owner.other_modules else {})
        self.fetch = owner.code_of

    def load(self, code: Code) -> LoadedTask:
        """See `Namespace.load`."""
        with self._recorded_modules.in_place(), self._lock:
            return super().load(code)

    def class_of(self, tracker_id: str) -> type:
        """See `Namespace.class_of`."""
        return self._owner.classes_here.get(tracker_id) or super().class_of(tracker_id)

    def remember_source(self, file: str, text: str) -> None:
        """See `Namespace.remember_source`."""
        _remember_source(file, text)

    def stand_in(self, task: TaskTemplate[Any, Any], key: str, plain: PlainFunction | None) -> None:
        """See `Namespace.stand_in`."""
        super().stand_in(task, key, plain)
        self._owner.own(task, key)

    def remember_loaded(self, task: TaskTemplate[Any, Any], key: str) -> None:
        """See `Namespace.remember_loaded`."""
        super().remember_loaded(task, key)
        self._owner.own(task, key)


class RecordedCode:
    """The code of a recorded run or of a deployed task, ready to run again.

    Args:
        digest: of the value that holds it.
        values: where it is kept.
        shipper: learns its tasks, so that workers can call them.
        what: whose code it is, for messages.
        cure: what to do where it cannot be had, for messages.
        version: of the deployed task; empty for a run's.

    Raises:
        RuntimeUserError: the code was not kept, or is gone.
        ImportError: its `flyte` is flyte_nb, and this process has loaded another.
    """

    def __init__(
        self, digest: str, values: ValueStore, shipper: Shipper, what: str, cure: str, version: str = ""
    ) -> None:
        self.digest = digest
        self.version = version
        self._shipper = shipper
        bundle = read_bundle(digest, values, what, cure)
        if bundle.is_flyte:
            install_as_flyte()
        self._tasks = {task.key: task for task in bundle.tasks}
        self._root = bundle.root
        self.traces = bundle.traces
        """The own digests of traced functions, by `module:name`."""
        self.other_modules = self._other_modules()
        """Modules of the user's own that it imports in another version than this process does."""
        self.classes_here = self._classes_here()
        """Classes of its own that this process has, too, as they stand by now."""
        self.namespace = RecordedNamespace(self)

    @property
    def obstacle(self) -> str:
        """What keeps it from running in this process, which would change under the user's hands; empty if nothing."""
        if self.other_modules:
            return f"its recorded code imports another version of {', '.join(self.other_modules)}"
        if self.classes_here:
            names = ", ".join(sorted({cls.__qualname__ for cls in self.classes_here.values()}))
            return f"its recorded code has classes that this kernel uses: {names}"
        return ""

    def root(self) -> TaskTemplate[Any, Any]:
        """The task that the run started with."""
        return self.namespace.load(self.code_of(self._root)).template

    def task(self, name: str) -> TaskTemplate[Any, Any]:
        """The task of a name.

        Raises:
            RuntimeUserError: the run could not reach any of that name.
        """
        for known in (self._tasks[self._root], *self._tasks.values()):
            if known.name == name:
                return self.namespace.load(known.code).template
        raise RuntimeUserError("TaskNotFound", f"the recorded code has no task {name}")

    @property
    def own_digests(self) -> dict[str, str]:
        """The own digests of its tasks, by their full names."""
        return {task.name: task.own_digest for task in self._tasks.values()}

    def key_in_session(self, called: str) -> str:
        """The key under which this session knows one of its tasks, which its code calls by another one.

        Args:
            called: the key that the task had where the code was recorded, where another task may have it now; or
                `module:name` in one of its modules. Whatever else is given stays as it is.
        """
        key = self._places.get(called, called) if ":" in called else called
        return f"{key}@{self.digest}{self.version}" if key in self._tasks else called

    @cached_property
    def _places(self) -> dict[str, str]:
        templates = {key: self.namespace.load(task.code).template for key, task in self._tasks.items()}
        return {place_of_import(getattr(template, "func", None)): key for key, template in templates.items()}

    def code_of(self, key: str) -> Code:
        """The code of a task, as workers are sent it."""
        return self._tasks[key].code

    def modules(self) -> dict[str, tuple[str, str]]:
        """File and text of the modules of the user's own that it imports, by name."""
        shipped = [msgspec.msgpack.decode(task.code.template, type=ShippedTask) for task in self._tasks.values()]
        return {name: module for task in shipped for name, module in task.modules.items()}

    def _other_modules(self) -> list[str]:
        versions = {name: digest for task in self._tasks.values() for name, digest in task.code.modules.items()}
        present = imported_files(versions, "")
        now = {name: self._shipper.modules.version(name, file)[0] for name, file in present.items()}
        return sorted(name for name, digest in versions.items() if now.get(name) != digest)

    def _classes_here(self) -> dict[str, type]:
        names = {e.name for task in self._tasks.values() for e in task.code.entries if e.module == CLASSES}
        return {name: known for name in names if (known := class_of_id(name)) is not None}

    def own(self, task: TaskTemplate[Any, Any], key: str) -> None:
        """Makes a task known as one of this code, whatever its settings become."""
        function: Any = getattr(task, "func", None)
        recorded = self._tasks.get(key)
        if function is not None and recorded is not None:
            recorded_digests[function] = recorded.own_digest, recorded.deep_digest
            _tasks[function] = RecordedTask(self, recorded)
            self._shipper.adopt(self.key_in_session(key), task)


_tasks: WeakKeyDictionary[Any, RecordedTask] = WeakKeyDictionary()
"""By function, which `override` leaves as it is."""


def recorded_task(task: TaskTemplate[Any, Any]) -> RecordedTask | None:
    """What is recorded of a task that was loaded from a run's code; None for any other."""
    function = getattr(task, "func", None)
    try:
        return _tasks.get(function)
    except TypeError:  # a callable object that cannot be a key
        return None


def holds_secret(what: str) -> TypeTransformerFailedError:
    return TypeTransformerFailedError(
        f"{what} holds the value of a secret, which is never kept: read os.environ in the task that asks for it."
    )


def place_of_import(function: object) -> str:
    """`module:name`, which workers call a task or traced function by that they have imported."""
    return f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"


def _remember_source(file: str, text: str) -> None:
    """Has tracebacks and `inspect` find the text of a file, unless this process has one under the name."""
    if not os.path.exists(file) and file not in linecache.cache:
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
