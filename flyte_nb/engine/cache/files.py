"""The files and folders that a stored result refers to: it is of no use without them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import TAGGED
from flyte_nb.types.trees import leaf_content, unpack

__all__ = ["missing_file"]

PATH_FIELDS = ("path", "uri")
MARK = b"previewed"
"""Stands in every payload that refers to a file."""


def missing_file(payload: bytes) -> str:
    """The first file or folder of this machine that values refer to and that is gone; empty when none is.

    Args:
        payload: the packed list of values.
    """
    if MARK not in payload:
        return ""
    return next((path for path in _paths(unpack(payload)) if not os.path.exists(path)), "")


def _paths(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for item in tree:
            yield from _paths(item)
    elif isinstance(tree, dict):
        yield from _paths(list(tree.values()))
    elif isinstance(tree, Ext) and tree.code == TAGGED:
        tag, content = leaf_content(tree)
        if tag == "previewed":
            yield from _local_paths(content[1])
        else:
            yield from _paths(content)


def _local_paths(fields: Any) -> Iterator[str]:
    for name in PATH_FIELDS:
        path = fields.get(name) if isinstance(fields, dict) else None
        if isinstance(path, str) and path and "://" not in path.removeprefix("file://"):
            yield path.removeprefix("file://")
