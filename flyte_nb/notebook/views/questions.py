"""The questions that a run waits to have answered, as its explorer asks them (docs/explorer.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyte_nb.engine.action import Action
from flyte_nb.remote.source import source
from flyte_nb.store.rows import ActionRow
from flyte_nb.types.steps import decode_values

__all__ = ["open_questions"]

PROMPT_CHARS = 4_000
TOO_LONG = "The question is too long to be shown here: see the inputs of its action."


def open_questions(actions: Iterable[ActionRow | Action], origin_ns: int) -> list[dict[str, Any]]:
    """The conditions among the actions that wait for an answer, in the order in which they were asked.

    Args:
        actions: of a run.
        origin_ns: when the run began; times are given in milliseconds since then.
    """
    paused = [one for one in actions if one.kind == "condition" and one.phase == "paused"]
    return [_question(one, origin_ns) for one in paused if one.inputs]  # a backend's list does not tell them


def _question(condition: ActionRow | Action, origin_ns: int) -> dict[str, Any]:
    try:
        asked = decode_values(source.shown(condition.inputs), source.blobs)
    except KeyError:  # a long text stands in the value store of a run of another project
        asked = [TOO_LONG, "", "str", "text", None]
    prompt, description, data_type, _, timeout_seconds = asked
    began_ns = condition.started_ns if condition.started_ns is not None else condition.queued_ns
    until = (began_ns - origin_ns) / 1e6 + timeout_seconds * 1e3 if timeout_seconds is not None else None
    return {
        "action": condition.name,
        "name": condition.task,
        "prompt": _bounded(prompt),
        "description": _bounded(description),
        "type": data_type,
        "until": round(until, 3) if until is not None else None,
    }


def _bounded(text: str) -> str:
    return text if len(text) <= PROMPT_CHARS else f"{text[: PROMPT_CHARS - 1]}…"
