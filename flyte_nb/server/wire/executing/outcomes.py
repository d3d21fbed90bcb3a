"""How an attempt of a task of Flyte's own ended, from what its process has left."""

from __future__ import annotations

import signal
from pathlib import Path

from flyteidl2.core import execution_pb2
from google.protobuf.message import DecodeError

from flyte_nb.server.wire.executing.submitted import Ending
from flyte_nb.store.events import ErrorRecord

__all__ = ["failed_as", "outcome_of"]

ORIGINS = {execution_pb2.ExecutionError.USER: "user", execution_pb2.ExecutionError.SYSTEM: "system"}
LOST = "ProcessEnded"
"""Code of an attempt whose process said nothing."""


def outcome_of(folder: Path, code: int, returns: bool) -> Ending:
    """How an attempt ended.

    Args:
        folder: in which it wrote.
        code: its process's exit code, below zero when a signal ended it.
        returns: whether its task returns anything.
    """
    failure = folder / "error.pb"
    if failure.is_file():
        return failed_as(failure.read_bytes())
    if code == 0 and (not returns or (folder / "outputs.pb").is_file()):
        return Ending("succeeded", output_uri=str(folder))
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    error = ErrorRecord(LOST, "system", f"The process {how} before it returned anything: see its log")
    return Ending("failed", error, may_be_retried=True)


def failed_as(content: bytes) -> Ending:
    """The failure that a process has written down."""
    try:
        error = execution_pb2.ErrorDocument.FromString(content).error
    except DecodeError as broken:
        return Ending("failed", ErrorRecord(LOST, "system", f"The process's error cannot be read: {broken}"))
    record = ErrorRecord(error.code or "Error", ORIGINS.get(error.origin, "unknown"), error.message)
    return Ending("failed", record, may_be_retried=error.kind == execution_pb2.ContainerError.RECOVERABLE)
