"""The namespace of a worker takes over what is news, keeps what it has, and says which task it calls."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flyte_nb as flyte
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.errors import ModuleLoadError, RuntimeUserError
from flyte_nb.executors import code_pickle
from flyte_nb.executors.code_pickle import CodePickler, namespace_of, settings_of
from flyte_nb.executors.frames import Code, Entry
from flyte_nb.executors.stand_ins import PlainFunction, fill_stand_in, make_stand_in
from flyte_nb.executors.worker import namespace as module_of_worker
from flyte_nb.executors.worker.namespace import Namespace, ShippedTask

env = flyte.TaskEnvironment("demo")


@env.task(retries=1)
def reading() -> list[object]:
    return [globals().get(name) for name in ("a", "b")]


@env.task
async def child(x: int) -> int:
    "Adds one."
    return x + 1


class Kernel(CodePickler):
    """Pickles as a kernel would: every other task as a stand-in under its name."""

    def __init__(self, out: Any, root: Any = None) -> None:
        super().__init__(out, protocol=5)
        self.root = root

    def refer_to_task(self, task: TaskTemplate[Any, Any]) -> Any:
        settings = settings_of(task)
        function = settings.pop("func")
        plain = PlainFunction(asyncio.iscoroutinefunction(function), "", function.__qualname__, function.__doc__)
        state = task.name, settings, msgspec.msgpack.encode(plain)
        return make_stand_in, (type(task),), state, None, None, fill_stand_in


def entry(name: str, value: Any, digest: str = "", assigned: bool = False) -> Entry:
    return Entry("__main__", name, digest or repr(value), Kernel.dumps(value), assigned)


def code_of(task: TaskTemplate[Any, Any], *entries: Entry, digest: str = "") -> Code:
    template = msgspec.msgpack.encode(ShippedTask(task.name, {}, Kernel.dumps(task, task)))
    together = digest or repr(entries)
    return Code(together, template, list(entries), {}, {}, together)


@pytest.fixture
def modules() -> dict[str, ModuleType]:
    return {}


@pytest.fixture
def space(modules: dict[str, ModuleType]) -> Namespace:
    return Namespace(modules)


def test_code_that_another_python_compiled_is_not_loaded(space: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(code_pickle, "PYTHON", "3.9")
        code = code_of(reading)
    with pytest.raises(RuntimeUserError, match=r"code that Python 3\.9 compiled"):
        space.load(code)


def test_a_task_is_loaded_once(space: Namespace) -> None:
    first = space.load(code_of(reading, digest="one"))
    assert space.load(code_of(reading, digest="two")) is first
    assert (first.name, first.is_async, first.function()) == ("demo.reading", False, [None, None])


def test_an_entry_is_set_only_when_its_digest_changes(space: Namespace, modules: dict[str, ModuleType]) -> None:
    space.load(code_of(reading, entry("a", [1], "first"), digest="1"))
    kept = vars(modules["__main__"])["a"]
    kept.append(2)
    space.load(code_of(reading, entry("a", [1], "first"), entry("b", 1), digest="2"))
    assert vars(modules["__main__"])["a"] is kept
    space.load(code_of(reading, entry("a", [1], "second"), digest="3"))
    assert vars(modules["__main__"])["a"] == [1]


def test_a_name_that_tasks_assign_keeps_what_they_assigned(space: Namespace, modules: dict[str, ModuleType]) -> None:
    main: Any = modules["__main__"]
    main.a = "loaded"
    space.load(code_of(reading, entry("a", None, "first", assigned=True), entry("b", None, assigned=True), digest="1"))
    assert (main.a, main.b) == ("loaded", None)
    space.load(code_of(reading, entry("a", "other", "second", assigned=True), digest="2"))
    assert main.a == "other"


def test_a_name_that_the_kernel_has_no_more_is_deleted(space: Namespace, modules: dict[str, ModuleType]) -> None:
    space.load(code_of(reading, entry("a", 1), digest="1"))
    space.load(code_of(reading, Entry("__main__", "a", "", b""), digest="2"))
    assert not hasattr(modules["__main__"], "a")


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), max_size=8))
def test_after_any_history_the_names_are_those_of_the_latest_code(history: list[dict[str, int]]) -> None:
    modules: dict[str, ModuleType] = {}
    space = Namespace(modules)
    for names in history:
        space.load(code_of(reading, *(entry(name, value) for name, value in names.items()), digest=repr(names)))
        assert {name: getattr(modules["__main__"], name) for name in names} == names


def test_what_fails_to_load_is_tried_again(space: Namespace, modules: dict[str, ModuleType]) -> None:
    broken = Entry("__main__", "a", "x", b"cno_such_module\nname\n.")
    for _ in range(2):
        with pytest.raises(ModuleLoadError, match="`a` cannot be rebuilt in this process: ModuleNotFoundError"):
            space.load(code_of(reading, broken, digest="1"))
    space.load(code_of(reading, entry("a", 1), digest="2"))
    assert modules["__main__"].a == 1


def test_functions_of_one_namespace_share_it_there(space: Namespace, modules: dict[str, ModuleType]) -> None:
    cells: dict[str, Any] = {"__name__": "__main__"}
    exec("def put(x):\n    global kept\n    kept = x\ndef get():\n    return kept", cells)
    place = namespace_of(cells)
    entries = [Entry(place, name, name, Kernel.dumps(cells[name])) for name in ("put", "get")]
    space.load(code_of(reading, *entries))
    names = vars(modules[place])
    names["put"](3)
    assert names["get"]() == 3
    assert "kept" not in cells


def test_a_referred_task_is_itself_but_for_its_function(
    space: Namespace, modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    space.load(code_of(reading, entry("child", child)))
    stand_in = modules["__main__"].child
    assert type(stand_in) is type(child)
    assert (stand_in.name, stand_in.native_interface.inputs) == (child.name, child.native_interface.inputs)
    assert (stand_in.func.__name__, stand_in.func.__doc__) == ("child", "Adds one.")
    fetched = []

    def fetch(key: str) -> Code:
        fetched.append(key)
        return code_of(child)

    monkeypatch.setattr(module_of_worker, "fetch", fetch)
    assert asyncio.run(stand_in.forward(1)) == 2
    assert fetched == ["demo.child"]


def test_references_name_keys_and_changes(space: Namespace, modules: dict[str, ModuleType]) -> None:
    space.load(code_of(reading, entry("child", child)))
    stand_in = modules["__main__"].child
    assert space.reference(stand_in).key == "demo.child"
    assert space.reference(stand_in).changes == b""
    assert space.reference(stand_in.override()) == space.reference(stand_in)
    changed = stand_in.override(retries=4)
    assert space.reference(changed).key == "demo.child"
    assert space.reference(changed).changes
    assert space.reference(changed) == space.reference(stand_in.override(retries=4))
    assert space.reference(changed.override(retries=5)) != space.reference(changed)


def test_imported_tasks_are_referred_to_by_their_place(space: Namespace) -> None:
    assert space.reference(child).key == f"{__name__}:child"
    vars(child).pop("_reference")


def test_tasks_made_here_are_referred_to_by_value(space: Namespace) -> None:
    @env.task
    def made(n: int) -> int:
        return made(n - 1)

    reference = space.reference(made)
    assert reference.key == ""
    assert reference.changes
    del env.tasks["demo.made"]


def test_the_interpreters_own_main_is_replaced_by_an_empty_one() -> None:
    modules = {"__main__": sys.modules["__main__"]}
    Namespace(modules)
    assert modules["__main__"] is not sys.modules["__main__"]
    assert vars(modules["__main__"])["__name__"] == "__main__"
