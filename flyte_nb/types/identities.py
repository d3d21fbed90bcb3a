"""The identity of a pickled value that holds code of the user's own: an instance of a notebook's class, a function.

Its pickle holds the code as this process has it, so the same value has other bytes in another kernel, or once its cell
ran again. What names it instead is the pickle with digests in the place of code, and with sets in their own order.
"""

from __future__ import annotations

import io
import pickle
from types import CellType, FunctionType
from typing import Any

from blake3 import blake3

from flyte_nb.types.buffers import reduction_of
from flyte_nb.types.classes import ValuePickler, identify_code, is_by_value

__all__ = ["identity_of_value"]


def identity_of_value(value: Any) -> str | None:
    """What names a value in every process; None when nothing but its bytes can: its code cannot be told by a digest."""
    if not identify_code:
        return None
    try:
        return blake3(_Identity.bytes_of(value)).hexdigest(length=16)
    except (_UnknownCodeError, RecursionError):
        return None


class _UnknownCodeError(Exception):
    """Some code has no digest that tells all of it."""


class _Identity(ValuePickler):
    def __init__(self, out: io.BytesIO, buffers: list[pickle.PickleBuffer]) -> None:
        super().__init__(out, protocol=5, buffer_callback=buffers.append)

    @classmethod
    def bytes_of(cls, value: Any) -> bytes:
        out = io.BytesIO()
        buffers: list[pickle.PickleBuffer] = []
        cls(out, buffers).dump(value)
        return b"".join([out.getvalue(), *(blake3(buffer.raw()).digest() for buffer in buffers)])

    def persistent_id(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is set or kind is frozenset:
            return kind.__name__, sorted(map(self.bytes_of, obj))
        return None

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is CellType:
            return CellType, (), _contents(obj)
        if (reduction := reduction_of(obj)) is not None:
            return reduction
        reduced = super().reducer_override(obj)
        if not (isinstance(obj, type | FunctionType) and is_by_value(reduced)):
            return reduced
        digest = identify_code[0](obj)
        if not digest:
            raise _UnknownCodeError
        state = (obj.__closure__ or (), obj.__defaults__, obj.__kwdefaults__) if isinstance(obj, FunctionType) else ()
        return str, (digest,), state


def _contents(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not bound yet
        return ()
