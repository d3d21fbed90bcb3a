"""Tagged structural hashing: every identity in flyte_nb is the hash of a tagged, canonically encoded structure.

    hash_struct("Action", task_name, inputs_digest, group, sequence)  ->  16 bytes

The tag says what is being named, so that two kinds of things with equal parts never share a name. The encoding is
msgpack of the array `[tag, *parts]`, dictionaries in the order of their keys; the hash is the first 128 bits of BLAKE3.
Both are the same on every machine and Python, and part of the store's format: to change either renames everything.
"""

from __future__ import annotations

import msgspec
from blake3 import blake3

from flyte_nb.engine.parts import Part

__all__ = ["DIGEST_BYTES", "encode_struct", "hash_struct"]

DIGEST_BYTES = 16

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def hash_struct(tag: str, *parts: Part) -> bytes:
    """The identity of a structure: 16 bytes, equal wherever tag and parts are equal.

    Args:
        tag: what is being named, for example `"Action"`.
        parts: plain data, nested at will; integers within 64 bits.

    Raises:
        OverflowError: when an integer is beyond 64 bits (pass it as text).
        TypeError: when a part cannot be encoded.
    """
    return blake3(_encode((tag, *parts))).digest(length=DIGEST_BYTES)


def encode_struct(tag: str, *parts: Part) -> bytes:
    """What `hash_struct` hashes."""
    return _encode((tag, *parts))
