"""What crosses with a step of a traced function: its arguments and its result, each encoded by what it is.

They carry no declared types, so that they load without the function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flyte_nb.types.anything import decode_anything, encode_anything
from flyte_nb.types.base import Blobs
from flyte_nb.types.offload import pack_values, unpack_values
from flyte_nb.types.trees import tagged

if TYPE_CHECKING:
    from flyte_nb.authoring.trace import TraceFunction

__all__ = ["UNRECORDED", "decode_values", "encode_values", "named_arguments"]

UNRECORDED = "unrecorded"
"""Tag of what stands for a value that cannot be recorded."""


def encode_values(values: Iterable[Any], blobs: Blobs) -> bytes:
    """The payload of values encoded by what they are; one that cannot be recorded (an open client) counts by its
    type."""
    return pack_values([_encode(value, blobs) for value in values], blobs)


def decode_values(payload: bytes, blobs: Blobs) -> list[Any]:
    """The values of a payload that `encode_values` made.

    Raises:
        KeyError: a large one is no longer in the value store.
    """
    return [decode_anything(tree, blobs) for tree in unpack_values(payload, blobs)]


def named_arguments(
    function: TraceFunction[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call of a traced function by name, defaults included.

    Raises:
        TypeError: they do not fit its signature.
    """
    names = function.positional_names
    if names is not None and not kwargs and len(args) == len(names):
        return dict(zip(names, args, strict=True))
    bound = function.signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def _encode(value: Any, blobs: Blobs) -> Any:
    try:
        return encode_anything(value, blobs)
    except TypeError:
        return tagged(UNRECORDED, f"<{type(value).__module__}.{type(value).__qualname__}, not recorded>")
