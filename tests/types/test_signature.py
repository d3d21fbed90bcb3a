"""A call is bound, checked, encoded and copied in one pass, with Flyte's errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from flyte_nb.errors import RuntimeDataValidationError
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.signature import Signature

Compile = Callable[[Callable[..., Any]], Signature]


def add(a: int, b: int = 2) -> int: ...


def nothing(a: int) -> None: ...


def unannotated(x): ...


def two(a: int) -> tuple[int, str]: ...


class Named(NamedTuple):
    total: int
    label: str


def named(a: int) -> Named: ...


def lists(xs: list[int], table: dict[str, list[int]]) -> list[int]: ...


class Plain:
    def __init__(self, value: int) -> None:
        self.value = value


def plain(x: Plain, y: int) -> Plain: ...


def test_positional_and_keyword_arguments_and_defaults_are_bound(signature_of: Compile, blobs: MemoryBlobs) -> None:
    signature = signature_of(add)
    expected = {"a": 1, "b": 5}
    for args, kwargs in [((1, 5), {}), ((1,), {"b": 5}), ((), {"a": 1, "b": 5}), ((), {"b": 5, "a": 1})]:
        payload, arguments = signature.encode_inputs(args, kwargs, blobs)
        assert arguments == expected
        assert payload == signature.encode_inputs((1, 5), {}, blobs)[0]
    assert signature.encode_inputs((1,), {}, blobs)[1] == {"a": 1, "b": 2}


def test_an_unknown_keyword_is_ignored_with_a_word_while_the_count_fits(
    signature_of: Compile, blobs: MemoryBlobs, caplog: pytest.LogCaptureFixture
) -> None:
    assert signature_of(add).encode_inputs((), {"a": 1, "zzz": 1}, blobs)[1] == {"a": 1, "b": 2}
    assert "are ignored, as Flyte does: zzz. env.add takes a: int, b: int." in caplog.text


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "Missing required inputs: a"),
        ((1, 2, 3), {}, "Too many positional arguments provided, expected inputs .*args 3"),
        ((1, 2), {"z": 3}, "Too many keyword arguments provided"),
    ],
)
def test_a_call_that_does_not_fit_says_why(
    signature_of: Compile, blobs: MemoryBlobs, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        signature_of(add).encode_inputs(args, kwargs, blobs)


def test_a_wrong_value_names_variable_types_and_value(signature_of: Compile, blobs: MemoryBlobs) -> None:
    with pytest.raises(TypeError) as caught:
        signature_of(add).encode_inputs((1, "q"), {}, blobs)
    assert type(caught.value) is TypeError
    assert str(caught.value) == (
        "Type conversion failed for variable 'b'.\n"
        "Expected type: <class 'int'>\n"
        "Actual type: <class 'str'>\n"
        "Value received: 'q'\n"
        "Reason: Expected value of type <class 'int'> but got 'q' of type <class 'str'>\n"
        "Task: env.add"
    )


def test_the_message_about_a_huge_value_is_short(signature_of: Compile, blobs: MemoryBlobs) -> None:
    with pytest.raises(TypeError) as caught:
        signature_of(add).encode_inputs(([0] * 1_000_000, 1), {}, blobs)
    assert len(str(caught.value)) < 5_000


def test_the_callee_gets_copies_of_what_is_mutable(signature_of: Compile, blobs: MemoryBlobs) -> None:
    xs, table = [1, 2], {"a": [1]}
    _, arguments = signature_of(lists).encode_inputs((xs, table), {}, blobs)
    arguments["xs"].append(99)
    arguments["table"]["a"].append(99)
    assert (xs, table) == ([1, 2], {"a": [1]})
    returned = [1, 2]
    _, result = signature_of(lists).encode_outputs(returned, blobs)
    assert result == returned and result is not returned


def test_a_mutable_default_is_copied_for_every_call(signature_of: Compile, blobs: MemoryBlobs) -> None:
    def collect(xs: list[int] = [1]) -> int: ...  # noqa: B006  # the very thing that is tested

    signature = signature_of(collect)
    signature.encode_inputs((), {}, blobs)[1]["xs"].append(2)
    assert signature.encode_inputs((), {}, blobs)[1] == {"xs": [1]}


def test_outputs_come_back_as_the_caller_expects_them(signature_of: Compile, blobs: MemoryBlobs) -> None:
    assert signature_of(add).encode_outputs(7, blobs)[1] == 7
    assert signature_of(two).encode_outputs((1, "a"), blobs)[1] == (1, "a")
    assert signature_of(nothing).encode_outputs(None, blobs)[1] is None
    result = signature_of(named).encode_outputs(Named(3, "x"), blobs)[1]
    assert (result.total, result.label, result) == (3, "x", (3, "x"))


def test_recorded_outputs_decode_to_the_values_of_action_outputs(signature_of: Compile, blobs: MemoryBlobs) -> None:
    assert signature_of(two).decode_outputs(signature_of(two).encode_outputs((1, "a"), blobs)[0], blobs) == (1, "a")
    assert signature_of(nothing).decode_outputs(signature_of(nothing).encode_outputs(None, blobs)[0], blobs) == (None,)


@pytest.mark.parametrize(("function", "result"), [(add, "x"), (add, None), (add, True), (nothing, 1), (unannotated, 3)])
def test_a_wrong_result_is_a_data_validation_error(
    signature_of: Compile, blobs: MemoryBlobs, function: Callable[..., Any], result: Any
) -> None:
    with pytest.raises(RuntimeDataValidationError, match=f"In task env.{function.__name__} variable o0"):
        signature_of(function).encode_outputs(result, blobs)


@pytest.mark.parametrize(("function", "result"), [(two, (1,)), (two, 1), (add, (1, 2))])
def test_a_wrong_number_of_results_is_flytes_assertion(
    signature_of: Compile, blobs: MemoryBlobs, function: Callable[..., Any], result: Any
) -> None:
    with pytest.raises(AssertionError, match=r"Received \d outputs but return annotation has \d"):
        signature_of(function).encode_outputs(result, blobs)


def test_a_tuple_is_one_value_where_the_one_output_takes_tuples(signature_of: Compile, blobs: MemoryBlobs) -> None:
    def anything() -> Any: ...

    assert signature_of(anything).encode_outputs((1, 2), blobs)[1] == (1, 2)


def test_a_record_of_an_older_signature_says_so(signature_of: Compile, blobs: MemoryBlobs) -> None:
    payload, _ = signature_of(nothing).encode_inputs((1,), {}, blobs)
    with pytest.raises(ValueError, match=r"inputs of task env\.add are 1 values, its signature now has 2"):
        signature_of(add).decode_inputs(payload, blobs)


def test_types_are_described_for_tables(signature_of: Compile) -> None:
    signature = signature_of(lists)
    assert signature.input_descriptions == [("xs", "list[int]"), ("table", "dict[str, list[int]]")]
    assert signature.output_descriptions == [("o0", "list[int]")]


def test_a_class_that_is_pickled_is_warned_of_once_per_variable(
    signature_of: Compile, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="flyte"):
        signature_of(plain)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "Task env.plain: 'x' of type Plain is passed by pickle",
        "Task env.plain: 'o0' of type Plain is passed by pickle",
    ]


def test_an_integer_beyond_64_bits_and_undecodable_text_cross(signature_of: Compile, blobs: MemoryBlobs) -> None:
    def odd(number: int, text: str) -> int: ...

    signature = signature_of(odd)
    payload, arguments = signature.encode_inputs((2**80, "a\udcff"), {}, blobs)
    assert signature.decode_inputs(payload, blobs) == arguments == {"number": 2**80, "text": "a\udcff"}


def test_what_identifies_inputs_leaves_ignored_ones_out(signature_of: Compile, blobs: MemoryBlobs) -> None:
    signature = signature_of(add)
    one, other = (signature.encode_inputs((1, b), {}, blobs)[0] for b in (2, 3))
    assert signature.identity(one) != signature.identity(other)
    assert signature.identity(one, ("b",)) == signature.identity(other, ("b",))


def echo(text: str, numbers: list[int]) -> str:
    return text


def test_a_large_text_or_list_is_put_into_the_value_store_and_comes_back(
    signature_of: Compile, blobs: MemoryBlobs
) -> None:
    signature = signature_of(echo)
    text, numbers = "x" * 3_000_000, list(range(2_000_000))
    payload, copies = signature.encode_inputs((text, numbers), {}, blobs)
    assert len(payload) < 10_000
    assert copies == {"text": text, "numbers": numbers}
    assert signature.decode_inputs(payload, blobs) == copies
    outputs, _ = signature.encode_outputs(text, blobs)
    assert len(outputs) < 10_000
    assert signature.decode_outputs(outputs, blobs) == (text,)
    again, _ = signature.encode_inputs((text, numbers), {}, blobs)
    assert signature.identity(again) == signature.identity(payload)


@pytest.mark.parametrize(("task", "given"), [(add, (1, 5)), (lists, ([1], {"a": [2]})), (plain, (Plain(3), 4))])
def test_what_is_packed_for_another_process_is_what_would_be_encoded_here(
    signature_of: Compile, blobs: MemoryBlobs, task: Callable[..., Any], given: tuple[Any, ...]
) -> None:
    signature = signature_of(task)
    assert signature.pack_inputs(given, {}, blobs) == signature.encode_inputs(given, {}, blobs)[0]
    named = dict(zip(signature.input_names, given, strict=True))
    assert signature.pack_inputs((), named, blobs) == signature.encode_inputs((), named, blobs)[0]


@pytest.mark.parametrize(("task", "result"), [(add, 3), (nothing, None), (two, (1, "x")), (lists, [1, 2])])
def test_outputs_are_packed_as_they_would_be_encoded(
    signature_of: Compile, blobs: MemoryBlobs, task: Callable[..., Any], result: Any
) -> None:
    signature = signature_of(task)
    assert signature.pack_outputs(result, blobs) == signature.encode_outputs(result, blobs)[0]


def test_packing_refuses_what_encoding_refuses(signature_of: Compile, blobs: MemoryBlobs) -> None:
    signature = signature_of(add)
    with pytest.raises(ValueError, match="Missing required inputs: a"):
        signature.pack_inputs((), {}, blobs)
    with pytest.raises(TypeError, match="Type conversion failed for variable 'a'"):
        signature.pack_inputs(("x",), {}, blobs)
    with pytest.raises(RuntimeDataValidationError):
        signature.pack_outputs("x", blobs)
    with pytest.raises(RuntimeDataValidationError):
        signature_of(nothing).pack_outputs(1, blobs)
