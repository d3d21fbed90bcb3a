"""Code that is shipped does in another process what it does here, and comes along as it stands."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.executors.frames import encode
from flyte_nb.types.classes import ValuePickler
from tests.engine.digest_program import CELLS, NAMES, write_modules
from tests.engine.shipping_worker import DECLARING, PROJECT, CodeWorker, Notebook


def names_in(shipper: Shipper, task: Any) -> list[str]:
    return [entry.name for entry in shipper.ship(task).entries]


# ---------------------------------------------------------------- what crosses


def test_everything_that_a_task_can_reach_crosses(notebook: Notebook, folder: Path, fresh_worker: CodeWorker) -> None:
    write_modules(folder)
    for cell in CELLS:
        notebook.run(cell)
    arguments = {"geometry": notebook["Point"](1.0), "taxed": 10.0}
    for name in NAMES:
        task = notebook[name]
        if name in ("step", "parent"):
            continue
        argument = arguments.get(name, 2)
        assert fresh_worker.call(task, argument) == task.func(argument), name


def test_shipping_again_what_has_not_changed_gives_equal_code(notebook: Notebook, folder: Path) -> None:
    write_modules(folder)
    for cell in CELLS:
        notebook.run(cell)
    shipper = Shipper()
    for name in set(NAMES) - {"step"}:
        before = encode(shipper.ship(notebook[name]))
        assert encode(shipper.ship(notebook[name])) == before, name


def test_only_what_a_task_reaches_crosses(notebook: Notebook) -> None:
    notebook.run(
        """
        used, unused = [1], [2]
        def helper(): return used
        @env.task
        def task(x: int) -> int: return len(helper()) + max(x, 0)
        """
    )
    assert names_in(Shipper(), notebook["task"]) == ["used", "helper"]


def test_names_that_a_module_by_hand_holds_cross(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        from types import ModuleType
        tools = ModuleType("tools")
        tools.FACTOR, tools.unused = 3, 4
        @env.task
        def scaled(x: int) -> int: return x * tools.FACTOR
        """
    )
    assert worker.call(notebook["scaled"], 2) == 6


def test_submodules_are_imported_where_they_are_used(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        import xml.dom.minidom
        @env.task
        def tag(text: str) -> str: return xml.dom.minidom.parseString(text).documentElement.tagName
        """
    )
    assert worker.call(notebook["tag"], "<a/>") == "a"


@pytest.mark.parametrize(
    ("made", "used"),
    [
        ("threading.Lock()", "value.acquire(False)"),
        ("threading.RLock()", "value.acquire(False)"),
        ("threading.Event()", "not value.is_set()"),
        ("contextvars.ContextVar('v', default=1)", "value.get() == 1"),
        ("weakref.WeakKeyDictionary()", "len(value) == 0"),
        ("logging.getLogger('a.b')", "value.name == 'a.b'"),
        ("functools.singledispatch(lambda x: 1)", "value('a') == 1"),
        ("collections.namedtuple('Pair', 'a b')(1, 2)", "value.a == 1 and value._replace(b=3).b == 3"),
        ("dataclasses.MISSING", "value is dataclasses.MISSING"),
        ("typing.TypeVar('T')", "value.__name__ == 'T'"),
        ("re.compile('a+')", "bool(value.match('aa'))"),
        ("sys.modules[__name__]", "value is sys.modules['__main__']"),
    ],
)
def test_values_that_need_care_cross(notebook: Notebook, worker: CodeWorker, made: str, used: str) -> None:
    notebook.run(
        f"""
        import collections, contextvars, dataclasses, functools, logging, re, sys, threading, typing, weakref
        value = {made}
        @env.task
        def works() -> bool: return {used}
        """
    )
    assert notebook["works"].func()
    assert worker.call(notebook["works"]) is True


def test_functions_share_their_variables_as_they_do_here(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        def account():
            balance = 0
            def pay(n):
                nonlocal balance
                balance += n
            return pay, lambda: balance
        both = account()
        @env.task
        def paid(n: int) -> int:
            both[0](n)
            return both[1]()
        """
    )
    assert worker.call(notebook["paid"], 3) == 3
    assert worker.call(notebook["paid"], 3) == 6


def test_a_script_ships_its_own_names(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        DECLARING
        + textwrap.dedent(
            """
            from flyte_nb.engine.code.shipping import Shipper
            from tests.engine.shipping_worker import CodeWorker, DECLARING, Notebook
            RATE = 3
            class Odd(Exception): pass
            @env.task
            def scaled(x: int) -> int:
                if x < 0:
                    raise Odd(__file__)
                return x * RATE
            if __name__ == "__main__":
                with CodeWorker(Shipper()) as worker:
                    print(worker.call(scaled, 2))
                    try:
                        worker.call(scaled, -1)
                    except Odd as error:
                        print(error.args[0] == __file__)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["6", "True"], done.stderr


def test_a_task_of_a_module_started_with_m_imports_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "pack" / "rates.py").write_text("RATE = 4")
    (tmp_path / "pack" / "main.py").write_text(
        DECLARING
        + textwrap.dedent(
            """
            from flyte_nb.engine.code.shipping import Shipper
            from tests.engine.shipping_worker import CodeWorker, DECLARING, Notebook
            @env.task
            def scaled(x: int) -> int:
                from .rates import RATE
                return x * RATE
            if __name__ == "__main__":
                with CodeWorker(Shipper()) as worker:
                    print(worker.call(scaled, 2))
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pack.main"],
        env={"PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["8"], done.stderr


# ---------------------------------------------------------------- what stays, and what is replaced


def test_what_a_task_keeps_in_a_global_stays_between_calls(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        seen, model = [], None
        @env.task
        def count() -> tuple[int, int]:
            global model
            model = (model or 0) + 1
            seen.append(1)
            return len(seen), model
        """
    )
    assert worker.call(notebook["count"]) == (1, 1)
    assert worker.call(notebook["count"]) == (2, 2)


def test_a_global_that_changes_in_the_kernel_is_replaced(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        rates = [1]
        @env.task
        def total() -> int: return sum(rates)
        """
    )
    assert worker.call(notebook["total"]) == 1
    for change, total in [("rates.append(2)", 3), ("rates = [5]", 5), ("rates = [1]", 1)]:
        notebook.run(change)
        assert worker.call(notebook["total"]) == total


def test_a_redefined_helper_takes_effect_at_the_next_call(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        def helper(): return 1
        def outer(): return helper()
        @env.task
        async def asking() -> int: return outer()
        """
    )
    assert worker.call(notebook["asking"]) == 1
    notebook.run("def helper(): return 2")
    assert worker.call(notebook["asking"]) == 2


def test_a_name_that_was_deleted_is_missing_there_too(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        there = 1
        @env.task
        def asking() -> int: return there
        """
    )
    assert worker.call(notebook["asking"]) == 1
    notebook.run("del there")
    with pytest.raises(NameError, match="there"):
        worker.call(notebook["asking"])


def test_an_earlier_version_of_the_code_finds_its_own_globals_again(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(
        """
        rate = 1
        @env.task
        def asking() -> int: return rate
        """
    )
    before = worker.shipper.ship(notebook["asking"])
    notebook.run("rate = 2")
    assert worker.call(notebook["asking"]) == 2
    assert worker.call_code(before, notebook["asking"]) == 1


# ---------------------------------------------------------------- classes

CLASSES = """
import dataclasses, enum
import pydantic
RATE = 2
class Base:
    def rated(self): return self.x * RATE
class Plain(Base):
    def __init__(self, x): self.x = x
    def rated(self): return super().rated()
    @property
    def twin(self): return type(self)(self.x)
@dataclasses.dataclass
class Record:
    x: int
    inner: "Record | None" = None
    def rated(self): return self.x * RATE
class Colour(enum.Enum):
    RED = 1
class Model(pydantic.BaseModel):
    x: int
    colour: Colour = Colour.RED
    @pydantic.field_validator("x")
    @classmethod
    def positive(cls, value): return abs(value)
class Odd(Exception):
    def rated(self): return RATE
"""


def test_returned_instances_are_of_the_notebooks_own_classes(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(CLASSES)
    notebook.run(
        """
        @env.task
        def plain(x: int) -> Plain: return Plain(x).twin
        @env.task
        def record(given: Record) -> Record:
            assert type(given) is Record
            return dataclasses.replace(given, inner=Record(given.rated()))
        @env.task
        def model(given: Model) -> Model:
            assert given.colour is Colour.RED
            return Model(x=-given.x)
        """
    )
    assert type(worker.call(notebook["plain"], 1)) is notebook["Plain"]
    record = worker.call(notebook["record"], notebook["Record"](3))
    assert record == notebook["Record"](3, notebook["Record"](6))
    assert worker.call(notebook["model"], notebook["Model"](x=1)) == notebook["Model"](x=1)


def test_a_class_is_left_as_it_is_where_it_is_known(notebook: Notebook) -> None:
    notebook.run(CLASSES)
    method = notebook["Odd"].rated
    error = ValuePickler.dumps(notebook["Odd"]("x"))
    notebook["Odd"].later = 1
    assert type(pickle.loads(error)) is notebook["Odd"]
    assert notebook["Odd"].rated is method
    assert notebook["Odd"].later == 1


def test_raised_errors_are_of_the_notebooks_own_classes(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(CLASSES)
    notebook.run(
        """
        @env.task
        def failing(x: int) -> int:
            raise Odd(x) from ValueError("cause")
        """
    )
    with pytest.raises(notebook["Odd"]) as caught:
        worker.call(notebook["failing"], 5)
    assert caught.value.args == (5,)
    assert repr(caught.value.__cause__) == "ValueError('cause')"
    assert notebook["Odd"].rated.__globals__ is notebook.names


def test_a_redefined_class_is_the_new_one_at_the_next_call(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(CLASSES)
    notebook.run(
        """
        @env.task
        def text(x: int) -> str: return type(Plain(x)).__doc__ or ""
        """
    )
    assert worker.call(notebook["text"], 1) == ""
    notebook.run("Plain.__doc__ = 'changed in place'")
    assert worker.call(notebook["text"], 1) == "changed in place"
    notebook.run("class Plain(Plain):\n    'derived anew'")
    assert worker.call(notebook["text"], 1) == "derived anew"


def test_methods_see_the_globals_of_the_notebook(notebook: Notebook, worker: CodeWorker) -> None:
    notebook.run(CLASSES)
    notebook.run(
        """
        @env.task
        def rated(x: int) -> int: return Plain(x).rated()
        """
    )
    assert worker.call(notebook["rated"], 3) == 6
    notebook.run("RATE = 5")
    assert worker.call(notebook["rated"], 3) == 15
