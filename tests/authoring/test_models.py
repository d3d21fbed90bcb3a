"""Interfaces, contexts, ids and paths."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from flyte_nb.models import (
    NULL_TASK_CONTEXT,
    ActionID,
    ActionPhase,
    CheckpointPaths,
    CodeBundle,
    Docstring,
    NativeInterface,
    PathRewrite,
    RawDataPath,
    TaskContext,
    extract_return_annotation,
    literal_to_enum,
)


class Pair(NamedTuple):
    total: int
    label: str


def returns(annotation: Any) -> Callable[..., Any]:
    def function(x: int) -> None: ...

    function.__annotations__["return"] = annotation
    return function


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        (None, {}),
        (int, {"o0": int}),
        (tuple[int, str], {"o0": int, "o1": str}),
        (Pair, {"total": int, "label": str}),
        (list[int], {"o0": list[int]}),
        (int | None, {"o0": int | None}),
    ],
)
def test_outputs_are_named_as_flyte_names_them(annotation: Any, outputs: dict[str, Any]) -> None:
    assert NativeInterface.from_callable(returns(annotation)).outputs == outputs


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (tuple[int], "Tuples should be used to indicate multiple return values"),
        (tuple[int, ...], "Variable length tuples are not supported"),
    ],
)
def test_tuples_that_are_no_outputs_are_refused(annotation: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        NativeInterface.from_callable(returns(annotation))


def test_a_return_annotation_that_is_still_text_is_refused() -> None:
    with pytest.raises(TypeError, match="String return annotations"):
        extract_return_annotation("int")


@pytest.mark.parametrize("function", [lambda *a: a, lambda **a: a])
def test_a_task_has_no_variable_arguments(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="cannot have variable positional or keyword arguments"):
        NativeInterface.from_callable(function)


def test_an_unannotated_input_is_taken_with_a_word_of_warning(caplog: pytest.LogCaptureFixture) -> None:
    def function(x) -> int:  # type: ignore[no-untyped-def]
        return 1

    interface = NativeInterface.from_callable(function)
    assert interface.inputs == {"x": (inspect.Parameter.empty, inspect.Parameter.empty)}
    assert "has parameter x without type annotation. Data will be pickled." in caplog.text


def test_a_literal_of_strings_becomes_an_enum_and_any_other_literal_any() -> None:
    kind = literal_to_enum(Literal["a", "b"])
    assert issubclass(kind, enum.Enum)
    assert kind.__name__ == "LiteralEnum"
    assert [member.value for member in kind] == ["a", "b"]
    assert literal_to_enum(Literal["a", 1]) is Any
    with pytest.raises(TypeError, match="is not a Literal"):
        literal_to_enum(int)


def test_what_an_interface_says_of_a_function() -> None:
    def function(a: int, b: str = "x") -> tuple[int, str]:
        return a, b

    interface = NativeInterface.from_callable(function)
    assert repr(interface) == "(a: int, b: str = x) -> (o0: int, o1: str):"
    assert interface.required_inputs() == ["a"]
    assert interface.num_required_inputs() == 1
    assert interface.has_outputs()
    assert interface.get_input_types() == {"a": int, "b": str}


def test_the_values_of_a_call_by_name() -> None:
    interface = NativeInterface.from_callable(lambda a, b=2: None)
    assert interface.convert_to_kwargs(1, b=3) == {"a": 1, "b": 3}
    assert interface.convert_to_kwargs(1, unknown=3) == {"a": 1, "unknown": 3}  # as Flyte
    with pytest.raises(ValueError, match="Too many positional arguments"):
        interface.convert_to_kwargs(1, 2, 3)
    with pytest.raises(ValueError, match="Too many keyword arguments"):
        interface.convert_to_kwargs(1, 2, c=3)


def test_an_unknown_default_needs_to_be_given() -> None:
    with pytest.raises(ValueError, match="Input a has a default value"):
        NativeInterface.from_types({"a": (int, NativeInterface.has_default)}, {})
    interface = NativeInterface.from_types({"a": (int, NativeInterface.has_default)}, {}, {"a": 1})
    assert repr(interface) == "(a: int = ...):"


class Colour(enum.Enum):
    RED = "r"


@dataclass
class Point:
    x: int


class Opaque:
    pass


def test_the_json_schema_names_every_input() -> None:
    def function(
        a: int, b: list[str], c: Colour, d: Point, e: Opaque, f: Literal["u", "v"], g: float = 1.0
    ) -> None: ...

    schema = NativeInterface.from_callable(function).json_schema
    properties = schema["properties"]
    assert schema["required"] == ["a", "b", "c", "d", "e", "f"]
    assert properties["a"] == {"type": "integer"}
    assert properties["b"] == {"type": "array", "items": {"type": "string"}}
    assert properties["c"]["enum"] == ["r"]
    assert properties["d"]["properties"]["x"]["type"] == "integer"
    assert properties["e"] == {}
    assert properties["f"]["enum"] == ["u", "v"]


GOOGLE = """Fits a model.

    More words.

    Args:
        depth (int): how deep.
            Very.
        rate: how fast.

    Returns:
        x: y
    """

REST = """Fits a model.

    More words.

    :param int depth: how deep.
        Very.
    :param rate: how fast.
    :returns: x
    """

NUMPY = """Fits a model.

    More words.

    Parameters
    ----------
    depth : int
        how deep.
    rate : float, optional
        how fast.

    Returns
    -------
    int
    """


@pytest.mark.parametrize("text", [GOOGLE, REST, NUMPY])
def test_docstrings_describe_the_function_and_its_inputs(text: str) -> None:
    docstring = Docstring(text)
    assert (docstring.short_description, docstring.long_description) == ("Fits a model.", "More words.")
    assert list(docstring.input_descriptions) == ["depth", "rate"]
    assert "how deep." in docstring.input_descriptions["depth"]
    assert docstring.input_descriptions["rate"].endswith("how fast.")


def test_no_docstring_says_nothing() -> None:
    docstring = Docstring(callable_=returns(int))
    assert (docstring.short_description, docstring.long_description, docstring.input_descriptions) == (None, None, {})


def test_phases_are_lower_case_and_five_of_them_are_final() -> None:
    assert [phase.value for phase in ActionPhase if phase.is_terminal] == [
        "succeeded",
        "failed",
        "aborted",
        "timed_out",
        "recovered",
    ]
    assert ActionPhase("failed") is ActionPhase.FAILED
    assert ActionPhase.FAILED == "failed"


def test_an_action_without_a_run_is_the_root_of_one() -> None:
    root = ActionID(name="r1")
    assert root.run_name == "r1"
    child = root.new_sub_action("a1")
    assert (child.name, child.run_name) == ("a1", "r1")
    assert child.unique_id_str("salt") == "None-None-r1-a1-salt"
    assert ActionID.create_random().name != ActionID.create_random().name


def test_path_rewrites_are_checked() -> None:
    assert PathRewrite.from_str("s3://a->/b") == PathRewrite("s3://a", "/b")
    for old, new in (("", "a"), ("a", "a")):
        with pytest.raises(ValueError, match="old_prefix and new_prefix must be"):
            PathRewrite(old, new)
    with pytest.raises(ValueError, match="Expected format"):
        PathRewrite.from_str("ab")


def test_a_random_path_is_new_and_its_folder_is_there(tmp_path: Path) -> None:
    raw = RawDataPath.from_local_folder(tmp_path / "raw")
    first, second = raw.get_random_remote_path("x.bin"), raw.get_random_remote_path("x.bin")
    assert first != second
    assert Path(first).parent.is_dir()
    assert not Path(first).exists()
    assert RawDataPath(path="s3://bucket/").get_random_remote_path("x").startswith("s3://bucket/")
    with pytest.raises(ValueError, match="Invalid local path"):
        RawDataPath.from_local_folder(3)  # type: ignore[arg-type]


def test_a_code_bundle_is_an_archive_or_a_pickle() -> None:
    with pytest.raises(ValueError, match="Either tgz or pkl"):
        CodeBundle(computed_version="1")
    bundle = CodeBundle(computed_version="1", pkl="x").with_downloaded_path(Path("y"))
    assert bundle.downloaded_path == Path("y")


def make_context(tmp_path: Path) -> TaskContext:
    return TaskContext(
        action=ActionID(name="a1", run_name="r"),
        version="v",
        raw_data_path=RawDataPath(path=str(tmp_path)),
        output_path="o",
        run_base_dir="b",
        report=None,
        checkpoint_paths=CheckpointPaths(None, str(tmp_path / "checkpoint")),
    )


def test_a_context_keeps_its_task_and_merges_data(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    inner = context.replace(action=ActionID(name="trace", run_name="r"), data={"k": 1})
    assert inner.task_action == context.action
    assert (inner["k"], inner["other"], context["k"]) == (1, None, None)
    assert inner.replace(data=None)["k"] == 1
    assert context.is_in_cluster()


def test_ranks_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context(tmp_path)
    assert (context.rank, context.master_addr) == (None, None)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("MASTER_ADDR", "host")
    assert (context.rank, context.master_addr) == (3, "host")


def test_outside_a_task_the_context_is_falsy_and_empty() -> None:
    assert not NULL_TASK_CONTEXT
    assert NULL_TASK_CONTEXT.action is None
    assert NULL_TASK_CONTEXT.checkpoint is None
    assert NULL_TASK_CONTEXT["k"] is None
    assert NULL_TASK_CONTEXT.attempt_number == 0
    assert not NULL_TASK_CONTEXT.is_in_cluster()
    assert repr(NULL_TASK_CONTEXT) == "NullTaskContext()"
