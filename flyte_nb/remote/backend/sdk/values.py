"""Values of a backend on their way to the kernel: official literals as payloads of `flyte_nb.types`.

    literal --official type engine--> value --ours in place of the SDK's classes--> payload

A class that the kernel cannot have, for it was guessed from a schema, becomes a plain dataclass of the same fields. A
value that cannot be read (its type is not installed here) costs its own place, never the others'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import flyte.io
from flyte.types import TypeEngine
from flyteidl2.core import interface_pb2, literals_pb2
from pydantic import BaseModel

import flyte_nb.io
from flyte_nb.store.values import open_values
from flyte_nb.types.anything import encode_anything
from flyte_nb.types.base import Blobs
from flyte_nb.types.offload import pack_values
from flyte_nb.types.steps import UNRECORDED, encode_values
from flyte_nb.types.trees import tagged

__all__ = ["Values", "kernel_value"]

FILES: dict[type[Any], type[Any]] = {
    getattr(flyte.io, name): getattr(flyte_nb.io, name) for name in ("File", "Dir", "DataFrame")
}
GUESSED_MODULES = ("flyte", "types", "abc", "pydantic", "__main__", "mashumaro")
"""Where classes say they are from that the SDK guessed from a schema."""


class Values:
    """Encodes values for the kernel.

    Args:
        store: folder of the store that takes the large ones.
    """

    def __init__(self, store: str) -> None:
        self._blobs: Blobs = open_values(store)

    @classmethod
    @cache
    def of(cls, store: str) -> Values:
        """The one of a store."""
        return cls(store)

    async def payload(self, variables: Iterable[interface_pb2.VariableEntry], literals: Iterable[Any]) -> bytes:
        """The payload of named literals, in the order of an interface."""
        by_name: Mapping[str, literals_pb2.Literal] = {named.name: named.value for named in literals}
        return pack_values(
            [await self._tree(variable.value.type, by_name.get(variable.key)) for variable in variables], self._blobs
        )

    def plain_payload(self, values: Iterable[Any]) -> bytes:
        """The payload of values that are plain data."""
        return encode_values(values, self._blobs)

    async def _tree(self, kind: Any, literal: literals_pb2.Literal | None) -> Any:
        if literal is None:
            return None
        try:
            value = await TypeEngine.to_python_value(literal, TypeEngine.guess_python_type(kind))
            return encode_anything(kernel_value(value), self._blobs)
        except Exception as error:  # any transformer, of any plugin: the other values are still good
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            return tagged(UNRECORDED, f"<cannot be read here: {reason}>")


def kernel_value(value: Any) -> Any:
    """The value as the kernel has it: without any class of the SDK's."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return kind(kernel_value(item) for item in value)
    if kind is dict:
        return {kernel_value(key): kernel_value(item) for key, item in value.items()}
    for official, ours in FILES.items():
        if isinstance(value, official):
            fields = {name: getattr(value, name) for name in ours.model_fields if name != "hash_method"}
            return ours(**fields)
    if _is_guessed(kind):
        if dataclasses.is_dataclass(kind):
            fields = {field.name: kernel_value(getattr(value, field.name)) for field in dataclasses.fields(kind)}
            return _plain_class(kind.__name__, tuple(fields))(**fields)
        if isinstance(value, BaseModel):
            fields = {name: kernel_value(getattr(value, name)) for name in kind.model_fields}
            return _plain_class(kind.__name__, tuple(fields))(**fields)
    return value


def _is_guessed(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in GUESSED_MODULES


@cache
def _plain_class(name: str, fields: tuple[str, ...]) -> type[Any]:
    return dataclasses.make_dataclass(name, [(field, Any) for field in fields], namespace={"__module__": "__main__"})
