"""Files and folders cross from task to task by reference: path, name, format and hash."""

from __future__ import annotations

from typing import Any, Protocol

from flyte_nb.io import locations
from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.names import describe_type
from flyte_nb.types.registry import register_family
from flyte_nb.types.scalars import expected_value_error
from flyte_nb.types.trees import decode_reference, reference

__all__ = ["ReferenceTransformer", "cross_by_reference"]


class Referred(Protocol):
    """What lies somewhere: a file or a folder."""

    path: str
    name: str | None
    format: str
    hash: str | None

    def __init__(self, **fields: Any) -> None: ...
    def __flyte_preview__(self) -> Preview: ...


class ReferenceTransformer:
    """Takes a file or a folder across.

    Args:
        python_type: the declared type.
        base: what it is a kind of, `File` or `Dir`; a value may be any other kind of it.
    """

    identity = False

    def __init__(self, python_type: type[Referred], base: type[Referred]) -> None:
        self.python_type = python_type
        self.type_name = describe_type(python_type)
        self._base = base

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, self._base):
            raise expected_value_error(self.python_type, value)
        fields = {"path": locations.absolute(value.path), "name": value.name, "format": value.format}
        return reference(fields, value.__flyte_preview__(), value.hash)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        fields, known_hash = decode_reference(tree)
        try:
            return self.python_type(**fields, hash=known_hash)
        except ValueError as error:  # a subclass of the user's may demand more
            raise TypeTransformerFailedError(f"{self.type_name} cannot be rebuilt: {error}") from error

    def preview(self, value: Any) -> Preview:
        is_known = isinstance(value, self._base)
        return value.__flyte_preview__() if is_known else {"kind": "opaque", "text": str(value)[:200]}


def cross_by_reference(base: type[Referred]) -> None:
    """Values of a class, and of its subclasses, cross by reference.

    Args:
        base: `File` or `Dir`.
    """

    def family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
        is_kind = isinstance(python_type, type) and issubclass(python_type, base)
        return ReferenceTransformer(python_type, base) if is_kind else None

    register_family(family)
