"""Shipped tasks call others as the kernel knows them, with their modules; what cannot be shipped is named."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import logging
import sys
from pathlib import Path

import pytest

from flyte_nb.engine.code.digests import own_digest
from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.errors import ModuleLoadError, RuntimeSystemError
from flyte_nb.executors.frames import TaskReference
from tests.engine.shipping_worker import DECLARING, CodeWorker, Notebook

# ---------------------------------------------------------------- tasks that call tasks


def test_a_call_of_another_task_names_the_kernels_own_object(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        @env.task(retries=2)
        async def child(x: int) -> int: return x + 1
        @env.task
        async def parent(x: int) -> int: return await child(x)
        """
    )
    worker.called.clear()
    assert worker.call(notebook["parent"], 1) == 2
    assert worker.called == [notebook["child"]]


def test_the_same_override_names_the_same_object(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        @env.task(retries=2)
        async def child(x: int) -> int: return x + 1
        @env.task
        async def parent(x: int) -> int:
            small = flyte.Resources(cpu=1)
            for _ in range(2):
                x = await child.override(resources=small, short_name="kid")(x)
            return await child.override()(x)
        """
    )
    worker.called.clear()
    assert worker.call(notebook["parent"], 1) == 4
    first, second, unchanged = worker.called
    assert first is second
    assert (first.short_name, first.resources.cpu, first.retries.count) == ("kid", 1, 2)  # type: ignore[union-attr]
    assert first.func is notebook["child"].func  # type: ignore[attr-defined]
    assert unchanged is notebook["child"]


def test_the_plain_function_of_a_task_is_fetched_once_a_call(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        step = 1
        @env.task
        async def one(x: int) -> int: return x + step
        @env.task
        def two(x: int) -> int: return x + step
        @env.task
        async def parent(x: int) -> int:
            "Calls plain functions."
            return await one.forward(await one.forward(two.forward(two.func(x))))
        @env.task
        def recursive(n: int) -> int: return n and 1 + recursive.forward(n - 1)
        """
    )
    worker.fetched.clear()
    assert worker.call(notebook["parent"], 1) == 5
    assert len(worker.fetched) == 2
    notebook.run("step = 2")
    assert worker.call(notebook["parent"], 1) == 9
    assert worker.call(notebook["recursive"], 3) == 3


def test_a_task_that_was_made_in_the_worker_can_be_called(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        limit = 10
        @env.task
        def making(x: int) -> int:
            @env.task(retries=3)
            def made(y: int) -> int:
                return y if y > limit else made(y + x)
            return made.override(short_name="own")(x)
        """
    )
    worker.called.clear()
    assert worker.call(notebook["making"], 4) == 12
    assert worker.call(notebook["making"], 4) == 12
    first, second = worker.called
    assert first is second
    assert (first.name, first.short_name, first.retries.count) == ("demo.made", "own", 3)  # type: ignore[union-attr]


def test_a_task_of_a_module_that_the_worker_imported_is_the_kernels(
    notebook: Notebook, folder: Path, fresh_worker: CodeWorker
) -> None:
    (folder / "steps.py").write_text(
        DECLARING + "@env.task\ndef step(x: int) -> int: return x + 1\n@flyte.trace\ndef traced(x): return x\n"
    )
    notebook.run(
        """
        import steps
        @env.task
        def parent(x: int) -> int:
            return steps.step(x) + steps.step.override(retries=4)(x) + steps.traced(0)
        """
    )
    assert fresh_worker.call(notebook["parent"], 1) == 4
    plain, changed = fresh_worker.called
    assert plain is notebook["steps"].step
    assert changed.retries.count == 4  # type: ignore[union-attr]
    assert fresh_worker.traced == ["steps:traced"]
    assert fresh_worker.call(notebook["steps"].step, 1) == 2


def test_a_task_that_nobody_knows_is_refused() -> None:
    for key in ("demo.task#7", "no_such_module:task"):
        with pytest.raises(RuntimeSystemError, match=key):
            Shipper().template(TaskReference(key))


def test_traced_functions_carry_the_kernels_digest(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        @flyte.trace
        def step(x):
            "Documented."
            return x + 1
        @env.task
        def tracing(x: int) -> str:
            @flyte.trace
            def inner(y): return y
            inner(step(x))
            inner(2)
            return step.__doc__
        """
    )
    worker.traced.clear()
    assert worker.call(notebook["tracing"], 1) == "Documented."
    assert worker.traced[0] == own_digest(notebook["step"])
    assert worker.traced[1] == worker.traced[2]


def test_environments_cross_with_their_tasks(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        other = flyte.TaskEnvironment("other", depends_on=[env])
        @other.task
        def task() -> list[str]:
            return [other.name, *other.tasks, *(dependency.name for dependency in other.depends_on)]
        """
    )
    assert worker.call(notebook["task"]) == ["other", "other.task", "demo"]


# ---------------------------------------------------------------- sources and modules


def test_sources_of_cells_come_along(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        import inspect
        def helper():
            return 1  # a comment
        @env.task
        def source() -> str:
            return inspect.getsource(helper)
        @env.task
        def failing() -> int:
            return 1 / 0
        """
    )
    assert worker.call(notebook["source"]) == inspect.getsource(notebook["helper"])
    with pytest.raises(ZeroDivisionError) as caught:
        worker.call(notebook["failing"])
    frame = caught.traceback[-1]
    assert linecache.getline(str(frame.path), frame.lineno + 1).strip() == "return 1 / 0"


def test_modules_count_with_all_that_they_import(notebook: Notebook, folder: Path) -> None:
    (folder / "outer.py").write_text("import inner\ndef f(): return inner.VALUE\n")
    (folder / "inner.py").write_text("VALUE = 1\n")
    (folder / "late.py").write_text("VALUE = 2\n")
    notebook.run(
        """
        from outer import f
        import json
        @env.task
        def task() -> int:
            import late
            return f() + late.VALUE + len(json.dumps(1))
        """
    )
    shipper = Shipper()
    before = shipper.ship(notebook["task"]).modules
    assert sorted(before) == ["inner", "late", "outer"]
    (folder / "late.py").write_text("VALUE = 30\n")
    after = shipper.ship(notebook["task"]).modules
    assert {name for name in before if before[name] != after[name]} == {"late"}


def test_a_module_that_was_edited_but_not_reloaded_runs_as_the_kernel_runs_it(
    notebook: Notebook, folder: Path, fresh_worker: CodeWorker
) -> None:
    (folder / "rules.py").write_text("import part\nRATE = 1\ndef rule(): return RATE + part.MORE\n")
    (folder / "part.py").write_text("MORE = 0\n")
    notebook.run(
        """
        import rules
        @env.task
        def task() -> int: return rules.rule()
        """
    )
    shipper = fresh_worker.shipper
    before = shipper.ship(notebook["task"])
    (folder / "rules.py").write_text("import part\nRATE = 20\ndef rule(): return RATE + part.MORE\n")
    (folder / "part.py").write_text("MORE = 300\n")
    edited = shipper.ship(notebook["task"])
    assert edited.modules == before.modules
    assert fresh_worker.call_code(edited, notebook["task"]) == 1
    importlib.reload(sys.modules["part"])
    importlib.reload(sys.modules["rules"])
    reloaded = shipper.ship(notebook["task"])
    assert reloaded.modules.keys() == before.modules.keys()
    assert not set(reloaded.modules.values()) & set(before.modules.values())
    with CodeWorker(shipper) as another:
        assert another.call(notebook["task"]) == 320


def test_a_module_that_was_edited_before_it_was_first_shipped_is_told_of(
    notebook: Notebook, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "drafts.py").write_text("def f(): return 1\n")
    notebook.run(
        """
        import drafts
        @env.task
        def task() -> int: return drafts.f()
        """
    )
    (folder / "drafts.py").write_text("def f(): return 2\n")
    shipper = Shipper()
    with caplog.at_level(logging.WARNING, "flyte"):
        shipper.ship(notebook["task"])
        shipper.ship(notebook["task"])
    assert [record.getMessage().split(" was ")[0] for record in caplog.records] == ["Module drafts"]


def test_a_module_that_lies_where_no_import_looks_is_found(
    notebook: Notebook, tmp_path: Path, worker: CodeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aside.py"
    file.write_text("class Thing:\n    def two(self): return 2\n")
    spec = importlib.util.spec_from_file_location("hidden_aside", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hidden_aside", module)
    spec.loader.exec_module(module)
    notebook.run(
        """
        from hidden_aside import Thing
        @env.task
        def task() -> int: return Thing().two()
        """
    )
    assert worker.call(notebook["task"]) == 2


# ---------------------------------------------------------------- what cannot cross

REFUSED = """
import socket, tempfile
client = socket.socket()
config = {"client": client}
def helper():
    return config
def enclosing(inner):
    @env.task
    def closed() -> int:
        return inner.fileno()
    return closed

@env.task
def direct() -> int:
    return client.fileno()
@env.task
def indirect() -> int:
    return len(helper())
closed = enclosing(client)
@env.task
def defaulted(x: int = 1, y: object = client) -> int:
    return x
"""


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("direct", ["`client`, a socket.socket", "read in direct", "line 15", "inside task demo.direct"]),
        ("indirect", ["`config`, a dict that holds a socket.socket", "read in helper", "line 6"]),
        ("closed", ["`inner`, a socket.socket", "task demo.closed"]),
        ("defaulted", ["a socket.socket", "task demo.defaulted"]),
    ],
)
def test_what_cannot_cross_is_named_with_the_place_and_the_way_out(
    notebook: Notebook, task: str, said: list[str]
) -> None:
    notebook.run(REFUSED)
    try:
        with pytest.raises(TypeError) as caught:
            Shipper().ship(notebook[task])
    finally:
        notebook["client"].close()
    for part in [*said, "cannot pickle 'socket' object", "isolation='kernel'"]:
        assert part in str(caught.value)


def test_what_cannot_be_rebuilt_there_is_named(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        import os
        class Local:
            def __reduce__(self): return _only_here, (os.getpid(),)
        def _only_here(pid):
            if pid != os.getpid(): raise OSError("not here")
            return Local()
        thing = Local()
        @env.task
        def task() -> int: return id(thing)
        """
    )
    with pytest.raises(ModuleLoadError, match="`thing` cannot be rebuilt in this process: OSError"):
        worker.call(notebook["task"])


def test_a_large_global_is_warned_of_once(notebook: Notebook, caplog: pytest.LogCaptureFixture) -> None:
    notebook.run(
        """
        table = bytes(11_000_000)
        @env.task
        def task() -> int: return len(table)
        """
    )
    shipper = Shipper()
    with caplog.at_level(logging.WARNING, "flyte"):
        shipper.ship(notebook["task"])
        shipper.ship(notebook["task"])
    (record,) = caplog.records
    assert "`table` (a bytes, 11 MB)" in record.getMessage()
    assert "Pass it as an input" in record.getMessage()


def test_a_name_that_tasks_assign_is_marked(notebook: Notebook) -> None:
    notebook.run(
        """
        model, size = None, 1
        def load():
            global model, other
            model, other = model or size, 2
        @env.task
        def task() -> int:
            load()
            return model + other
        """
    )
    code = Shipper().ship(notebook["task"])
    assert {entry.name: entry.assigned for entry in code.entries} == {"load": False, "model": True, "size": False}


def test_what_a_value_needs_to_be_rebuilt_stands_before_it(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        import math
        def inner(x): return math.sqrt(x) * FACTOR
        FACTOR = 2
        class Rooted:
            def __init__(self, x): self.x = inner(x)
            def __reduce__(self): return Rooted, (4,)
        apex = Rooted(4)
        @env.task
        def task() -> float: return apex.x
        """
    )
    assert worker.call(notebook["task"]) == 4.0
    code = worker.shipper.ship(notebook["task"])
    names = [entry.name for entry in code.entries]
    assert names.index("math") < names.index("inner") < names.index("apex")
