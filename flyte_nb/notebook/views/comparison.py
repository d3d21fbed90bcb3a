"""Two runs side by side: what differs in inputs, durations and outcomes (`%flyte compare A B`, docs/explorer.md).

actions of both -> matched by position -> Pairs -> a document, bounded: what differs first
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec

from flyte_nb.notebook.views.comparison_text import comparison_html, comparison_text
from flyte_nb.notebook.views.details import RunReader, values_of
from flyte_nb.notebook.views.document import AnyAction, Document, sendable
from flyte_nb.notebook.views.matching import Pair, matched
from flyte_nb.notebook.views.saving import saving
from flyte_nb.remote.plain import PHASES, action_label, error_line
from flyte_nb.types.trees import identity_of, pack, unpack

__all__ = ["COMPARISON_MIME", "Comparison"]

COMPARISON_MIME = "application/vnd.flyte.comparison+json"
VERSION = 1
ROWS = 500
"""Pairs of actions that a document lists; of the others it says how many there are."""
NOTABLE_RATIO = 1.5
NOTABLE_MS = 10.0
"""A duration differs notably where it is longer by this much and by this ratio."""

EITHER = ("left", "right")
HIDDEN = "not saved"
What = Literal["inputs", "outputs"]


class Comparison:
    """What differs between two runs. Draws itself in a notebook; printed, it lists what differs.

    Args:
        left: name of the earlier run.
        right: name of the run that is compared with it.

    Raises:
        KeyError: there is no such run; the message names near ones.
    """

    def __init__(self, left: str, right: str) -> None:
        self._readers = (RunReader(left), RunReader(right))

    def __repr__(self) -> str:
        return comparison_text(self.document)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        document = self.document if saving.previews else without_values(self.document)
        bundle = {
            COMPARISON_MIME: document,
            "text/html": comparison_html(document),
            "text/plain": comparison_text(document),
        }
        return sendable(bundle)

    @cached_property
    def document(self) -> Document:
        """The comparison as the page draws it (docs/explorer.md)."""
        pairs = list(matched(*(reader.actions for reader in self._readers)))
        rows = [self._row(pair) for pair in pairs]
        shown = bounded(pairs, rows)
        place = {id(pairs[at]): k for k, at in enumerate(shown)}
        for at in shown:
            parent = pairs[at].parent
            rows[at]["parent"] = place[id(parent)] if parent is not None else -1
        return {
            "version": VERSION,
            **{side: self._head(reader) for side, reader in zip(EITHER, self._readers, strict=True)},
            "differences": [*self._labels(), *self._tasks()],
            "same": sum(not row["differs"] for row in rows),
            "total": len(rows),
            "rows": [rows[at] for at in shown],
        }

    def _head(self, reader: RunReader) -> Document:
        row = reader.row
        ended_ns = row.ended_ns if row.ended_ns is not None else row.started_ns
        return {
            "run": row.name,
            "task": row.task,
            "phase": row.phase,
            "started_at": row.started_ns // 1_000_000,
            "duration_ms": (ended_ns - row.started_ns) / 1e6,
            "total": row.action_count,
            "error": error_line(row.error) if row.error is not None else None,
        }

    def _labels(self) -> Iterator[list[str]]:
        left, right = (reader.row.labels for reader in self._readers)
        for key in sorted({*left, *right}):
            if left.get(key) != right.get(key):
                yield [f"label {key}", left.get(key, ""), right.get(key, "")]

    def _tasks(self) -> Iterator[list[str]]:
        """Tasks of which both runs have one that differs in code or settings."""
        left, right = ({task.task: task for task in reader.tasks.values()} for reader in self._readers)
        for name in sorted(set(left) & set(right)):
            if left[name].own_digest != right[name].own_digest:
                yield [f"code of {name}", left[name].own_digest[:8], right[name].own_digest[:8]]
            before, after = left[name].settings, right[name].settings
            for key in sorted({*before, *after} - {"links"}):
                if before.get(key) != after.get(key):
                    yield [f"{key} of {name}", str(before.get(key, "")), str(after.get(key, ""))]

    def _row(self, pair: Pair) -> Document:
        sides = [self._side(action, reader) for action, reader in zip(pair.both, self._readers, strict=True)]
        inputs = self._different(pair, "inputs")
        outputs = self._different(pair, "outputs")
        left, right = sides
        differs = []
        if left is None or right is None:
            differs.append("missing")
        else:
            if (left["phase"], left["error"]) != (right["phase"], right["error"]) or outputs:
                differs.append("outcome")
            if inputs:
                differs.append("inputs")
            if is_notable(left["duration"], right["duration"]):
                differs.append("duration")
        return {
            "parent": -1,
            "task": pair.any.task,
            "group": pair.any.group,
            "left": left,
            "right": right,
            "inputs": inputs,
            "outputs": outputs,
            "differs": differs,
        }

    def _side(self, action: AnyAction | None, reader: RunReader) -> Document | None:
        if action is None:
            return None
        is_timed = action.started_ns is not None and action.ended_ns is not None
        return {
            "action": action.name,
            "phase": PHASES.index(action.phase),
            "duration": round(((action.ended_ns or 0) - (action.started_ns or 0)) / 1e6, 3) if is_timed else None,
            "label": action_label(action, reader.names),
            "error": error_line(action.error) if action.error is not None else None,
        }

    def _different(self, pair: Pair, what: What) -> list[list[str]]:
        """The inputs or outputs that differ: name, and what they were on either side."""
        sides = list(zip(pair.both, self._readers, strict=True))
        if any(action is None or not getattr(action, what) for action, _ in sides):
            return []
        left, right = (keys_of(action, reader, what) for action, reader in sides if action is not None)
        changed = [name for name in {**left, **right} if left.get(name) != right.get(name)]
        if not changed:
            return []
        before, after = (texts_of(action, reader, what) for action, reader in sides if action is not None)
        return [[name, before.get(name, ""), after.get(name, "")] for name in changed]


def without_values(document: Document) -> Document:
    """The comparison with nothing of the user's data in it: which inputs and outputs differ, not what they were."""

    def hidden(row: Document) -> Document:
        sides = {side: {**row[side], "label": ""} for side in EITHER if row[side] is not None}
        changes = {what: [[name, HIDDEN, HIDDEN] for name, _, _ in row[what]] for what in ("inputs", "outputs")}
        return {**row, **sides, **changes}

    return {**document, "rows": [hidden(row) for row in document["rows"]]}


def bounded(pairs: Sequence[Pair], rows: Sequence[Document]) -> list[int]:
    """The pairs that are listed, in order: all, or those that differ and what they stand under, then the others."""
    if len(pairs) <= ROWS:
        return list(range(len(pairs)))
    place = {id(pair): at for at, pair in enumerate(pairs)}
    kept: set[int] = set()
    for at in sorted(range(len(pairs)), key=lambda at: urgency_of(rows[at])):
        lineage = []
        pair: Pair | None = pairs[at]
        while pair is not None and place[id(pair)] not in kept:
            lineage.append(place[id(pair)])
            pair = pair.parent
        if len(kept) + len(lineage) > ROWS:
            break
        kept.update(lineage)
    return sorted(kept)


def urgency_of(row: Document) -> int:
    """What a reader looks for first: outcomes, then what ran in one run only, inputs, durations."""
    order = ("outcome", "missing", "inputs", "duration")
    return min((order.index(one) for one in row["differs"]), default=len(order))


def is_notable(left_ms: float | None, right_ms: float | None) -> bool:
    """Whether one duration is longer by more than chance explains."""
    if left_ms is None or right_ms is None:
        return False
    short, long = sorted((left_ms, right_ms))
    return long - short >= NOTABLE_MS and long >= NOTABLE_RATIO * short


def declared_of(action: AnyAction, reader: RunReader, what: What) -> Sequence[tuple[str, str]]:
    task = reader.tasks.get(action.spec)
    if task is not None:
        return task.inputs if what == "inputs" else task.outputs
    return (action.trace_inputs or []) if what == "inputs" else [("o0", "")]


def keys_of(action: AnyAction, reader: RunReader, what: What) -> dict[str, bytes]:
    """The identities of the values by name; none of damaged bytes."""
    try:
        trees = unpack(getattr(action, what))
    except msgspec.DecodeError:
        return {}
    names = [name for name, _ in declared_of(action, reader, what)]
    return {name: identity_of(pack([tree])) for name, tree in zip(names, trees, strict=False)}


def texts_of(action: AnyAction, reader: RunReader, what: What) -> dict[str, str]:
    """The values by name, each in a line."""
    values = values_of(getattr(action, what), declared_of(action, reader, what))
    return {value["name"]: value["preview"]["text"] for value in values}
