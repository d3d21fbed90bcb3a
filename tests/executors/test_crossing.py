"""Exceptions arrive as what they were, with all that hangs on them; never does one fail to arrive."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb import errors
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.executors.crossing import pack_error, unpack_error
from flyte_nb.executors.user_code import is_engine_file
from flyte_nb.types.signature import Signature


def raised(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it was to raise")


def wrong(function: Callable[[], object]) -> Exception:
    error = raised(function)
    assert isinstance(error, Exception)
    return error


def crossed(error: BaseException) -> Any:
    return unpack_error(pack_error(error))


def text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


class Picky(ValueError):
    """Takes other arguments than it hands on."""

    def __init__(self, cell: int, line: int) -> None:
        super().__init__(f"cell {cell}, line {line}")
        self.cell = cell
        self.connection: socket.socket | None = None


class Stubborn(KeyError):
    """Cannot be taken apart."""

    def __reduce__(self) -> Any:
        raise RuntimeError("no")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


NOTHING: dict[str, int] = {}


def chained() -> None:
    try:
        int("x")
    except ValueError as error:
        error.add_note("look here")
        raise Picky(3, 7) from error


def shadowed() -> None:
    try:
        NOTHING["x"]
    except KeyError:
        ().index(1)


def hidden() -> None:
    try:
        NOTHING["x"]
    except KeyError:
        raise Picky(1, 1) from None


def grouped() -> None:
    raise ExceptionGroup("both", [wrong(chained), ExceptionGroup("inner", [wrong(shadowed)])])


@pytest.mark.parametrize("function", [chained, shadowed, hidden, grouped])
def test_what_is_printed_of_an_error_is_the_same_on_the_other_side(function: Callable[[], None]) -> None:
    error = raised(function)
    assert text_of(crossed(error)) == text_of(error)
    assert text_of(crossed(crossed(error))) == text_of(error)


def test_classes_arguments_attributes_and_notes_arrive() -> None:
    error = raised(chained)
    arrived = crossed(error)
    assert type(arrived) is Picky and arrived.__cause__ is not None
    assert (arrived.cell, arrived.args) == (3, ("cell 3, line 7",))
    assert arrived.__cause__.__notes__ == ["look here"]
    assert arrived.__suppress_context__


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt("stop"),
        asyncio.CancelledError("why"),
        GeneratorExit(),
        StopIteration(4),
        KeyError("x"),
        OSError(2, "missing", "file.txt"),
        ImportError("no", name="module"),
        UnicodeDecodeError("utf8", b"\xff", 0, 1, "bad"),
        SyntaxError("wrong", ("cell", 1, 2, "x = ", 1, 3)),
        RecursionError("deep"),
        Exception(),
        Exception("a", {"b": [1]}),
        errors.OOMError("OOM", "used 2 GB", "worker 1"),
        errors.RuntimeUserError("ValueError", "bad"),
        errors.MaxRuntimeExceededError("3 s"),
        errors.RuntimeDataValidationError("x", "no int", "demo.task"),
        errors.InvalidPackageError("curl", "none"),
        errors.CustomError.from_exception(ValueError("x")),
    ],
    ids=repr,
)
def test_errors_of_every_kind_arrive_as_themselves(error: BaseException) -> None:
    arrived = crossed(error)
    assert type(arrived) is type(error)
    assert (arrived.args, str(arrived), vars(arrived)) == (error.args, str(error), vars(error))
    for name in ("code", "kind", "errno", "filename", "name", "lineno", "value", "worker"):
        assert getattr(arrived, name, None) == getattr(error, name, None)


def test_what_cannot_cross_of_an_error_stays_behind() -> None:
    error = Picky(1, 2)
    with socket.socket() as connection:
        error.connection = connection
        arrived = crossed(error)
    assert type(arrived) is Picky
    assert vars(arrived) == {"cell": 1}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Stubborn("key", socket), repr(("key", socket))),
        (Picky.__new__(Picky, socket.socket), str(socket.socket)),
        (type("Private", (OSError,), {"__init__": lambda self, a, b: None})(1, 2), None),
    ],
    ids=["arguments", "class", "local"],
)
def test_a_class_that_resists_is_kept_where_it_can_be(error: BaseException, message: str | None) -> None:
    arrived = crossed(error)
    assert type(arrived).__name__ == type(error).__name__
    assert str(arrived) == (str(error) if message is None else message)


def test_an_error_that_cannot_be_pickled_is_told_by_one_of_the_same_name() -> None:
    with socket.socket() as connection:
        error = raised(lambda: (_ for _ in ()).throw(Stubborn("lost", connection)))
        error.add_note("kept")
        arrived = crossed(error)
        assert (type(arrived).__name__, type(arrived).__module__) == ("Stubborn", __name__)
        assert type(arrived) is not Stubborn
        assert isinstance(arrived, KeyError)
        assert str(arrived) == str(error)
        assert text_of(crossed(arrived)) == text_of(arrived)
        assert errors.user_error(arrived).code == errors.user_error(error).code == "Stubborn"


def test_an_error_too_large_to_cross_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte_nb.executors.crossing.LIMIT_BYTES", 1000)
    arrived = crossed(ValueError("x" * 2000))
    assert (type(arrived).__name__, str(arrived)) == ("ValueError", "x" * 2000)


def test_an_error_without_words_arrives() -> None:
    arrived = crossed(Mute("x"))
    assert type(arrived) is Mute
    assert arrived.args == ("x",)


def test_a_group_with_a_member_that_cannot_cross_arrives() -> None:
    with socket.socket() as connection:
        group = crossed(ExceptionGroup("two", [Stubborn("a", connection), ValueError("b")]))
    assert isinstance(group, ExceptionGroup)
    assert [type(member).__name__ for member in group.exceptions] == ["Stubborn", "ValueError"]
    assert group.message == "two"


def test_errors_inside_errors_keep_their_tracebacks() -> None:
    error = RuntimeError("outer", raised(chained))
    inner = crossed(error).args[1]
    assert text_of(inner) == text_of(error.args[1])


def test_errors_that_hold_themselves_arrive() -> None:
    error, other = ValueError("one"), ValueError("two")
    error.args = (error,)
    assert type(crossed(error)).__name__ == "ValueError"
    one, two = Picky(1, 1), Picky(2, 2)
    one.other, two.other = two, one  # type: ignore[attr-defined]
    assert crossed(one).other.cell == 2
    other.__context__, error.__context__ = error, other
    assert crossed(other).__context__.__context__ is not None


def test_a_recursion_without_end_arrives_in_brief() -> None:
    def endless(depth: int) -> int:
        return endless(depth + 1)

    error = raised(lambda: endless(0))
    arrived = crossed(error)
    assert type(arrived) is RecursionError
    assert len(traceback.extract_tb(arrived.__traceback__)) == 200
    assert len(pack_error(error)) < 50_000


def test_a_long_chain_arrives_in_part() -> None:
    error = ValueError(0)
    for number in range(1, 300):
        later = ValueError(number)
        later.__cause__ = error
        error = later
    arrived, length = crossed(error), 0
    while arrived is not None:
        arrived, length = arrived.__cause__, length + 1
    assert length == 100


def test_the_engines_own_frames_are_left_out() -> None:
    async def failing() -> None:
        Signature.encode_inputs(None, (), {}, None)  # type: ignore[arg-type]

    error = raised(lambda: asyncio.run(failing()))
    files = [frame.filename for frame in traceback.extract_tb(crossed(error).__traceback__)]
    assert files
    assert not any(map(is_engine_file, files))


def test_the_record_of_an_error_is_the_same_on_both_sides() -> None:
    error = raised(chained)
    assert describe_error(crossed(error)) == describe_error(error)
    assert describe_error(crossed(error)).place.startswith("test_crossing.py, line ")


def test_frames_say_which_function_and_module_they_were_in() -> None:
    tb = crossed(raised(lambda: chained())).__traceback__
    names = []
    while tb is not None:
        names.append((tb.tb_frame.f_code.co_name, tb.tb_frame.f_globals["__name__"]))
        tb = tb.tb_next
    assert names[-2:] == [("<lambda>", __name__), ("chained", __name__)]


words = st.text(max_size=20)
plain = st.one_of(words, st.integers(), st.floats(allow_nan=False), st.binary(max_size=20), st.none())
kinds = st.sampled_from([ValueError, KeyError, OSError, RuntimeError, StopIteration, SystemExit, AssertionError])


@given(kinds, st.lists(plain, max_size=4), st.lists(words, max_size=2), st.integers(0, 3))
def test_any_plain_error_arrives(kind: type[BaseException], args: list[Any], notes: list[str], depth: int) -> None:
    error: BaseException | None = kind(*args)
    assert error is not None
    for note in notes:
        error.add_note(note)
    for number in range(depth):
        outer = kind(number)
        outer.__cause__ = error
        error = outer
    arrived = crossed(error)
    while error is not None:
        assert type(arrived) is type(error)
        assert arrived.args == error.args
        assert getattr(arrived, "__notes__", []) == getattr(error, "__notes__", [])
        error, arrived = error.__cause__, arrived.__cause__
    assert arrived is None
