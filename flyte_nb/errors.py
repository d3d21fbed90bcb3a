"""What goes wrong, by name: Flyte's errors.

    RuntimeError
    ├── ActionNotFoundError
    └── BaseRuntimeError                      .code .kind .worker .run
        ├── InitializationError
        ├── LogsNotYetAvailableError
        ├── RuntimeUnknownError               kind "unknown"
        ├── RuntimeSystemError                kind "system"
        │   ├── UnionRpcError
        │   └── GPUFaultSystemError           (also a GPUFaultError)
        ├── GPUFaultError
        └── RuntimeUserError                  kind "user": what a caller sees of any exception in a task body
            ├── OOMError, TaskInterruptedError, NonRecoverableError, RetriesExhaustedError, CustomError
            ├── TaskTimeoutError
            │   └── MaxRuntimeExceededError, MaxQueuedTimeExceededError, DeadlineExceededError
            ├── RuntimeDataValidationError, RestrictedTypeError, InlineIOMaxBytesBreached
            ├── SyncTaskCallInAsyncContextError, TraceDoesNotAllowNestedTasksError, OnlyAsyncIOSupportedError
            ├── ConditionTimedoutError, ConditionFailedError, ConditionAlreadyExistsError, ConditionNotFoundError
            ├── ActionAbortedError, NotInTaskContextError, RemoteTaskNotFoundError, RemoteTaskUsageError
            ├── DeploymentError, ImageBuildError, InvalidPackageError, InvalidImageNameError, ImagePullBackOffError
            ├── CodeBundleError, ModuleLoadError, ParameterMaterializationError, PrimaryContainerNotFoundError
            ├── SlowDownError ── ResourceExhaustedError
            ├── GPUFaultUserError             (also a GPUFaultError)
            └── AppleSiliconError ── one class a code of APPLE_SILICON_ERRORS_BY_CODE

An exception that leaves a task body reaches the caller as `user_error` converts it: the class that Flyte raises, with
the original exception as its `__cause__`. `from_code` builds the same error from what was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn

ErrorKind = Literal["system", "unknown", "user"]


class ActionNotFoundError(RuntimeError):
    """No action of that name exists."""


class BaseRuntimeError(RuntimeError):
    """Base of the errors of a run.

    Args:
        code: what went wrong in one word; for an exception in a task body, the name of its class.
        kind: whose fault it is: `user`, `system` or `unknown`.
        root_cause_message: the message; `str()` of the error.
        worker: where it happened, if known.

    Attributes:
        run: the run that failed, set when the error leaves `flyte.run`; otherwise None.
    """

    run: Any = None

    def __init__(self, code: str, kind: ErrorKind, root_cause_message: str, worker: str | None = None) -> None:
        super().__init__(root_cause_message)
        self.code = code
        self.kind = kind
        self.worker = worker

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors differ from class to class and from `args`, so BaseException's own way cannot rebuild them.
        # A run stays with the process that ran it.
        state = {name: value for name, value in self.__dict__.items() if name != "run"}
        return _rebuild, (type(self), self.args), state

    def _reraise(self, *_: Any) -> NoReturn:
        """`flyte.map` hands errors over as values; arithmetic on one raises it, not a puzzling TypeError."""
        raise self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _reraise
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _reraise


def _rebuild(error_class: type[BaseRuntimeError], args: tuple[Any, ...]) -> BaseRuntimeError:
    error = error_class.__new__(error_class)
    error.args = args
    return error


class InitializationError(BaseRuntimeError):
    """Something was used before `flyte.init` gave what it needs."""


class LogsNotYetAvailableError(BaseRuntimeError):
    """The logs of an action cannot be read yet."""

    def __init__(self, message: str) -> None:
        super().__init__("LogsNotYetAvailable", "system", message)


class RuntimeUnknownError(BaseRuntimeError):
    """An action failed, and nobody knows whose fault it is."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "unknown", message, worker)


class RuntimeSystemError(BaseRuntimeError):
    """An action failed through no fault of the user's code."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "system", message, worker)


class UnionRpcError(RuntimeSystemError):
    """The server could not be reached, or answered with an error."""


class RuntimeUserError(BaseRuntimeError):
    """An exception in a task body as the caller sees it: `code` is the name of its class, `__cause__` the exception."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "user", message, worker)


class OOMError(RuntimeUserError):
    """The attempt ran out of memory."""


class TaskInterruptedError(RuntimeUserError):
    """The attempt was interrupted."""


class NonRecoverableError(RuntimeUserError):
    """Raised by a task that must not be retried, whatever its retries say."""

    def __init__(self, message: str, code: str = "NonRecoverableError") -> None:
        super().__init__(code, message)


class RetriesExhaustedError(RuntimeUserError):
    """Every attempt failed."""


class CustomError(RuntimeUserError):
    """An error with a code of the user's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)

    @classmethod
    def from_exception(cls, e: Exception) -> CustomError:
        """The error whose code is the exception's class name and whose cause is the exception."""
        error = cls(type(e).__name__, str(e))
        error.__cause__ = e
        return error


class TaskTimeoutError(RuntimeUserError):
    """A bound of `flyte.Timeout` was exceeded; the subclass says which."""

    def __init__(self, message: str, code: str = "TaskTimeoutError") -> None:
        super().__init__(code, message)


class MaxQueuedTimeExceededError(TaskTimeoutError):
    """An attempt waited longer than `Timeout.max_queued_time` to start."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "MaxQueuedTimeExceededError")


class MaxRuntimeExceededError(TaskTimeoutError):
    """An attempt ran longer than `Timeout.max_runtime`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "MaxRuntimeExceededError")


class DeadlineExceededError(TaskTimeoutError):
    """The attempts together took longer than `Timeout.deadline`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "DeadlineExceededError")


class RuntimeDataValidationError(RuntimeUserError):
    """A value is not of the type that the task declares.

    Args:
        var: the input or output.
        e: what is wrong with it.
        task_name: the task.
    """

    def __init__(self, var: str, e: Exception | str, task_name: str = "") -> None:
        super().__init__(
            "DataValidationError", f"In task {task_name} variable {var}, failed to serialize/deserialize because of {e}"
        )


class RestrictedTypeError(RuntimeUserError):
    """A type that Flyte does not allow here."""

    def __init__(self, message: str) -> None:
        super().__init__("RestrictedTypeUsage", message)


class InlineIOMaxBytesBreached(RuntimeUserError):
    """The inputs or outputs passed by value are larger than the task's `max_inline_io_bytes`."""

    def __init__(self, message: str) -> None:
        super().__init__("InlineIOMaxBytesBreached", message)


class SyncTaskCallInAsyncContextError(RuntimeUserError):
    """A sync task was called in a blocking way on an event loop; `await task.aio(...)` is the way."""

    def __init__(self, message: str) -> None:
        super().__init__("SyncTaskCallInAsyncContextError", message)


class TraceDoesNotAllowNestedTasksError(RuntimeUserError):
    """A task was called inside a `flyte.trace`; `task.forward(...)` runs it as a plain function."""

    def __init__(self, message: str) -> None:
        super().__init__("TraceDoesNotAllowNestedTasksError", message)


class OnlyAsyncIOSupportedError(RuntimeUserError):
    """A blocking read or write where only the async one works."""

    def __init__(self, message: str) -> None:
        super().__init__("OnlyAsyncIOSupportedError", message)


class ConditionTimedoutError(RuntimeUserError):
    """A condition was not signalled within its timeout."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionTimedoutError", message)


class ConditionFailedError(RuntimeUserError):
    """A condition failed, or was marked as failed."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionFailedError", message)


class ConditionAlreadyExistsError(RuntimeUserError):
    """The action has a condition of that name already."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionAlreadyExistsError", message)


class ConditionNotFoundError(RuntimeUserError):
    """No condition of that name exists."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionNotFoundError", message)


class ActionAbortedError(RuntimeUserError):
    """An action was aborted from outside; its parent sees this."""

    def __init__(self, message: str) -> None:
        super().__init__("ActionAbortedError", message)


class NotInTaskContextError(RuntimeUserError):
    """Something that needs a running task was used outside of one."""


class RemoteTaskNotFoundError(RuntimeUserError):
    """No deployed task of that name and version exists."""

    CODE = "RemoteTaskNotFoundError"

    def __init__(self, message: str) -> None:
        super().__init__(self.CODE, message)


class RemoteTaskUsageError(RuntimeUserError):
    """A deployed task was used in a way it does not support."""

    CODE = "RemoteTaskUsageError"

    def __init__(self, message: str) -> None:
        super().__init__(self.CODE, message)


class DeploymentError(RuntimeUserError):
    """A deployment failed, or a precondition of it is not met."""

    def __init__(self, message: str) -> None:
        super().__init__("DeploymentError", message)


class ImageBuildError(RuntimeUserError):
    """An image could not be built."""

    def __init__(self, message: str) -> None:
        super().__init__("ImageBuildError", message)


class InvalidPackageError(RuntimeUserError):
    """A system package of an image does not exist."""

    def __init__(self, package_name: str, original_error: str) -> None:
        self.package_name = package_name
        self.original_error = original_error
        super().__init__(
            "InvalidPackageError",
            f"Invalid system package detected: '{package_name}'. "
            f"This package does not exist in apt repositories. Error: {original_error}",
        )


class InvalidImageNameError(RuntimeUserError):
    """The name of an image is not valid."""


class ImagePullBackOffError(RuntimeUserError):
    """An image could not be pulled."""


class CodeBundleError(RuntimeUserError):
    """The code of a run could not be bundled."""

    def __init__(self, message: str) -> None:
        super().__init__("CodeBundleError", message)


class ModuleLoadError(RuntimeUserError):
    """A module does not exist or does not compile."""

    def __init__(self, message: str) -> None:
        super().__init__("ModuleLoadError", message)


class ParameterMaterializationError(RuntimeUserError):
    """A parameter of an app could not be made."""

    def __init__(self, message: str) -> None:
        super().__init__("ParameterMaterializationError", message)


class PrimaryContainerNotFoundError(RuntimeUserError):
    """A pod has no primary container."""


class SlowDownError(RuntimeUserError):
    """The server asks for fewer requests."""

    def __init__(self, message: str) -> None:
        super().__init__("SlowDownError", message)


class ResourceExhaustedError(SlowDownError):
    """The server has no room for the request."""


GPU_FAULT_CODES: tuple[str, ...] = (
    "GpuXidError",
    "GpuFallenOffBus",
    "GpuEccUncorrectable",
    "GpuRowRemapPending",
    "GpuNvlinkError",
    "GpuGspError",
)
"""Codes of failures that a backend attributes to a GPU."""


class GPUFaultError(BaseRuntimeError):
    """A failure that the backend attributes to a GPU or its switch; what it did not report is None."""

    fault_kind: str | None = None
    fault_code: int | None = None
    fault_name: str | None = None
    severity: str | None = None
    gpu_uuid: str | None = None
    gpu_index: int | None = None
    node: str | None = None
    pci_bus_id: str | None = None
    process: str | None = None

    def __init__(self, code: str, kind: ErrorKind, message: str, worker: str | None = None, **fault: Any) -> None:
        # By name, not through super(): the next class of GPUFaultUserError is RuntimeUserError, which takes no kind.
        BaseRuntimeError.__init__(self, code, kind, message, worker)
        self.__dict__.update(fault)

    @property
    def xid(self) -> int | None:
        """The NVIDIA Xid number, None for a fault of the switch."""
        return self.fault_code if self.fault_kind == "xid" else None

    @property
    def sxid(self) -> int | None:
        """The NVSwitch SXid number, None for a fault of the GPU."""
        return self.fault_code if self.fault_kind == "sxid" else None


class GPUFaultUserError(GPUFaultError, RuntimeUserError):
    """A GPU fault of the workload's own doing."""

    def __init__(self, code: str, message: str, worker: str | None = None, **fault: Any) -> None:
        GPUFaultError.__init__(self, code, "user", message, worker, **fault)


class GPUFaultSystemError(GPUFaultError, RuntimeSystemError):
    """A GPU fault of the hardware."""

    def __init__(self, code: str, message: str, worker: str | None = None, **fault: Any) -> None:
        GPUFaultError.__init__(self, code, "system", message, worker, **fault)


class AppleSiliconError(RuntimeUserError):
    """Base of the errors of `Resources(gpu="AppleSilicon")`; `recoverable` says whether a retry can help."""

    code_name = "APPLE_SILICON_ERROR"
    recoverable = True

    def __init__(self, message: str, worker: str | None = None) -> None:
        super().__init__(self.code_name, message, worker)


class AppleSiliconNotAvailableError(AppleSiliconError):
    """There is no Apple Silicon GPU here."""

    code_name = "APPLE_SILICON_NOT_AVAILABLE"
    recoverable = False


class AppleSiliconHostExecFailedError(AppleSiliconError):
    """The workload could not be started on the Mac."""

    code_name = "APPLE_SILICON_HOST_EXEC_FAILED"
    recoverable = False


class AppleSiliconDaemonStartFailedError(AppleSiliconError):
    """The MLX daemon did not start."""

    code_name = "APPLE_SILICON_DAEMON_START_FAILED"
    recoverable = False


class AppleSiliconDaemonOOMError(AppleSiliconError):
    """The process on the Mac ran out of memory."""

    code_name = "APPLE_SILICON_DAEMON_OOM"


class AppleSiliconModelNotFoundError(AppleSiliconError):
    """The model to serve was not found."""

    code_name = "APPLE_SILICON_MODEL_NOT_FOUND"
    recoverable = False


class AppleSiliconBridgeUnreachableError(AppleSiliconError):
    """The bridge to the Mac does not answer."""

    code_name = "APPLE_SILICON_BRIDGE_UNREACHABLE"


APPLE_SILICON_ERRORS_BY_CODE: dict[str, type[AppleSiliconError]] = {
    error_class.code_name: error_class for error_class in AppleSiliconError.__subclasses__()
}

_TIMEOUT_ERRORS: dict[str, Callable[[str], TaskTimeoutError]] = {
    "TaskTimeoutError": TaskTimeoutError,
    "MaxQueuedTimeExceededError": MaxQueuedTimeExceededError,
    "MaxRuntimeExceededError": MaxRuntimeExceededError,
    "DeadlineExceededError": DeadlineExceededError,
    # What a Flyte server calls them.
    "QUEUED_TIMEOUT_EXCEEDED": MaxQueuedTimeExceededError,
    "MAX_RUNTIME_EXCEEDED": MaxRuntimeExceededError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
}

_USER_ERRORS_BY_MARK: tuple[tuple[str, type[RuntimeUserError | RuntimeUnknownError]], ...] = (
    ("Interrupted", TaskInterruptedError),
    ("PrimaryContainerNotFound", PrimaryContainerNotFoundError),
    ("RetriesExhausted", RetriesExhaustedError),
    ("Unknown", RuntimeUnknownError),
    ("InvalidImageName", InvalidImageNameError),
    ("ImagePullBackOff", ImagePullBackOffError),
)
"""A code that contains the mark is of the class; the first that fits."""


def user_error(exc: BaseException, worker: str | None = None) -> BaseRuntimeError:
    """Converts an exception raised in a task body into what the caller of the task sees, as Flyte converts it.

    An error of Flyte's keeps its code and kind; of any other exception the code is the name of its class. The class
    follows from both (`from_code`): an OOMError stays one, a NonRecoverableError or a ValueError becomes a
    RuntimeUserError.

    Args:
        exc: the exception.
        worker: where it happened, if known.

    Returns:
        `exc` itself where nothing would change, otherwise a new error with `exc` as its `__cause__`.
    """
    if isinstance(exc, RuntimeUserError | RuntimeSystemError | RuntimeUnknownError):
        error = from_code(exc.code, exc.kind, error_message(exc), exc.worker or worker)
        if type(error) is type(exc):
            return exc
    else:
        error = from_code(type(exc).__name__, "user", error_message(exc), worker)
    error.__cause__ = exc
    return error


def from_code(code: str, kind: str, message: str, worker: str | None = None) -> BaseRuntimeError:
    """Builds the error that Flyte raises in a caller for a recorded failure.

    Args:
        code: the recorded code; a server writes `ServerCode|Code`, whose second part counts.
        kind: `user`, `system`, or anything else for unknown.
        message: the recorded message.
        worker: where it happened, if known.

    Returns:
        A new error; never raises.
    """
    whole_code, code = code, code.split("|", 1)[-1].strip()
    if kind == "system":
        system_class = GPUFaultSystemError if code in GPU_FAULT_CODES else RuntimeSystemError
        return system_class(code, message, worker)
    if kind != "user":
        return RuntimeUnknownError(code, message, worker)
    if code in _TIMEOUT_ERRORS:
        return _TIMEOUT_ERRORS[code](message)
    if code in GPU_FAULT_CODES:
        return GPUFaultUserError(code, message, worker)
    if code in APPLE_SILICON_ERRORS_BY_CODE:
        return APPLE_SILICON_ERRORS_BY_CODE[code](message, worker)
    if "OOM" in whole_code.upper():
        return OOMError(code, message, worker)
    user_class = next((cls for mark, cls in _USER_ERRORS_BY_MARK if mark in whole_code), RuntimeUserError)
    return user_class(code, message, worker)


def error_message(exc: BaseException) -> str:
    """`str(exc)`, or a word about it where the exception's own `__str__` raises."""
    try:
        return str(exc)
    except Exception as failure:  # `__str__` is the user's code, and it must not hide the error it describes
        return f"<{type(exc).__name__} whose text cannot be shown: {type(failure).__name__}>"


__all__ = [
    "APPLE_SILICON_ERRORS_BY_CODE",
    "GPU_FAULT_CODES",
    "ErrorKind",
    "error_message",
    "from_code",
    "user_error",
    *(name for name, value in globals().items() if isinstance(value, type) and issubclass(value, RuntimeError)),
]
