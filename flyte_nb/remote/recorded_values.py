"""Recorded inputs and outputs as values: of their types where these are to be had, else plain data.

A value that cannot be read in this process (a pickle of a class that it does not have) stands as a text that says why:
it costs its own place, never the others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyte_nb.remote.source import source
from flyte_nb.store.rows import ActionRow
from flyte_nb.types.anything import decode_anything
from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.offload import unpack_values

__all__ = ["plain_values", "recorded_inputs", "recorded_outputs"]


def recorded_inputs(run: str, row: ActionRow) -> dict[str, Any]:
    """The inputs of an action, by name."""
    signature = source.signature(run, row) if row.kind == "task" else None
    if signature is not None:
        try:
            return signature.decode_inputs(row.inputs, source.blobs)
        except TypeTransformerFailedError:
            pass
    if row.kind == "task":
        task = source.task(run, row.spec)
        names = [name for name, _ in task.inputs] if task is not None else []
    else:
        names = [name for name, _ in row.trace_inputs or ()]
    return dict(zip(names, plain_values(row.inputs), strict=False))


def recorded_outputs(run: str, row: ActionRow, payload: bytes) -> tuple[Sequence[Any], Sequence[str]]:
    """The outputs of an action, and their names."""
    if row.kind != "task":
        return plain_values(payload), ["o0"]
    signature = source.signature(run, row)
    if signature is not None:
        try:
            return signature.decode_outputs(payload, source.blobs), signature.output_names
        except TypeTransformerFailedError:
            pass
    task = source.task(run, row.spec)
    return plain_values(payload), [name for name, _ in task.outputs] if task is not None else []


def plain_values(payload: bytes) -> list[Any]:
    """Recorded values without regard to their types."""
    return [_readable(tree) for tree in unpack_values(payload, source.blobs)]


def _readable(tree: Any) -> Any:
    try:
        return decode_anything(tree, source.blobs)
    except TypeTransformerFailedError as error:
        return f"<cannot be read here: {error.__cause__ or error}>"
