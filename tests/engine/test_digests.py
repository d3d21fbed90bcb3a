"""Code digests: an edit changes the digests of exactly what depends on it, and nothing else changes any."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte_nb.engine.code.digests import deep_digest, explain, own_digest
from tests.engine.digest_program import CELLS, NAMES, RATES_MODULE, Cells, write_modules

PINNED = {
    "halved": "0d09a1dd5891eb0b66ed5c03e159bcc3",
    "leaf": "be490235d1c6b68e778d5e1bdde9a8d8",
    "geometry": "b13bb08e0585b6acf2a884cccf59aa71",
    "coloured": "024d3b77f85f953e0316784ace9cb265",
    "decorating": "eda323bc94bf4b0f39289b6969ce5fc4",
    "closing": "8843809191466bba6e59728c76cd1350",
    "weighing": "581827854a6906eb7612989fc328ef66",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the user's own modules, importable."""
    write_modules(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__ or "").is_relative_to(
            tmp_path
        ):
            del sys.modules[name]


def own_digests(cells: Cells) -> dict[str, str]:
    return {name: own_digest(cells[name]) for name in NAMES}


def edited(old: str, new: str) -> list[str]:
    assert sum(cell.count(old) for cell in CELLS) == 1, f"{old!r} must stand in the program once"
    return [cell.replace(old, new) for cell in CELLS]


def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("return x * SCALE", "return x + SCALE", "step leaf traced geometry memoised weighing"),
        ("SCALE = 3", "SCALE = 4", "step leaf traced geometry memoised weighing coloured closing"),
        ('"a": 1', '"a": 2', "decorating"),
        ('"b": [1, 2, 3]', '"b": [1, 2, 3, 4]', "decorating"),
        ('"y", "z"}', '"y"}', "counting"),
        ("calls = 0", "calls = 10", ""),
        ("np.arange(4.0)", "np.arange(4.0) + 1", "weighing"),
        ("BLUE = 2", "BLUE = 3", "coloured"),
        ("y: float = 2.0", "y: float = 2.5", "geometry weighing"),
        ("x: float\n    y", "x: int\n    y", "geometry weighing"),
        ("default_factory=list", "default_factory=set", "geometry weighing"),
        ("@dataclass\n", "@dataclass(order=True)\n", "geometry weighing"),
        ("return scaled(self.x)", "return -scaled(self.x)", "geometry weighing"),
        ("factor = 5", "factor = 6", "inheriting"),
        ("    @property\n", "    @functools.cached_property\n", "inheriting"),
        ("return n != 0", "return n > 0", "parity"),
        ('@logged("got")', '@logged("had")', "decorating"),
        ("return x + 1", "return x + 2", "decorating"),
        ('return (prefix, TABLE["a"]', 'return (prefix, TABLE["b"]', "decorating"),
        ("return total + SCALE", "return total - SCALE", "closing"),
        ("lambda x: x / 2", "lambda x: x / 3", "halved"),
        ("Point(1.0)", "Point(1.5)", "weighing"),
        ("partial(scaled, 3)", "partial(scaled, 4)", "weighing"),
        ("def leaf(x: int)", "def leaf(x: float)", "leaf parent"),
        ("return await leaf.aio(x)", "return await leaf.aio(x + 1)", "parent"),
    ],
)
def test_an_edit_changes_exactly_its_dependants(old: str, new: str, changed: str, project: Path) -> None:
    before = own_digests(Cells(*CELLS))
    after = own_digests(Cells(*edited(old, new)))
    assert differing(before, after) == set(changed.split())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("  # by a constant", "", id="comment"),
        pytest.param('"Multiplies."', '"""Another docstring."""', id="docstring"),
        pytest.param("return x * SCALE", "return (  x  *\n        SCALE )", id="format"),
        pytest.param("retries=2", "retries=3", id="task decorator"),
        pytest.param('TaskEnvironment("demo")', 'TaskEnvironment("demo", description="changed")', id="environment"),
        pytest.param("def is_even", "UNRELATED = 1\n\ndef unrelated(): ...\n\ndef is_even", id="unrelated names"),
        pytest.param("SCALE = 3", "SCALE = 1 + 2", id="same value"),
    ],
)
def test_what_does_not_change_the_code_changes_no_digest(old: str, new: str, project: Path) -> None:
    assert own_digests(Cells(*edited(old, new))) == own_digests(Cells(*CELLS))


def test_running_tasks_and_unrelated_cells_changes_no_digest(project: Path) -> None:
    cells = Cells(*CELLS)
    before = own_digests(cells)
    for _ in range(3):
        assert cells["counting"].forward(1) and cells["closing"].forward(2) and cells["memoised"].forward(3)
    cells.run("unrelated = [1]\ndef another(): return unrelated")
    assert own_digests(cells) == before


def test_running_a_cell_again_changes_no_digest(project: Path) -> None:
    cells = Cells(*CELLS)
    before = own_digests(cells)
    for cell in CELLS:
        cells.run(cell)
    assert own_digests(cells) == before


def test_an_edit_in_a_module_changes_what_uses_it_once_it_is_reloaded(project: Path) -> None:
    cells = Cells(*CELLS)
    before = own_digests(cells)
    write_modules(project, RATES_MODULE.replace("(1 + VAT)", "(2 + VAT)").replace("UNUSED = 1", "UNUSED = 2"))
    assert own_digests(cells) == before, "the code that runs is still the old one"
    importlib.reload(cells["rates"])
    assert differing(before, own_digests(cells)) == {"taxed"}
    write_modules(project)
    importlib.reload(cells["rates"])
    assert own_digests(cells) == before


def test_code_that_is_not_what_its_file_says_counts_by_its_bytecode(project: Path) -> None:
    rates = importlib.import_module("rates")

    write_modules(project, RATES_MODULE.replace("(1 + VAT)", "(2 + VAT)"))
    assert [entry.kind for entry in explain(rates.with_vat)] == ["bytecode", "value"]


def test_deep_digests_follow_the_tasks_that_are_called(project: Path) -> None:
    before, after = Cells(*CELLS), Cells(*edited("return x * SCALE", "return x + SCALE"))
    assert own_digest(before["parent"]) == own_digest(after["parent"])
    assert deep_digest(before["parent"]) != deep_digest(after["parent"])
    assert deep_digest(before["halved"]) == deep_digest(after["halved"])
    assert deep_digest(before["parent"]) != own_digest(before["parent"])


def test_tasks_that_call_each_other_have_digests() -> None:
    source = """
from flyte_nb.authoring.environment import TaskEnvironment
env = TaskEnvironment("demo")

@env.task
def ping(n: int) -> int:
    return pong(n - 1) if n else 0

@env.task
def pong(n: int) -> int:
    return ping(n - 1) if n else 1
"""
    cells, other = Cells(source), Cells(source.replace("else 1", "else 2"))
    assert own_digest(cells["ping"]) == own_digest(other["ping"])
    assert deep_digest(cells["ping"]) != deep_digest(other["ping"])


def test_a_class_made_by_pydantic_or_attrs_counts_by_its_fields_and_validators() -> None:
    source = """
import attrs
from pydantic import BaseModel, Field, field_validator

class Settings(BaseModel):
    rate: float = Field(0.5, ge=0)
    names: list[str] = Field(default_factory=list)

    @field_validator("rate")
    def check(cls, value):
        return value + 0

@attrs.define
class Row:
    value: int = 3

def f():
    return Settings(), Row()
"""
    digests = [own_digest(Cells(source)["f"]) for _ in range(2)]
    for old, new in [
        ("0.5", "0.6"),
        ("ge=0", "ge=1"),
        ("value + 0", "value + 1"),
        ("= 3", "= 4"),
        ('("rate")', '("names")'),
    ]:
        assert source.count(old) == 1
        digests.append(own_digest(Cells(source.replace(old, new))["f"]))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 6


def test_a_module_imported_by_the_function_counts_before_and_after_it_is_loaded(project: Path) -> None:
    (project / "shop").mkdir()
    (project / "shop" / "__init__.py").write_text("")
    (project / "shop" / "prices.py").write_text("from .discount import PERCENT\ndef price(x): return x * PERCENT\n")
    (project / "shop" / "discount.py").write_text("PERCENT = 90\n")
    cells = Cells("def f(x):\n    from shop.prices import price\n    import json\n    return price(x)\n")

    before = own_digest(cells["f"])
    assert "shop.discount" not in sys.modules, "taking the digest loads nothing"
    assert cells["f"](2) == 180
    assert own_digest(cells["f"]) == before
    (project / "shop" / "discount.py").write_text("PERCENT = 80 \n")
    assert own_digest(cells["f"]) != before


def test_a_module_used_without_an_attribute_counts_whole(project: Path) -> None:
    cells = Cells("import rates\ndef f(name):\n    return getattr(rates, name)\n")
    before = own_digest(cells["f"])
    cells["rates"].UNUSED = 2
    assert own_digest(cells["f"]) != before


def test_a_function_whose_source_is_unknown_counts_by_its_bytecode() -> None:
    def made(source: str) -> str:
        names: dict[str, object] = {"__name__": "__main__", "RATE": 2}
        exec(source, names)
        return own_digest(names["f"])  # type: ignore[arg-type]

    source = "def f(x):\n    return x * RATE if x in {'a', 'b', 'c'} else (lambda: x + 1)()\n"
    assert made(source) == made("\n# elsewhere\n" + source)
    assert made(source) != made(source.replace("+ 1", "+ 2"))


def test_lambdas_on_one_line_are_told_apart() -> None:
    cells = Cells("first, second, third = lambda x: x + 1, lambda x: x + 2, lambda x: x + 1\n")
    assert own_digest(cells["first"]) == own_digest(cells["third"]) != own_digest(cells["second"])


def test_what_an_installed_decorator_wraps_counts() -> None:
    source = "from contextlib import contextmanager\n@contextmanager\ndef opened(x):\n    yield x\n"
    same, other = Cells(source), Cells(source.replace("yield x", "yield -x"))
    assert own_digest(Cells(source)["opened"]) == own_digest(same["opened"]) != own_digest(other["opened"])


def test_explain_lists_what_a_digest_holds(project: Path) -> None:
    cells = Cells(*CELLS)
    captured = {entry.name: entry for entry in explain(cells["counting"])}
    assert captured["counting"].kind == "function"
    assert captured["counting"].size_bytes == len(
        "@env.task\ndef counting(x: int) -> int:\n    global calls\n    calls += 1\n    return calls + len(LABELS)\n"
    ) - len("@env.task\n")
    assert captured["counting: calls"].kind == "assigned"
    assert captured["counting: LABELS"].kind == "value"
    assert {entry.kind for entry in explain(cells["parent"])} == {"function", "task"}
    assert {(entry.name, entry.kind) for entry in explain(cells["weighing"])} >= {
        ("Point", "class"),
        ("scaled", "function"),
        ("weighing: WEIGHTS", "value"),
    }
    assert all(len(entry.digest) == 32 for entry in captured.values())


def test_digests_are_pinned(project: Path) -> None:
    """The same on every supported Python. A change here renames every action: say so in the changelog."""
    cells = Cells(*CELLS)
    assert {name: own_digest(cells[name]) for name in PINNED} == PINNED
    assert deep_digest(cells["parent"]) == "f0ba094dcc76d9d065b3adf05126ad3a"
