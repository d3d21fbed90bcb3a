"""Errors: what Flyte's caller sees, with the original cause and a traceback that starts at the user's line."""

from __future__ import annotations

import traceback
from typing import Any, NoReturn

import pytest

import flyte_nb as flyte
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.errors import RuntimeUserError
from flyte_nb.executors import user_code

env = flyte.TaskEnvironment("errs")


class Stubborn(Exception):
    """Cannot be pickled, and cannot be shown."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("not me")

    def __str__(self) -> str:
        raise RuntimeError("nor this")


@env.task
async def divides(x: int) -> int:
    return 1 // x


@env.task
async def calls(x: int) -> int:
    return await divides(x)


@env.task
async def exits() -> int:
    raise SystemExit(3)


@env.task
async def stubborn() -> int:
    raise Stubborn


@env.task
async def catches(x: int) -> str:
    try:
        await divides(x)
    except RuntimeUserError as error:
        return f"{error.code}: {error} <- {type(error.__cause__).__name__}"
    return "nothing"


@env.task
async def wrong_result() -> int:
    return "one"  # type: ignore[return-value]


def test_the_caller_sees_flytes_error_with_the_original_as_its_cause() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(calls, 0)
    error = raised.value
    assert (error.code, error.kind, str(error)) == ("ZeroDivisionError", "user", "integer division or modulo by zero")
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert flyte.run(catches, 0).outputs()[0].endswith("<- ZeroDivisionError")


def test_the_traceback_holds_the_users_frames_only() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(calls, 0)
    cause: Any = raised.value.__cause__
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)] == ["divides"]
    recorded = raised.value.run.error_info
    assert "return 1 // x" in recorded.traceback
    assert "flyte_nb/engine" not in recorded.traceback
    assert recorded.place.startswith("test_errors.py, line ")


def test_a_failed_run_is_whole_and_hangs_on_the_error() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(calls, 0)
    run = raised.value.run
    assert run.phase == "failed"
    assert [action.phase.value for action in run.actions()] == ["failed", "failed"]
    assert run.first_failure().task_name == "errs.divides"
    with pytest.raises(RuntimeUserError, match="integer division"):
        run.outputs()


def test_leaving_the_interpreter_ends_the_task_not_the_engine() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(exits)
    assert raised.value.code == "SystemExit"
    assert flyte.run(divides, 1).outputs()[0] == 1


def test_an_exception_that_cannot_be_pickled_or_shown_is_recorded_all_the_same() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(stubborn)
    assert raised.value.code == "Stubborn"
    assert raised.value.run.error_info.code == "Stubborn"


def test_a_result_of_the_wrong_type_names_task_and_value() -> None:
    with pytest.raises(flyte.errors.RuntimeDataValidationError, match="wrong_result"):
        flyte.run(wrong_result)


def test_a_line_of_this_package_is_no_place_although_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = "/venv/lib/site-packages/flyte_nb/"
    monkeypatch.setattr(user_code, "PACKAGE", installed)
    with pytest.raises(ZeroDivisionError) as raised:
        exec(compile("1 / 0", f"{installed}types/scalars.py", "exec"))
    error = raised.value.with_traceback(raised.tb.tb_next)
    assert describe_error(error, "train.py, line 3").place == "declared in train.py, line 3"


def test_a_wrong_result_is_placed_where_its_task_was_declared() -> None:
    with pytest.raises(flyte.errors.RuntimeDataValidationError) as raised:
        flyte.run(wrong_result)
    assert raised.value.run.error_info.place.startswith("declared in test_errors.py, line ")
