"""Hashes that users give to values: what a file, a folder or a frame counts as in names of actions and cache keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

__all__ = ["HashFunction", "HashMethod", "HashlibAccumulator", "PrecomputedValue", "as_hash"]


@runtime_checkable
class HashMethod(Protocol):
    """Takes data, piece by piece or at once, and answers with a hash."""

    def update(self, data: Any, /) -> None:
        """Takes the next piece of data."""

    def result(self) -> str:
        """The hash of what was taken so far."""


class HashFunction:
    """A function of the user's as a hash: `Annotated[pd.DataFrame, HashFunction.from_fn(hash_of_frame)]`.

    Args:
        fn: takes the value, returns its hash as text.
    """

    def __init__(self, fn: Callable[[Any], str]) -> None:
        self._fn = fn
        self._value = ""

    @classmethod
    def from_fn(cls, fn: Callable[[Any], str]) -> HashFunction:
        """The hash that `fn` computes."""
        return cls(fn)

    def update(self, data: Any) -> None:
        """Computes the hash of `data`."""
        self._value = self._fn(data)

    def result(self) -> str:
        """The hash of what was last given to `update`."""
        return self._value

    def reset(self) -> None:
        """Forgets the last hash."""
        self._value = ""


class PrecomputedValue:
    """A hash that is known already."""

    def __init__(self, value: str) -> None:
        self._value = value

    def update(self, data: Any, /) -> None:
        """Takes no notice of the data."""

    def result(self) -> str:
        """The hash."""
        return self._value


class HashlibAccumulator:
    """One of hashlib's hashes, fed with bytes as they are written."""

    def __init__(self, hasher: Any) -> None:
        self._hasher = hasher

    @classmethod
    def from_hash_name(cls, name: str) -> HashlibAccumulator:
        """The hashlib algorithm of that name, e.g. `sha256`."""
        return cls(hashlib.new(name))

    def update(self, data: Any, /) -> None:
        """Takes the next bytes (of a str its UTF-8)."""
        self._hasher.update(data.encode() if isinstance(data, str) else data)

    def result(self) -> str:
        """The hash in hexadecimal digits."""
        return str(self._hasher.hexdigest())


def as_hash(hash_method: HashMethod | str | None) -> tuple[str | None, HashMethod | None]:
    """(known hash, method to compute it with) of what Flyte calls `hash_method`."""
    return (hash_method, None) if isinstance(hash_method, str) else (None, hash_method)
