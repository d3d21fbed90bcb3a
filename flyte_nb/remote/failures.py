"""Why actions failed: what is recorded of it, and the error that Flyte raises for it."""

from __future__ import annotations

from flyte_nb.errors import ActionAbortedError, BaseRuntimeError, from_code
from flyte_nb.models import ActionPhase
from flyte_nb.store.events import ErrorRecord

__all__ = ["ErrorInfo", "error_of", "no_outputs"]


class ErrorInfo:
    """Why an action failed.

    Attributes:
        code: name of the original exception's class.
        kind: user, system or unknown.
        message: its message.
        place: cell and line of the innermost frame of the user's code.
        traceback: the user's frames, as text.
    """

    def __init__(self, code: str, kind: str, message: str, place: str, traceback: str) -> None:
        self.code = code
        self.kind = kind
        self.message = message
        self.place = place
        self.traceback = traceback

    def __repr__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        return f"{self.code}: {self.message}{where}"


def error_of(phase: str, record: ErrorRecord | None) -> BaseRuntimeError | None:
    """The error that Flyte raises for a recorded failure, or for an end from outside; None without a record."""
    if record is None:
        return None
    if phase == ActionPhase.ABORTED:
        return ActionAbortedError(record.message)
    return from_code(record.code, record.kind, record.message)


def no_outputs(action: str, phase: ActionPhase) -> BaseRuntimeError:
    """The error of an action that is asked for the outputs that it does not have."""
    if phase == ActionPhase.ABORTED:
        return ActionAbortedError(f"Action {action} was aborted: it has no outputs")
    return from_code("NoOutputs", "user", f"Action {action} is {phase.value}: it has no outputs yet")
