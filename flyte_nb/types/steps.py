"""What crosses with a step of a traced function: its arguments and its result, each encoded by what it is.

They carry no declared types, so that they load without the function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flyte_nb.types.anything import encode_anything
from flyte_nb.types.base import Blobs
from flyte_nb.types.offload import pack_values

if TYPE_CHECKING:
    from flyte_nb.authoring.trace import TraceFunction

__all__ = ["encode_values", "named_arguments"]


def encode_values(values: Iterable[Any], blobs: Blobs) -> bytes:
    """The payload of values encoded by what they are; one that cannot be recorded (an open client) counts by its
    type."""
    return pack_values([_encode(value, blobs) for value in values], blobs)


def named_arguments(
    function: TraceFunction[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call of a traced function by name, defaults included.

    Raises:
        TypeError: they do not fit its signature.
    """
    bound = function.signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def _encode(value: Any, blobs: Blobs) -> Any:
    try:
        return encode_anything(value, blobs)
    except TypeError:
        return encode_anything(f"<{type(value).__module__}.{type(value).__qualname__}, not recorded>", blobs)
