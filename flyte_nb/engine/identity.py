"""Names of actions: by position, not by time. Specified in docs/evaluation.md.

    position(root)   = H("root", task)
    position(child)  = H("call", position(parent), task, group, sequence, inputs)
    name(child)      = H("action", position, identity)
    identity(task)   = H("code", interface, own digest of its code);  of a traced function  H("trace", own digest)

A position holds no code, so editing a parent renames none of its children; `sequence` counts equal calls only (same
task, inputs and group), so the order in which calls were scheduled does not matter. The root's position holds no
inputs either: a run forked with other inputs reuses the children whose own inputs stayed the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import lru_cache

from flyte_nb.engine.hashing import hash_struct

__all__ = [
    "ROOT",
    "action_name",
    "call_position",
    "interface_of",
    "new_run_name",
    "root_position",
    "task_identity",
    "trace_identity",
]

ROOT = "a0"
NAME_CHARACTERS = 16
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def root_position(task: str) -> bytes:
    """The position of a run's root action."""
    return hash_struct("root", task)


def call_position(parent: bytes, task: str, group: str | None, sequence: int, inputs: bytes) -> bytes:
    """The position of a call under its parent's.

    Args:
        parent: the parent's position.
        task: full name of the called task or traced function.
        group: the innermost group, or None.
        sequence: number of this call among equal ones, from 0.
        inputs: payload of the inputs.
    """
    return hash_struct("call", parent, task, group or "", sequence, inputs)


def action_name(position: bytes, identity: bytes) -> str:
    """The name of the action at a position, for code of the given identity (interface and own digest)."""
    return hash_struct("action", position, identity).hex()[:NAME_CHARACTERS]


def interface_of(inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]) -> bytes:
    """The identity of an interface: names and types, as text, of inputs and outputs."""
    return hash_struct("interface", list(inputs), list(outputs))


def task_identity(interface: bytes, own_digest: str) -> bytes:
    """What the code of a task adds to the names of its actions."""
    return hash_struct("code", interface, own_digest)


@lru_cache
def trace_identity(own_digest: str) -> bytes:
    """The same of a traced function."""
    return hash_struct("trace", own_digest)


def new_run_name() -> str:
    """A fresh name: a letter and nine characters without look-alikes, about 45 bits."""
    return "r" + "".join(secrets.choice(ALPHABET) for _ in range(9))
