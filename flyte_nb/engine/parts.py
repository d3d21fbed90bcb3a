"""What a digest is made of: plain data, the same on every machine and Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

__all__ = ["Part", "integer", "text"]

Part: TypeAlias = "bool | int | float | str | bytes | Sequence[Part] | Mapping[str, Part] | None"
"""Nested plain data. Tuples and lists are the same thing; `True`, `1` and `1.0` are three different ones."""


def integer(value: int) -> Part:
    """An integer of any size as a part."""
    return value if -(2**63) <= value < 2**64 else ["int", hex(value)]


def text(value: str) -> Part:
    """Any string as a part, those with lone surrogates (undecodable file names) too."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ["surrogates", value.encode("utf-8", "surrogatepass")]
    return value
