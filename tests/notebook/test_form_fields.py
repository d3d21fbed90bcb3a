"""Fields of forms: what types become, what is read back, what is refused and where."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as some

from flyte_nb.io import DataFrame, Dir, File
from flyte_nb.notebook.forms.fields import NOTHING, Field, FieldError
from flyte_nb.types.names import describe_type


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Inner:
    rate: float = 0.1
    steps: list[int] = field(default_factory=list)


class Model(pydantic.BaseModel):
    name: str
    inner: Inner = Inner()


class Opaque:
    pass


EXAMPLES: list[tuple[Any, Any]] = [
    (int, 3),
    (float, 0.5),
    (str, "<b>"),
    (bool, True),
    (datetime.datetime, datetime.datetime(2026, 1, 31, 10, tzinfo=datetime.UTC)),
    (datetime.timedelta, datetime.timedelta(seconds=90)),
    (Color, Color.BLUE),
    (Literal["a", "b"], "b"),
    (int | None, None),
    (int | str, "x"),
    (list[int], [1, 2]),
    (tuple[int, str], (1, "x")),
    (set[int], {1, 2}),
    (dict[str, list[float]], {"a": [1.0]}),
    (dict[int, str], {1: "a"}),
    (Inner, Inner(0.2, [1])),
    (Model, Model(name="m", inner=Inner(0.3))),
]
FIELDS = [Field("x", declared) for declared, _ in EXAMPLES]


@pytest.mark.parametrize(("declared", "value"), EXAMPLES, ids=lambda one: describe_type(one) if one else "none")
def test_a_default_stands_in_the_form_and_reads_back_as_itself(declared: Any, value: Any) -> None:
    made = Field("x", declared, value)
    entry = made.description({})["entry"]
    assert "json" in entry and made.schema is not None
    assert made.check(entry, {}) == []
    assert made.read(entry, {}) == value


@given(some.recursive(some.none() | some.booleans() | some.integers() | some.text(), some.lists, max_leaves=5))
def test_no_json_breaks_the_check_of_a_field(value: Any) -> None:
    for made in FIELDS:
        for problem in made.check({"json": value}, {}):
            assert problem["field"] == "x" and problem["message"]


@pytest.mark.parametrize("declared", [pd.DataFrame, np.ndarray, Opaque, DataFrame])
def test_what_json_cannot_say_is_given_as_an_expression(declared: Any) -> None:
    description = Field("x", declared).description({})
    assert description["schema"] is None and description["entry"] == {"expression": ""}
    assert Field("x", declared).check({"json": 3}, {})


@pytest.mark.parametrize("declared", [File, Dir])
def test_files_and_folders_are_given_by_path(declared: Any, tmp_path: Any) -> None:
    made = Field("x", declared)
    assert made.schema is not None and made.schema["x-flyte-type"] in ("file", "dir")
    assert made.read({"json": {"path": str(tmp_path)}}, {}).path == str(tmp_path)


def test_variables_that_fit_are_suggested_by_name() -> None:
    namespace = {"df": pd.DataFrame(), "_hidden": pd.DataFrame(), "n": 3, "Out": {}}
    assert Field("x", pd.DataFrame).description(namespace)["names"] == ["df"]
    assert Field("x", int).description(namespace)["names"] == []
    assert Field("x", dict[str, int]).description(namespace)["names"] == []


def test_a_problem_says_where_inside_the_value_it_is() -> None:
    problems = Field("m", Model).check({"json": {"name": 3, "inner": {"rate": "x"}}}, {})
    assert [problem["path"] for problem in problems] == [["name"], ["inner", "rate"]]


def test_an_expression_is_not_evaluated_before_the_end() -> None:
    called = []
    namespace = {"launch": lambda: called.append(1), "n": 3, "text": "x"}
    made = Field("x", int)
    assert made.check({"expression": "launch()"}, namespace) == [] and called == []
    assert made.check({"expression": "n"}, namespace) == []
    assert "No variable is named m" in made.check({"expression": "m"}, namespace)[0]["message"]
    assert "valid integer" in made.check({"expression": "text"}, namespace)[0]["message"]
    assert "Not a Python expression" in made.check({"expression": "1 +"}, namespace)[0]["message"]
    assert made.read({"expression": "n + 1"}, namespace) == 4
    with pytest.raises(FieldError, match="ZeroDivisionError"):
        made.read({"expression": "1 / 0"}, namespace)


def test_nothing_means_the_default_and_is_refused_without_one() -> None:
    assert Field("x", int, 3).read({}, {}) is NOTHING
    with pytest.raises(FieldError, match="A value is needed"):
        Field("x", int).read({}, {})


def test_a_recorded_value_stands_in_the_form_where_it_is_short_and_is_named_where_not() -> None:
    frame = pd.DataFrame({"x": [1]})
    assert Field("x", int, 3, recorded=5).description({})["entry"] == {"json": 5}
    assert Field("x", list[int], recorded=list(range(100_000))).description({})["entry"] == {"recorded": True}
    named = Field("x", pd.DataFrame, recorded=frame)
    assert named.description({})["entry"] == {"recorded": True}
    assert named.read({"recorded": True}, {}) is frame


def test_a_recorded_value_that_may_not_be_shown_is_nowhere_in_the_form() -> None:
    description = Field("x", str, recorded="hunter2", shows_recorded=False).description({})
    assert "hunter2" not in str(description) and description["entry"] == {"recorded": True}
