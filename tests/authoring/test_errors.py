"""The tree of errors, and how a user's exception becomes one of it."""

from __future__ import annotations

import pickle

import cloudpickle
import pytest

from flyte_nb import errors


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("InitializationError", ["BaseRuntimeError"]),
        ("RuntimeSystemError", ["BaseRuntimeError"]),
        ("RuntimeUserError", ["BaseRuntimeError"]),
        ("OOMError", ["RuntimeUserError", "BaseRuntimeError"]),
        ("MaxRuntimeExceededError", ["TaskTimeoutError", "RuntimeUserError", "BaseRuntimeError"]),
        ("ResourceExhaustedError", ["SlowDownError", "RuntimeUserError", "BaseRuntimeError"]),
        ("GPUFaultUserError", ["GPUFaultError", "RuntimeUserError", "BaseRuntimeError"]),
        ("ActionNotFoundError", []),
    ],
)
def test_the_tree_is_flytes(name: str, bases: list[str]) -> None:
    mro = [cls.__name__ for cls in getattr(errors, name).__mro__]
    assert mro == [name, *bases, "RuntimeError", "Exception", "BaseException", "object"]


def test_every_error_of_the_module_is_public_and_drawn_in_its_docstring() -> None:
    classes = [
        v
        for v in vars(errors).values()
        if isinstance(v, type) and issubclass(v, RuntimeError) and v is not RuntimeError
    ]
    for cls in classes:
        assert cls.__name__ in errors.__all__
        if not issubclass(cls, errors.AppleSiliconError):
            assert cls.__name__ in (errors.__doc__ or "")


def test_an_exception_of_the_user_becomes_a_user_error_that_keeps_it_as_its_cause() -> None:
    original = KeyError("m")
    error = errors.user_error(original, worker="w1")
    assert type(error) is errors.RuntimeUserError
    assert (error.code, error.kind, str(error), error.worker, error.run) == ("KeyError", "user", "'m'", "w1", None)
    assert error.__cause__ is original


@pytest.mark.parametrize(
    "kept",
    [
        errors.OOMError("OOMKilled", "m"),
        errors.RuntimeUserError("ValueError", "of a child"),
        errors.RuntimeSystemError("Broken", "m"),
        errors.MaxRuntimeExceededError("m"),
        errors.RuntimeUnknownError("?", "m"),
        errors.AppleSiliconDaemonOOMError("m"),
    ],
)
def test_an_error_that_would_not_change_is_passed_on_itself(kept: errors.BaseRuntimeError) -> None:
    assert errors.user_error(kept) is kept


@pytest.mark.parametrize(
    ("raised", "cls", "code"),
    [
        (errors.NonRecoverableError("m"), "RuntimeUserError", "NonRecoverableError"),
        (errors.RuntimeDataValidationError("x", "bad", "t"), "RuntimeUserError", "DataValidationError"),
        (errors.CustomError("MyOOM", "m"), "OOMError", "MyOOM"),
        (errors.LogsNotYetAvailableError("m"), "RuntimeUserError", "LogsNotYetAvailableError"),
        (SystemExit(3), "RuntimeUserError", "SystemExit"),
        (type("Interrupted", (Exception,), {})("m"), "TaskInterruptedError", "Interrupted"),
    ],
)
def test_other_errors_become_what_their_code_says(raised: BaseException, cls: str, code: str) -> None:
    error = errors.user_error(raised)
    assert (type(error).__name__, error.code) == (cls, code)
    assert error.__cause__ is raised


@pytest.mark.parametrize(
    ("code", "kind", "cls"),
    [
        ("ValueError", "user", errors.RuntimeUserError),
        ("RetriesExhausted|ValueError", "user", errors.RetriesExhaustedError),
        ("OOMKilled", "user", errors.OOMError),
        ("ImagePullBackOff", "user", errors.ImagePullBackOffError),
        ("QUEUED_TIMEOUT_EXCEEDED", "user", errors.MaxQueuedTimeExceededError),
        ("DeadlineExceededError", "user", errors.DeadlineExceededError),
        ("GpuXidError", "user", errors.GPUFaultUserError),
        ("GpuXidError", "system", errors.GPUFaultSystemError),
        ("APPLE_SILICON_DAEMON_OOM", "user", errors.AppleSiliconDaemonOOMError),
        ("WorkerLost", "system", errors.RuntimeSystemError),
        ("x", "unknown", errors.RuntimeUnknownError),
    ],
)
def test_a_recorded_failure_is_built_again(code: str, kind: str, cls: type) -> None:
    error = errors.from_code(code, kind, "m")
    assert type(error) is cls
    assert str(error) == "m"


def test_an_exception_whose_text_raises_still_has_a_message() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    assert str(errors.user_error(Rude())) == "<Rude whose text cannot be shown: ValueError>"


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
@pytest.mark.parametrize(
    "error",
    [
        errors.RuntimeUserError("c", "m", "w"),
        errors.MaxRuntimeExceededError("m"),
        errors.RuntimeDataValidationError("v", "e", "t"),
        errors.GPUFaultUserError("GpuXidError", "m", fault_kind="xid", fault_code=31),
        errors.InvalidPackageError("vim", "no"),
    ],
)
def test_errors_survive_pickling_without_their_run(dumps: object, error: errors.BaseRuntimeError) -> None:
    error.run = object()
    again = pickle.loads(dumps(error))  # type: ignore[operator]
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.run is None
    assert {**vars(again)} == {name: value for name, value in vars(error).items() if name != "run"}


def test_arithmetic_on_an_error_raises_it() -> None:
    error = errors.RuntimeUserError("ValueError", "lost in a sum")
    with pytest.raises(errors.RuntimeUserError, match="lost in a sum"):
        sum([1, error])  # type: ignore[list-item]


def test_gpu_faults_tell_xid_from_sxid() -> None:
    fault = errors.GPUFaultUserError("GpuXidError", "m", fault_kind="sxid", fault_code=7)
    assert (fault.xid, fault.sxid, fault.node) == (None, 7, None)
