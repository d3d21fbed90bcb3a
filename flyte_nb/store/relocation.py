"""The events of a run under another name, with its files in another folder."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.msgpack import Ext

from flyte_nb.store.events import ActionEnded, ActionStarted, Event
from flyte_nb.types.base import TAGGED
from flyte_nb.types.trees import leaf_content, pack, tagged, unpack

__all__ = ["relocated"]


def relocated(event: Event, old: str, new: str, move: tuple[str, str] | None) -> Event:
    """An event as one of a run of another name.

    Args:
        event: of the run.
        old: the run's name.
        new: its name from now on.
        move: the folder that its files were in, and the one that they are in; None when they were left behind. Paths
            inside of pickles stay as they are.
    """
    changes: dict[str, Any] = {"run": new}
    if isinstance(event, ActionStarted | ActionEnded) and move is not None and event.payload is not None:
        changes["payload"] = moved_payload(event.payload, *move)
    if isinstance(event, ActionEnded):
        cache, _, source = event.source.rpartition(":")
        if source.startswith(f"{old}/"):  # a result of the run itself
            changes["source"] = f"{cache and cache + ':'}{new}{source.removeprefix(old)}"
    return msgspec.structs.replace(event, **changes)


def moved_payload(payload: bytes, old: str, new: str) -> bytes:
    """The payload, with every path below a folder as one below another."""
    if old.encode() not in payload:
        return payload
    return pack(moved(unpack(payload), f"{old}/", f"{new}/"))


def moved(tree: Any, old: str, new: str) -> Any:
    if type(tree) is str:
        return new + tree.removeprefix(old) if tree.startswith(old) else tree
    if type(tree) is list:
        return [moved(item, old, new) for item in tree]
    if type(tree) is dict:
        return {key: moved(item, old, new) for key, item in tree.items()}
    if type(tree) is Ext and tree.code == TAGGED:
        tag, content = leaf_content(tree)
        return tagged(tag, moved(content, old, new))
    return tree
