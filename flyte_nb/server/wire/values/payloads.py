"""What an action received and returned, as named literals: of the types that its task declares, else of its values'."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cloudpickle
from flyteidl2.task import common_pb2

from flyte_nb.server.wire.values.literals import literal_of
from flyte_nb.server.wire.values.types import inferred_type
from flyte_nb.store.rows import ActionRow, TaskRow
from flyte_nb.types.base import Blobs
from flyte_nb.types.offload import unpack_values

__all__ = ["ActionTypes", "action_types", "named_literals", "types_of"]

TASKS_KEPT = 1_000


class ActionTypes(NamedTuple):
    """The names and Python types of an action's values."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]


def action_types(row: ActionRow, task: TaskRow | None, blobs: Blobs) -> ActionTypes:
    """The types of an action's values, as its task declares them; where that cannot be read, and of traces, as the
    values are."""
    if task is not None and (declared := types_of(task.types)) is not None:
        return declared
    if task is not None:
        inputs, outputs = [name for name, _ in task.inputs], [name for name, _ in task.outputs]
    else:
        inputs, outputs = [name for name, _ in row.trace_inputs or ()], ["o0"]
    return ActionTypes(
        _inferred(inputs, row.inputs, blobs), _inferred(outputs, row.outputs, blobs) if row.outputs else {}
    )


def named_literals(types: dict[str, Any], payload: bytes, blobs: Blobs) -> list[common_pb2.NamedLiteral]:
    """Recorded values as literals, in the order of their types."""
    trees = unpack_values(payload, blobs) if payload else []
    return [
        common_pb2.NamedLiteral(name=name, value=literal_of(tree, declared, blobs))
        for (name, declared), tree in zip(types.items(), trees, strict=False)
    ]


@lru_cache(maxsize=TASKS_KEPT)
def types_of(pickled: bytes) -> ActionTypes | None:
    """The types that a task was recorded with; None where they cannot be loaded here."""
    if not pickled:
        return None
    try:
        types = cloudpickle.loads(pickled)
    except Exception:  # a class of a module that is not installed here, or does not import: whatever that raises
        return None
    return ActionTypes(dict(types["inputs"]), dict(types["outputs"]))


def _inferred(names: Sequence[str], payload: bytes, blobs: Blobs) -> dict[str, Any]:
    trees = unpack_values(payload, blobs) if payload else []
    return {name: inferred_type(tree) for name, tree in zip(names, trees, strict=False)}
