"""Run documents: the one data shape that every surface draws (docs/explorer.md).

    rows -> run_document(...)       bounded: the urgent, the slowest and the first actions, and the details of some
    live run -> LiveDocument        the whole run as it stands, then what changed since: columnar deltas

Columns, not objects: ten thousand actions are 255 kB instead of 982.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from flyte_nb.engine.action import TERMINAL, Action
from flyte_nb.engine.state import RunState
from flyte_nb.notebook.views.flows import Flow, flow_rows
from flyte_nb.notebook.views.questions import open_questions
from flyte_nb.remote.backend.followed import FollowedAction, FollowedRun
from flyte_nb.remote.local_source import run_row
from flyte_nb.remote.plain import PHASES, InputNames, action_label, error_line, lineage_of, phase_counts, urgency
from flyte_nb.store.events import as_unicode
from flyte_nb.store.rows import ActionRow, AttemptRow, RunRow

__all__ = ["ELSEWHERE", "MIME", "Details", "Document", "LiveDocument", "LiveRun", "run_document", "sendable"]

MIME = "application/vnd.flyte.run+json"
VERSION = 1
LIMIT_BYTES = 100_000
ROWS_SHARE = 0.5
"""The part of a document's bytes that its rows may take; the rest is for details."""
DETAIL_BYTES = 500
"""The least that a detail takes, about."""
ROW_BYTES = 90
"""What the numbers and commas of a row take, about."""
ELSEWHERE = "backend"
"""Where the actions of a backend's run are."""
KINDS = {"task": 0, "trace": 1, "condition": 2}
PHASE_NUMBERS = {phase: number for number, phase in enumerate(PHASES)}
COLUMNS = (
    "name",
    "parent",
    "task",
    "kind",
    "group",
    "phase",
    "queued",
    "init",
    "start",
    "end",
    "attempt",
    "label",
    "error",
    "source",
    "note",
    "tries",
)

AnyAction = ActionRow | Action
LiveRun = RunState | FollowedRun
"""A run that changes: of this process, or of a backend."""
Document = dict[str, Any]
Earlier = Mapping[str, Sequence[AttemptRow]]
"""Attempts before the last, by action."""
Details = Callable[[AnyAction], dict[str, Any] | None]
"""Gives the Detail of an action, None where none is saved."""


def run_document(
    run: RunRow,
    actions: Sequence[AnyAction],
    names: InputNames,
    *,
    note: str = "",
    details: Details | None = None,
    limit_bytes: int = LIMIT_BYTES,
    limit_rows: int | None = None,
    earlier: Earlier | None = None,
    flows: Sequence[Flow] | None = None,
) -> Document:
    """The document of a run as it stands, bounded for saving.

    Args:
        run: the run.
        actions: its actions, parents before their children.
        names: names of the inputs of its tasks, for the labels.
        note: a line for the header.
        details: gives the details that are saved with the most urgent rows; None saves none.
        limit_bytes: size of the whole as JSON, about; what does not fit is counted in `omitted`.
        limit_rows: at most so many actions.
        earlier: the attempts before the last of recorded actions that were retried.
        flows: which outputs became which inputs; None where that is not known.
    """
    tables = _Tables()
    ranked = _ranked(actions)
    kept = _fitting(ranked, actions, int(limit_bytes * ROWS_SHARE), limit_rows)
    row_of = {actions[at].name: row for row, at in enumerate(kept)}
    columns = _columns([actions[at] for at in kept], row_of.__getitem__, tables, names, run.started_ns, earlier)
    document: Document = {
        "version": VERSION,
        "run": run.name,
        "task": run.task,
        "environment": run.environment,
        "started_at": run.started_ns // 1_000_000,
        "notebook": run.notebook,
        "parent_run": run.parent_run,
        "lineage": lineage_of(run),
        "elsewhere": bool(actions) and actions[0].where == ELSEWHERE,
        **_head(run, phase_counts(actions), actions, note),
        "omitted": len(actions) - len(kept),
        "tasks": tables.tasks.texts,
        "groups": tables.groups.texts,
        "actions": columns,
        "flows": flow_rows(flows, set(columns["name"])) if flows is not None else None,
        "details": {},
    }
    if details is not None:
        room = limit_bytes - _size(document)
        in_document = set(kept)
        document["details"] = _fitting_details((actions[at] for at in ranked if at in in_document), details, room)
    return document


class LiveDocument:
    """The document of a run that lives, whole, and what changed in it since it was last sent.

    Row numbers are the actions' `index`. Callable from any thread.
    """

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._tables = _Tables()
        self._lock = threading.Lock()
        self._told: tuple[Any, ...] = ()

    def snapshot(self) -> Document:
        """The whole run as it stands, to be sent to every page; deltas made from now on build on it."""
        with self._lock:
            run = self._run
            run.take_changed()
            actions: list[AnyAction] = list(run.order)
            self._tables = _Tables()
            columns = _columns(actions, self._row_of, self._tables, self._names(), run.started_ns)
            row = row_of_run(run)
            self._told = self._told_of_run()
            return {
                "version": VERSION,
                "run": row.name,
                "task": row.task,
                "environment": row.environment,
                "started_at": row.started_ns // 1_000_000,
                "notebook": row.notebook,
                "parent_run": row.parent_run,
                "lineage": lineage_of(row),
                "elsewhere": isinstance(run, FollowedRun),
                **_head(row, dict(run.counts), actions, run.note),
                "omitted": 0,
                "tasks": self._tables.tasks.texts[:],
                "groups": self._tables.groups.texts[:],
                "actions": columns,
                "details": {},
            }

    def delta(self, changed: Iterable[Action | FollowedAction]) -> Document | None:
        """What to send for these changes; None when nothing a page shows has changed.

        Args:
            changed: the actions, as the run's `take_changed` gave them.
        """
        with self._lock:
            run = self._run
            actions = sorted(changed, key=lambda action: action.index)
            told = self._told_of_run()
            if not actions and told == self._told:
                return None
            self._told = told
            known_tasks, known_groups = len(self._tables.tasks.texts), len(self._tables.groups.texts)
            columns = _columns(actions, self._row_of, self._tables, self._names(), run.started_ns)
            return {
                "kind": "delta",
                "head": _head(row_of_run(run), dict(run.counts), run.order, run.note),
                "tasks": self._tables.tasks.texts[known_tasks:],
                "groups": self._tables.groups.texts[known_groups:],
                "rows": [action.index for action in actions],
                "actions": columns,
            }

    def _told_of_run(self) -> tuple[Any, ...]:
        """What the header shows beside the actions; it is sent again when this has changed."""
        run = self._run
        return run.phase, run.note, run.closed, tuple(run.labels.items())

    def _row_of(self, action: str) -> int:
        return self._run.actions[action].index

    def _names(self) -> InputNames:
        if isinstance(self._run, FollowedRun):
            return self._run.names
        return {declared.spec: [name for name, _ in declared.inputs] for declared in list(self._run.declared)}


def row_of_run(run: LiveRun) -> RunRow:
    """A run that lives as a row."""
    return run.row if isinstance(run, FollowedRun) else run_row(run)


class _Strings:
    """A string table: texts that columns refer to by number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return found


class _Tables:
    def __init__(self) -> None:
        self.tasks = _Strings()
        self.groups = _Strings()


def _head(run: RunRow, counts: Mapping[str, int], actions: Sequence[AnyAction], note: str) -> Document:
    """What the header shows, and what a delta renews."""
    end_ns = run.ended_ns if run.ended_ns is not None else time.time_ns()
    return {
        "phase": run.phase,
        "duration_ms": _milliseconds(end_ns, run.started_ns),
        "live": run.phase not in TERMINAL,
        "labels": run.labels,
        "note": note,
        "error": _run_error(run, actions),
        "counts": {phase: count for phase, count in counts.items() if count},
        "total": len(actions),
        "questions": open_questions(actions, run.started_ns) if counts.get("paused") else [],
    }


def _run_error(run: RunRow, actions: Sequence[AnyAction]) -> Document | None:
    """The run's error, and the action in which it arose: the deepest that ended with it."""
    error = run.error
    if error is None:
        return None
    guilty = ""
    for action in actions:  # parents stand before children, so the last hit of an unbroken chain is the deepest
        own = action.error
        same = own is not None and (own.code, own.message) == (error.code, error.message)
        if same and action.phase != "aborted" and action.parent == guilty:
            guilty = action.name
    fields = ("code", "kind", "message", "place")
    return {**{field: getattr(error, field) for field in fields}, "action": guilty}


def _columns(
    actions: Sequence[AnyAction],
    row_of: Callable[[str], int],
    tables: _Tables,
    names: InputNames,
    origin_ns: int,
    earlier: Earlier | None = None,
) -> dict[str, list[Any]]:
    rows = [
        (
            action.name,
            row_of(action.parent) if action.parent else -1,
            tables.tasks.number(action.task),
            KINDS.get(action.kind, 0),
            tables.groups.number(action.group) if action.group else -1,
            PHASE_NUMBERS.get(action.phase, 0),
            _milliseconds(action.queued_ns, origin_ns),
            _milliseconds(action.initializing_ns, origin_ns),
            _milliseconds(action.started_ns, origin_ns),
            _milliseconds(action.ended_ns, origin_ns),
            action.attempt,
            action_label(action, names),
            error_line(action.error) if action.error is not None else None,
            source_word(action.source),
            "" if action.phase in TERMINAL else action.note,
            _tries(action, earlier, origin_ns) if action.attempt > 1 else None,
        )
        for action in actions
    ]
    return dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)) if rows else {c: [] for c in COLUMNS}


def _tries(action: AnyAction, earlier: Earlier | None, origin_ns: int) -> list[list[float | None]] | None:
    """When the attempts before the last ran."""
    known = action.attempts if isinstance(action, Action) else (earlier or {}).get(action.name)
    ended = [one for one in list(known or ()) if one.ended_ns is not None]
    return [[_milliseconds(one.started_ns, origin_ns), _milliseconds(one.ended_ns, origin_ns)] for one in ended] or None


def sendable(document: Document) -> Document:
    """The document as a page can be sent it: what a task says need not be Unicode, a message must."""
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        return dict(as_unicode(document))
    return document


def source_word(source: str) -> str:
    """Where a reused result came from, in a word."""
    return "" if not source else "cache" if source.startswith("cache:") else "recovered"


def _milliseconds(at_ns: int | None, origin_ns: int) -> float | None:
    return None if at_ns is None else round((at_ns - origin_ns) / 1e6, 3)


def _ranked(actions: Sequence[AnyAction]) -> list[int]:
    """Positions, the most telling first: the root, what failed, what runs, then by turns the slowest and the first."""
    numbers = range(len(actions))
    urgent = sorted((at for at in numbers if at and urgency(actions[at]) < 4), key=lambda at: urgency(actions[at]))
    slowest = sorted(numbers, key=lambda at: _duration_ns(actions[at]), reverse=True)
    by_turns = (at for pair in zip(slowest, numbers, strict=True) for at in pair)
    return list(dict.fromkeys([*numbers[:1], *urgent, *by_turns]))


def _duration_ns(action: AnyAction) -> int:
    return 0 if action.started_ns is None or action.ended_ns is None else action.ended_ns - action.started_ns


def _fitting(ranked: Sequence[int], actions: Sequence[AnyAction], room: int, limit_rows: int | None) -> list[int]:
    """The positions that fit, in the order of the run; with each its ancestors."""
    position_of = {action.name: at for at, action in enumerate(actions)}
    kept: set[int] = set()
    for at in ranked:
        lineage = [one for one in _lineage(at, actions, position_of) if one not in kept]
        room -= sum(_row_size(actions[one]) for one in lineage)
        if kept and (room < 0 or (limit_rows is not None and len(kept) + len(lineage) > limit_rows)):
            break
        kept.update(lineage)
    return sorted(kept)


def _lineage(at: int, actions: Sequence[AnyAction], position_of: Mapping[str, int]) -> Iterator[int]:
    """The action and its ancestors."""
    yield at
    while parent := actions[at].parent:
        at = position_of[parent]
        yield at


def _row_size(action: AnyAction) -> int:
    error = len(action.error.code) + min(len(action.error.message), 200) if action.error is not None else 4
    return ROW_BYTES + len(action.name) + error + min(60, len(action.inputs))


def _fitting_details(actions: Iterable[AnyAction], details: Details, room: int) -> Document:
    """The details of the first actions, as many as fit; one that is too large for what is left is passed over."""
    saved = {}
    for action in actions:
        if room < DETAIL_BYTES:
            break
        detail = details(action)
        if detail is None:
            continue
        size = _size(detail)
        if size <= room:
            room -= size
            saved[action.name] = detail
    return saved


def _size(document: Document) -> int:
    return len(json.dumps(document, ensure_ascii=False))
