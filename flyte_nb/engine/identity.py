"""Names of actions: by position, not by time. Specified in docs/evaluation.md.

    position(root)   = H("root", task)
    position(child)  = H("call", position(parent), task, group, sequence, inputs)
    name(child)      = H("action", position, interface, own digest of the code)

A position holds no code, so editing a parent renames none of its children; `sequence` counts equal calls only (same
task, inputs and group), so the order in which calls were scheduled does not matter. The root's position holds no
inputs either: a run forked with other inputs reuses the children whose own inputs stayed the same.
"""

from __future__ import annotations

import secrets

from flyte_nb.engine.hashing import hash_struct

__all__ = ["ROOT", "action_name", "call_position", "new_run_name", "root_position"]

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


def new_run_name() -> str:
    """A fresh name: a letter and nine characters without look-alikes, about 45 bits."""
    return "r" + "".join(secrets.choice(ALPHABET) for _ in range(9))
