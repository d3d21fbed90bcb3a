"""Conditions over the wire: what they ask, as Flyte says it, and the answers that clients give."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.core import types_pb2
from flyteidl2.workflow import run_definition_pb2, run_service_pb2

from flyte_nb.engine.conditions import INPUTS
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.remote.aborting import signal_elsewhere
from flyte_nb.store.queries import Store
from flyte_nb.store.rows import ActionRow
from flyte_nb.types.base import Blobs
from flyte_nb.types.steps import decode_values

__all__ = ["answer_condition", "condition_of"]

SIMPLE = {
    "bool": types_pb2.BOOLEAN,
    "int": types_pb2.INTEGER,
    "float": types_pb2.FLOAT,
    "str": types_pb2.STRING,
}
PROMPT_TYPES = {
    "text": run_definition_pb2.CONDITION_PROMPT_TYPE_TEXT,
    "markdown": run_definition_pb2.CONDITION_PROMPT_TYPE_MARKDOWN,
}


def condition_of(row: ActionRow, blobs: Blobs) -> run_definition_pb2.ConditionAction:
    """What a condition asks.

    Args:
        row: its action.
        blobs: where its large values are.
    """
    asked: dict[str, Any] = dict(zip((name for name, _ in INPUTS), decode_values(row.inputs, blobs), strict=False))
    condition = run_definition_pb2.ConditionAction(
        name=row.task,
        type=types_pb2.LiteralType(simple=SIMPLE[asked["data_type"]]),
        prompt=asked["prompt"],
        description=asked["description"],
        prompt_type=PROMPT_TYPES[asked["prompt_type"]],
    )
    if asked["timeout_seconds"] is not None:
        condition.timeout.FromTimedelta(timedelta(seconds=asked["timeout_seconds"]))
    return condition


def answer_condition(store: Store, request: run_service_pb2.SignalEventRequest) -> None:
    """Answers a condition, in whichever process its run lives; returns when the answer is recorded. Blocks.

    Raises:
        KeyError: there is no such run or action, or the condition is another action's.
        ValueError: the answer is none, not of the condition's type, or out of reach; the condition stays open.
        ConnectError: the action is no condition, or does not wait any more.
        TimeoutError: the process of the run does not answer.
    """
    run, action, payload = request.action_id.run.name, request.action_id.name, request.payload
    kind = payload.WhichOneof("value")
    if kind is None:
        raise ValueError(f"The answer to condition {action} of run {run} is missing: set payload")
    row = store.action(run, action)
    if request.parent_action_name and request.parent_action_name != row.parent:
        raise KeyError(
            f"Condition {action} of run {run} is asked by action {row.parent}, not by {request.parent_action_name}"
        )
    try:
        signal_elsewhere(store, run, action, getattr(payload, kind))
    except ConditionNotFoundError as error:
        raise ConnectError(Code.FAILED_PRECONDITION, str(error)) from error
