"""What an action or a task takes and returns, with types as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyte.types import TypeEngine
from flyteidl2.core import interface_pb2
from flyteidl2.workflow import run_definition_pb2

__all__ = ["interface_of", "named_types"]


def interface_of(details: run_definition_pb2.ActionDetails) -> interface_pb2.TypedInterface:
    """What an action takes and returns."""
    if details.HasField("condition"):
        answer = interface_pb2.VariableEntry(key="o0", value=interface_pb2.Variable(type=details.condition.type))
        return interface_pb2.TypedInterface(outputs=interface_pb2.VariableMap(variables=[answer]))
    return details.trace.interface if details.HasField("trace") else details.task.task_template.interface


def named_types(variables: Iterable[interface_pb2.VariableEntry]) -> list[tuple[str, str]]:
    """Names and types of inputs or outputs, as text."""
    return [(variable.key, _type_name(variable)) for variable in variables]


def _type_name(variable: interface_pb2.VariableEntry) -> str:
    try:
        kind: Any = TypeEngine.guess_python_type(variable.value.type)
    except ValueError:  # no transformer takes it
        return "Any"
    return (
        str(getattr(kind, "__name__", kind))
        if isinstance(kind, type)
        else str(kind).replace("typing.", "").replace("types.", "")
    )
