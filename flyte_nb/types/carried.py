"""Values that cross a task's boundary if they can: what a cell that ran as a task brings back.

A cell leaves open files, generators and figures behind that nobody means to pass on. Where a task that returned one
would fail, what arrives here instead is a `Stayed`, which says what it was and why it did not come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyte_nb.types.anything import decode_anything, encode_anything
from flyte_nb.types.base import Blobs, Preview, TypeTransformerFailedError
from flyte_nb.types.previews import preview_of_value, short_text
from flyte_nb.types.registry import register

__all__ = ["Carried", "Stayed"]

SEARCHED_ITEMS = 100


class Carried:
    """The declared type of an output that is any value, or a `Stayed`."""


@dataclass(frozen=True)
class Stayed:
    """Stands for a value that did not leave its task.

    Attributes:
        text: the value in short.
        type_name: its class.
        reason: why it stayed.
    """

    text: str
    type_name: str
    reason: str

    def __repr__(self) -> str:
        return self.text


class CarriedTransformer:
    """Any value that can be encoded; see the module."""

    type_name = "Any"
    identity = False

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if _is_drawn(value):  # a figure that is unpickled would be drawn a second time
            return encode_anything(_stayed(value, "it belongs to a figure"), blobs)
        try:
            return encode_anything(value, blobs)
        except TypeTransformerFailedError as error:
            return encode_anything(_stayed(value, str(error)), blobs)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return decode_anything(tree, blobs)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


def _stayed(value: Any, reason: str) -> Stayed:
    return Stayed(short_text(value), type(value).__qualname__, reason)


def _is_drawn(value: Any) -> bool:
    """Whether a value is matplotlib's, or holds such: `fig, axes = plt.subplots(2, 2)`."""
    if type(value).__module__.partition(".")[0] == "matplotlib":
        return True
    if isinstance(value, dict):
        value = list(value.values())
    elif type(value).__name__ == "ndarray" and value.dtype.hasobject:
        value = value.ravel().tolist()
    return isinstance(value, list | tuple) and any(map(_is_drawn, value[:SEARCHED_ITEMS]))


register(Carried, CarriedTransformer())
