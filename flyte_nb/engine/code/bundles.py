"""Recorded code as it is kept: every task that a run, or a deployed task, can reach, in one value of the store."""

from __future__ import annotations

import msgspec

from flyte_nb.errors import RuntimeUserError
from flyte_nb.executors.frames import Code
from flyte_nb.store.values import ValueStore
from flyte_nb.types.classes import PYTHON

__all__ = ["RunCode", "TaskCode", "decode_bundle", "read_bundle"]


class TaskCode(msgspec.Struct, array_like=True, frozen=True):
    """One task of a run."""

    key: str
    name: str
    own_digest: str
    deep_digest: str
    code: Code


class RunCode(msgspec.Struct, array_like=True, frozen=True):
    """Every task that a run could reach."""

    root: str
    """Key of the task that the run started with."""
    tasks: list[TaskCode]
    refusal: str = ""
    """Why the code could not be kept; there are no tasks then."""
    traces: dict[str, str] = msgspec.field(default_factory=dict)
    """The own digests of the traced functions that its tasks name, by `module:name`."""
    python: str = ""
    """That compiled it; of the first journals it is not known."""
    is_flyte: bool = False
    """`import flyte` in it means flyte_nb."""


def decode_bundle(values: ValueStore, digest: str) -> RunCode:
    """The code in a value.

    Raises:
        KeyError: the value is gone.
    """
    bundle: RunCode = msgspec.msgpack.decode(values.get(digest)[0], type=RunCode)
    return bundle


def read_bundle(digest: str, values: ValueStore, what: str, cure: str) -> RunCode:
    """The code in a value, which this process can run.

    Args:
        digest: of the value; empty when the code was not kept.
        values: where it is.
        what: whose code it is, for messages.
        cure: what to do where it cannot be had, for messages.

    Raises:
        RuntimeUserError: the code was not kept, is gone, or was compiled by another Python.
    """
    if not digest:
        raise RuntimeUserError("CodeNotFound", f"The code of {what} was not recorded. {cure}")
    try:
        bundle = decode_bundle(values, digest)
    except KeyError:
        raise RuntimeUserError("CodeNotFound", f"The code of {what} is no longer in the store. {cure}") from None
    if bundle.python not in ("", PYTHON):
        raise RuntimeUserError(
            "CodeNotFound", f"The code of {what} was compiled by Python {bundle.python}; this is {PYTHON}. {cure}"
        )
    if bundle.refusal:
        raise RuntimeUserError("CodeNotFound", f"The code of {what} could not be recorded: {bundle.refusal} {cure}")
    return bundle
