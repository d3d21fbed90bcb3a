from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import flyte_nb as flyte
from flyte_nb.io import File
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given, input_from_text, labels_of

env = flyte.TaskEnvironment("given")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Model(BaseModel):
    name: str
    depth: int = 3


class Opaque:
    pass


@env.task
async def everything(
    number: int = 0,
    rate: float = 0.1,
    text: str = "",
    flag: bool = False,
    colour: Colour = Colour.RED,
    mode: Literal["fast", "slow"] = "fast",
    day: datetime.date = datetime.date(2026, 1, 1),
    numbers: list[int] | None = None,
    point: Point | None = None,
    model: Model | None = None,
    either: int | str = 0,
    maybe: int | None = None,
    table: dict[str, float] | None = None,
    pair: tuple[int, str] = (0, ""),
    anything: Any = None,
    opaque: Opaque | None = None,
) -> None: ...


@env.task
async def strict(x: int, opaque: Opaque) -> None: ...


@env.task
async def reads(source: File) -> None: ...


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("number", "-3", -3),
        ("rate", "1e-3", 0.001),
        ("text", "5", "5"),
        ("text", "[1", "[1"),
        ("flag", "yes", True),
        ("flag", "0", False),
        ("colour", "blue", Colour.BLUE),
        ("colour", "BLUE", Colour.BLUE),
        ("day", "2026-09-24", datetime.date(2026, 9, 24)),
        ("numbers", "[1, 2]", [1, 2]),
        ("numbers", "None", None),
        ("point", '{"x": 1, "y": 2}', Point(1, 2.0)),
        ("model", '{"name": "a"}', Model(name="a")),
        ("maybe", "7", 7),
        ("maybe", "null", None),
        ("table", '{"a": 0.5}', {"a": 0.5}),
        ("pair", '[1, "a"]', (1, "a")),
        ("anything", '{"a": [1]}', {"a": [1]}),
        ("anything", "plain words", "plain words"),
    ],
)
def test_text_becomes_a_value_of_the_parameters_type(name: str, text: str, value: Any) -> None:
    assert input_from_text(everything, name, text) == value


def test_a_literal_takes_its_words() -> None:
    assert input_from_text(everything, "mode", "slow").value == "slow"


def test_a_file_is_given_by_its_path(tmp_path: Any) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n")
    assert input_from_text(reads, "source", str(path)).path == str(path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("number", "abc", "number must be int, got 'abc': Input should be a valid integer"),
        ("number", "true", "number must be int, got 'true'"),
        ("flag", "maybe", "flag must be bool, got 'maybe'"),
        ("colour", "green", "colour must be Colour, got 'green': Input should be 'red' or 'blue'"),
        ("numbers", '[1, "x"]', "(at 1)"),
        ("point", '{"y": 1}', "Field required (at x)"),
        ("model", '{"name": "a", "depth": "deep"}', "(at depth)"),
    ],
)
def test_a_wrong_value_names_the_parameter_the_type_and_the_value(name: str, text: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        input_from_text(everything, name, text)
    assert said in str(caught.value)
    assert str(caught.value).startswith("given.everything: ") and "\n" not in str(caught.value)


def test_a_type_without_text_says_to_give_an_expression() -> None:
    with pytest.raises(CommandError, match=r"opaque must be Opaque, got 'x': .* give a Python expression"):
        input_from_text(strict, "opaque", "x")


def taken(*words: str) -> Given:
    given, rest = Given(everything), list(words)
    while rest:
        given.take_option(rest.pop(0), rest)
    return given


def test_options_are_read_in_each_of_their_forms() -> None:
    given = taken("--number", "3", "--rate=0.5", "--flag", "--label", "team=risk", "--label=who=me", "--text=a=b")
    assert given.inputs == {"number": 3, "rate": 0.5, "flag": True, "text": "a=b"}
    assert given.labels == {"team": "risk", "who": "me"}
    assert taken("--no-flag").inputs == {"flag": False}
    assert taken("--flag", "off", "--number", "1").inputs == {"flag": False, "number": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--numbr", "3"], "no parameter 'numbr'. Did you mean number"),
        (["--number"], "--number needs a value"),
        (["--number", "1", "--number", "2"], "number is given twice"),
        (["--label", "team"], "A label is given as KEY=VALUE, got 'team'"),
    ],
)
def test_a_wrong_option_is_one_clear_message(words: list[str], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        taken(*words)
    assert said in str(caught.value)


def test_missing_inputs_are_named_with_what_the_task_takes() -> None:
    with pytest.raises(CommandError, match=r"given.strict needs x, opaque. It takes x: int, opaque: Opaque."):
        Given(strict).check()


def test_labels_keep_what_stands_behind_the_first_sign() -> None:
    assert labels_of(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
