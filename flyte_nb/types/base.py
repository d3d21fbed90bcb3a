"""The seam of the type system: one `Transformer` per family of types, and where large buffers go.

    value --encode--> plain tree --msgpack--> payload (recorded, digested)
    plain tree --decode--> a fresh value of the declared type: what the callee receives

A *plain tree* holds None, bool, int, float, str, bytes, UTC datetimes, lists, dicts with str keys and
`msgspec.msgpack.Ext` leaves (written and read by `flyte_nb.types.trees`):

    Ext(1, ...)  a `Blob`: a large value, content-addressed in the value store
    Ext(2, ...)  a small pickle and its preview, inline
    Ext(3, ...)  an integer beyond 64 bits, as text
    Ext(4, ...)  a tagged tree: a tuple, a set, a dict whose keys are not all str, a file, ...
    Ext(5, ...)  a str that is not valid Unicode (a file name with undecodable bytes)

Values cross a task boundary by value: `decode(encode(v))` shares nothing mutable with `v`. `encode` copies what is
mutable and `decode` may keep the tree it is given. A transformer whose values are immutable and stand for themselves in
the tree says so with `identity`, and the engine passes them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

__all__ = [
    "BIG_INT",
    "BLOB",
    "PICKLE",
    "ROUGH_TEXT",
    "TAGGED",
    "Blob",
    "Blobs",
    "Family",
    "Preview",
    "Resolve",
    "Transformer",
    "TypeTransformerFailedError",
    "is_canonical",
]

BLOB, PICKLE, BIG_INT, TAGGED, ROUGH_TEXT = 1, 2, 3, 4, 5

Preview = dict[str, Any]
"""What the explorer shows of a value: {"kind", "text", ...}; kinds: scalar, text, tree, frame, array, image, file, dir,
model, opaque. `text` is always there, one line, at most 200 characters; the rest is in docs/explorer.md."""


class TypeTransformerFailedError(TypeError, AssertionError, ValueError):
    """A value is not of its declared type, or cannot cross a task boundary."""


class Blob(msgspec.Struct, array_like=True, frozen=True):
    """A large value in the value store; stands in a plain tree as Ext(BLOB, msgpack of this)."""

    digest: str
    size_bytes: int
    codec: str
    """How the parts become a value again, e.g. `pickle5`."""
    preview: Preview


class Blobs(Protocol):
    """Where large buffers go: the value store, or memory in tests."""

    def put(self, parts: Sequence[bytes | memoryview]) -> str:
        """Stores the parts, in order, under the digest of their content; returns the digest."""

    def get(self, digest: str) -> list[memoryview]:
        """The parts, each a writable copy-on-write view: writing to one never changes what is stored.

        Raises:
            KeyError: when nothing is stored under the digest.
        """


Resolve = Callable[[Any, bool], "Transformer"]
"""Finds the transformer of an inner type: `(python_type, lenient)`, see `flyte_nb.types.registry.transformer_for`."""

Family = Callable[[Any, Resolve, bool], "Transformer | None"]
"""The transformer of a type that belongs to a family: `(python_type, resolve, lenient)`, None for any other type."""


class Transformer(Protocol):
    """How the values of one type are checked, encoded, decoded and previewed."""

    type_name: str
    """The type as the user wrote it, for messages and tables: `int`, `list[Model]`."""
    identity: bool
    """True when values are immutable and encode to themselves."""

    def encode(self, value: Any, blobs: Blobs) -> Any:
        """The plain tree of a value.

        Raises:
            flyte_nb.types.TypeTransformerFailedError: when the value is not of the type.
        """

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        """A fresh value of the type."""

    def preview(self, value: Any) -> Preview:
        """What the explorer shows of the value; never raises, never calls `repr` on more than it shows."""


def is_canonical(transformer: Transformer) -> bool:
    """True when equal values always have equal trees, so that the encoding itself names the value."""
    return bool(getattr(transformer, "canonical", transformer.identity))
