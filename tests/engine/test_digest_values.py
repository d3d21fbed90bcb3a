"""Values in code digests: equal ones, and only those, have equal digests; what counts by type alone is said."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.engine.code.digests import own_digest
from tests.engine.digest_program import Cells


def test_values_over_the_limits_count_by_name_type_and_shape_and_warn_once(caplog: pytest.LogCaptureFixture) -> None:
    source = """
import numpy as np
import pandas as pd
MANY = list(range(2_000))
WIDE = np.zeros(300_000)
frame = pd.DataFrame({"a": [1, 2, 3]})

def reader():
    return len(MANY) + WIDE.size + len(frame)
"""
    cells = Cells(source)
    with caplog.at_level("WARNING", logger="flyte"):
        first = own_digest(cells["reader"])
        assert own_digest(cells["reader"]) == first
    assert len(caplog.records) == 3
    text = caplog.text
    assert "reader: MANY is a list of 2000 items" in text
    assert "reader: WIDE is a numpy.ndarray 300000 float64" in text
    assert "reader: frame is a pandas.DataFrame 3 x 1" in text
    assert "Pass it as an input" in text

    cells.run("MANY[0] = 7; WIDE[0] = 7; frame.loc[0, 'a'] = 7")
    assert own_digest(cells["reader"]) == first
    cells.run("MANY.append(1)")
    assert own_digest(cells["reader"]) != first


def test_loggers_locks_and_context_variables_count_by_type_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    cells = Cells("""
import contextvars, logging, threading
log, lock, variable = logging.getLogger(__name__), threading.Lock(), contextvars.ContextVar("v")

def quiet():
    with lock:
        log.info(variable.get())
""")
    with caplog.at_level("WARNING", logger="flyte"):
        own_digest(cells["quiet"])
    assert not caplog.records


def test_a_container_that_the_code_fills_counts_by_type() -> None:
    cells = Cells("""
memory = {}

def remember(x):
    if x not in memory:
        memory[x] = x * 2
    return memory[x]
""")
    before = own_digest(cells["remember"])
    cells["remember"](3)
    assert own_digest(cells["remember"]) == before
    cells.run("memory = []")
    assert own_digest(cells["remember"]) != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "True"),
        ("1", "1.0"),
        ("0.0", "-0.0"),
        ("'1'", "b'1'"),
        ("(1, 2)", "[1, 2]"),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
        ("2**70", "2**70 + 1"),
        ("Path('a')", "Path('b')"),
        ("datetime(2026, 1, 1)", "datetime(2026, 1, 2)"),
        ("Decimal('1.0')", "Decimal('1.00')"),
        ("re.compile('a' * 500)", "re.compile('a' * 500, re.I)"),
        ("np.array([1, 2])", "np.array([1.0, 2.0])"),
        ("np.zeros((2, 3))", "np.zeros((3, 2))"),
        ("np.float32(1)", "np.float64(1)"),
        ("np.array([1, 'a'], dtype=object)", "np.array([1, 'b'], dtype=object)"),
        ("Literal['a', 'b']", "Literal['a', 'c']"),
        ("list[int]", "list[str]"),
        ("Box(1)", "Box(2)"),
        ("Slotted(1)", "Slotted(2)"),
        ("Names(['a'])", "Names(['b'])"),
        ("[Box([1])]", "[Box([2])]"),
        ("math.sin", "math.cos"),
        ("np.add", "np.subtract"),
        ("str.upper", "str.lower"),
        ("Box(1).get", "Box(2).get"),
    ],
)
def test_values_that_differ_have_digests_that_differ(one: str, other: str) -> None:
    preamble = """
import math, re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal
import numpy as np

class Box:
    def __init__(self, value): self.value = value
    def get(self): return self.value

class Slotted:
    __slots__ = ("value",)
    def __init__(self, value): self.value = value

class Names(list): pass

def f():
    return VALUE
"""
    digests = {
        expression: {own_digest(Cells(preamble, f"VALUE = {expression}")["f"]) for _ in range(2)}
        for expression in (one, other)
    }
    assert all(len(same) == 1 for same in digests.values()), "equal values have equal digests"
    assert digests[one] != digests[other]


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.decimals(allow_nan=False)
)
keys = st.text() | st.integers() | st.tuples(st.text(), st.integers())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner)
        | st.frozensets(keys)
        | st.sets(st.text())
    ),
    max_leaves=10,
)


def spelled(value: Any) -> str:
    """A value as text in which types show and the order of sets does not."""
    match value:
        case set() | frozenset():
            return f"{type(value).__name__}{sorted(map(spelled, value))}"
        case list() | tuple():
            return f"{type(value).__name__}{[spelled(item) for item in value]}"
        case dict():
            return f"dict{[(spelled(key), spelled(item)) for key, item in value.items()]}"
        case _:
            return f"{type(value).__name__} {value!r}"


READER = Cells("def read():\n    return VALUE\n")


def digest_with(value: object) -> str:
    READER.names["VALUE"] = value
    return own_digest(READER["read"])


@given(values)
def test_a_copy_of_a_value_has_its_digest(value: Any) -> None:
    assert digest_with(pickle.loads(pickle.dumps(value))) == digest_with(value)


@given(values, values)
def test_values_share_a_digest_exactly_when_they_are_equal(one: Any, other: Any) -> None:
    assert (digest_with(one) == digest_with(other)) == (spelled(one) == spelled(other))


def test_values_nested_too_deep_count_by_type(caplog: pytest.LogCaptureFixture) -> None:
    def nested(value: object, levels: int) -> object:
        for _ in range(levels):
            value = [value]
        return value

    assert digest_with(nested(1, 90)) != digest_with(nested(2, 90))
    assert not caplog.records
    assert digest_with(nested(1, 200)) == digest_with(nested(2, 200))
    assert "VALUE is a list of 1 items" in caplog.text


def test_values_that_hold_themselves_have_a_digest() -> None:
    cells = Cells("""
ring = [1]
ring.append(ring)

class Node:
    def run(self): return ring

node = Node()
node.me, node.callback = node, node.run

def f():
    return node
""")
    assert own_digest(cells["f"]) == own_digest(cells["f"])


def test_types_count_by_what_they_say_on_every_python() -> None:
    """Pinned: Python 3.13 and 3.14 made new classes of `Literal`, `Annotated`, unions and forward references."""
    cells = Cells("""
import typing
from collections.abc import Callable

Later = typing.NamedTuple("Later", [("x", int)])
TYPES = [
    int | None, typing.Optional[int], typing.Union["Other", int], typing.List["Other"], list["Other"],
    typing.Annotated[int, "metres"], typing.Literal["a", 1], typing.Callable[[int], str], Callable[[int], str],
    typing.Dict[str, typing.Any], tuple[int, ...], typing.TypeVar("T"),
]

def f():
    return TYPES

class Typed:
    a: int | None
    b: typing.Literal["a"]
    c: "Other"
    d: typing.Annotated[int, "metres"]

def g():
    return Typed, Later
""")
    assert own_digest(cells["f"]) == "a0bac07d9deaa5d9d19cfe24db050259"
    assert own_digest(cells["g"]) == "604e011aef1c8ed1802852da6f8b8cdf"
    assert digest_with(int | None) == digest_with(cells["TYPES"][1])
    assert digest_with(int | None) != digest_with(int | str)
    assert digest_with(list[int]) != digest_with(tuple[int])


def test_functions_that_python_makes_of_annotations_do_not_count() -> None:
    cells = Cells("class Typed:\n    a: int\n\ndef f():\n    return Typed\n")
    before = own_digest(cells["f"])
    cells.run("Typed.__annotate_func__ = lambda format: {'a': int}")
    assert own_digest(cells["f"]) == before
