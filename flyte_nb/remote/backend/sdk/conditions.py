"""Conditions of a backend's runs: what they ask, for the kernel, and the answers that it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte.remote import Action, Condition
from flyte.syncify import syncify
from flyteidl2.core import types_pb2
from flyteidl2.workflow import run_definition_pb2

__all__ = ["CALLS", "asked_of"]

TYPES = {types_pb2.BOOLEAN: "bool", types_pb2.INTEGER: "int", types_pb2.FLOAT: "float", types_pb2.STRING: "str"}
MARKDOWN = run_definition_pb2.CONDITION_PROMPT_TYPE_MARKDOWN


def asked_of(condition: run_definition_pb2.ConditionAction) -> list[Any]:
    """What a condition asks, in the order of `flyte_nb.engine.conditions.INPUTS`."""
    return [
        condition.prompt,
        condition.description,
        TYPES.get(condition.type.simple, "str"),
        "markdown" if condition.prompt_type == MARKDOWN else "text",
        condition.timeout.ToTimedelta().total_seconds() if condition.HasField("timeout") else None,
    ]


@syncify
async def signal(name: str, action: str, value: bool | int | float | str) -> None:
    """Answers a condition with a value of its type."""
    found = await Action.get.aio(run_name=name, name=action)
    await Condition(pb2=found.pb2).signal.aio(value)


CALLS: dict[str, Callable[..., Any]] = {"signal": signal}
