"""What the explorer shows of one action, and where it reads it: from memory while this process holds the run.

Values are shown by the previews that stand in their encoding; no type of the user's is loaded and no value rebuilt.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from msgspec.msgpack import Ext

from flyte_nb.engine.action import TERMINAL, Action
from flyte_nb.engine.links import links_of_action
from flyte_nb.engine.state import RunState
from flyte_nb.notebook.views.document import ELSEWHERE, LIMIT_BYTES, AnyAction, Document, run_document
from flyte_nb.notebook.views.flows import Flow, find_flows
from flyte_nb.remote.backend.client import UNANSWERED
from flyte_nb.remote.local_source import LocalSource
from flyte_nb.remote.plain import InputNames, error_line
from flyte_nb.remote.source import source
from flyte_nb.store.rows import AttemptRow, LogRow, RunRow, TaskRow
from flyte_nb.types.base import BLOB, Preview
from flyte_nb.types.previews import preview_of_tree
from flyte_nb.types.trees import leaf_content, unpack

__all__ = ["RunReader"]

logger = logging.getLogger("flyte")

T = TypeVar("T")

LOG_LINES = 200
SAVED_LOG_ENTRIES = 2_000
"""Entries of a run's log that are read for the details saved with it."""
SAVED_LOG_LINES = 40
SAVED_FLOW_ACTIONS = 2_000
"""Of a run with more actions the flows are found when a page asks: that is not to delay the end of a cell."""
SAVED_REPORT_CHARS = 40_000
SAVED_DISPLAY_CHARS = 20_000
SAVED_ELSEWHERE = 8
"""Details that are saved of a backend's run."""


class RunReader:
    """One run, read for the explorer.

    Args:
        name: name of the run.
        found_in: where it is read; the source of this process, unless another store is meant.

    Raises:
        KeyError: there is no such run; the message names near ones.
    """

    def __init__(self, name: str, found_in: LocalSource = source) -> None:
        self.name = name
        self._source = found_in
        self.live: RunState | None = found_in.live(name)
        self._asked = 0
        """Details of a backend's run that were saved."""
        self._is_lost = False
        """Whether the backend did not answer: what it was to tell beside the actions is left out of the document."""
        found_in.run(name)

    @property
    def row(self) -> RunRow:
        return self._source.run(self.name)

    @cached_property
    def _actions_and_names(self) -> tuple[Sequence[AnyAction], InputNames | None]:
        return self._source.actions_with_inputs(self.name)

    @property
    def actions(self) -> Sequence[AnyAction]:
        """Its actions, parents before their children, as they stood when first asked."""
        return self._actions_and_names[0]

    @cached_property
    def tasks(self) -> dict[int, TaskRow]:
        """Its tasks as they stood in it, by the number of their declaration."""
        return {task.spec: task for task in self._source.tasks(self.name)}

    @property
    def is_elsewhere(self) -> bool:
        """Whether the run is a backend's."""
        return bool(self.actions) and self.actions[0].where == ELSEWHERE

    @property
    def names(self) -> InputNames:
        """The names of the inputs of its tasks; of a backend's run as far as its inputs are known."""
        names = self._actions_and_names[1]
        return (
            {spec: [name for name, _ in task.inputs] for spec, task in self.tasks.items()} if names is None else names
        )

    def document(self, limit_bytes: int = LIMIT_BYTES, details: bool = True) -> Document:
        """The bounded document of the run, for saving; see `run_document`.

        Args:
            limit_bytes: its size as JSON, about.
            details: save the details of its first rows too.
        """
        note = self.live.note if self.live is not None else ""
        saved = self._saved_detail if details else None
        return run_document(
            self.row,
            self.actions,
            self.names,
            note=note,
            details=saved,
            limit_bytes=limit_bytes,
            earlier=self._unless_lost(self._source.earlier_attempts, self.name) if self._is_retried else None,
            flows=self.flows() if details and self._is_worth_flows else None,
        )

    def flows(self) -> list[Flow]:
        """Which outputs became which inputs, among the actions that have been called by now."""
        return find_flows(self.actions, self.tasks)

    @property
    def _is_worth_flows(self) -> bool:
        return not self.is_elsewhere and self.row.phase in TERMINAL and len(self.actions) <= SAVED_FLOW_ACTIONS

    @property
    def _is_retried(self) -> bool:
        return any(action.attempt > 1 for action in self.actions)

    def detail(self, action: str) -> Document:
        """The Detail of an action (docs/explorer.md).

        Args:
            action: its name.

        Raises:
            KeyError: the run has no such action.
        """
        found = self._source.action(self.name, action)
        logs, omitted = self._last_lines(found)
        return self._detail(found, self._attempts(found), logs, omitted, self._source.report(self.name, found.name))

    def _saved_detail(self, action: AnyAction) -> Document | None:
        """The same, smaller, and read without a query of its own for most actions. Of a backend's run, where each takes
        some requests, only the first; the others are asked of the kernel."""
        if action.where == ELSEWHERE:
            self._asked += 1
            return self._unless_lost(self.detail, action.name) if self._asked <= SAVED_ELSEWHERE else None
        logs, omitted = self._last_lines(action) if isinstance(action, Action) else self._stored_lines(action.name)
        kept = [line for line in logs[-SAVED_LOG_LINES:] if line[1] != "display" or len(line[2]) <= SAVED_DISPLAY_CHARS]
        report = self._saved_report(action)
        return self._detail(action, self._attempts(action), kept, omitted + len(logs) - len(kept), report)

    def _unless_lost(self, ask: Callable[[str], T], name: str) -> T | None:
        """What a backend answers, None where it does not: the document is made all the same."""
        if self._is_lost:
            return None
        try:
            return ask(name)
        except UNANSWERED as error:
            logger.debug("run %s is saved without %s: %s", self.name, name, error)
            self._is_lost = True
            return None

    def _saved_report(self, action: AnyAction) -> str | None:
        task = self.tasks.get(action.spec)
        if not isinstance(action, Action) and (task is None or not task.settings.get("report")):
            return None
        report = self._source.report(self.name, action.name)
        return report if report is None or len(report) <= SAVED_REPORT_CHARS else None

    def _detail(
        self,
        action: AnyAction,
        attempts: Sequence[AttemptRow],
        logs: list[list[Any]],
        logs_omitted: int,
        report: str | None,
    ) -> Document:
        task = self.tasks.get(action.spec) if action.kind == "task" else None
        inputs = task.inputs if task is not None else action.trace_inputs or []
        outputs = task.outputs if task is not None else [("o0", "")]
        error = action.error
        return {
            "action": action.name,
            "task": action.task,
            "phase": action.phase,
            "where": action.where,
            "isolation": task.isolation if task is not None else "",
            "isolation_reason": task.isolation_reason if task is not None else "",
            "attempts": [self._attempt(attempt) for attempt in attempts],
            "source": action.source,
            "note": action.note,
            "inputs": values_of(action.inputs, inputs),
            "outputs": values_of(action.outputs, outputs) if action.outputs is not None else None,
            "error": {field: getattr(error, field) for field in error.__struct_fields__} if error is not None else None,
            "logs": logs,
            "logs_omitted": logs_omitted,
            "report": report,
            "links": links_of(task, action) if task is not None else [],
            "code": code_of(task) if task is not None else None,
            "snippet": f'flyte_nb.remote.Run.get("{self.name}")["{action.name}"].outputs()',
        }

    def _attempts(self, action: AnyAction) -> Sequence[AttemptRow]:
        if action.attempt > 1:
            return self._source.attempts(self.name, action.name)
        started = action.started_ns if action.started_ns is not None else action.queued_ns
        return [AttemptRow(1, action.phase, started, action.ended_ns, action.error)]

    def _attempt(self, attempt: AttemptRow) -> Document:
        origin_ns = self.row.started_ns
        return {
            "attempt": attempt.attempt,
            "phase": attempt.phase,
            "start": round((attempt.started_ns - origin_ns) / 1e6, 3),
            "end": round((attempt.ended_ns - origin_ns) / 1e6, 3) if attempt.ended_ns is not None else None,
            "error": error_line(attempt.error) if attempt.error is not None else None,
        }

    def _last_lines(self, action: AnyAction) -> tuple[list[list[Any]], int]:
        """The last lines that the action printed, and how many came before them."""
        if isinstance(action, Action):
            lines = [[at_ns // 1_000_000, stream, text] for at_ns, stream, text in list(action.tail or ())]
            return lines, max(0, action.line_count - len(lines))
        return last_of(self._source.logs(self.name, action.name))

    def _stored_lines(self, action: str) -> tuple[list[list[Any]], int]:
        return last_of(self._stored_logs.get(action, []))

    @cached_property
    def _stored_logs(self) -> dict[str, list[LogRow]]:
        """The last entries of the whole run's log, by action."""
        logs: defaultdict[str, list[LogRow]] = defaultdict(list)
        for entry in self._source.logs(self.name, limit=SAVED_LOG_ENTRIES):
            logs[entry.action].append(entry)
        return logs


def values_of(payload: bytes, declared: Sequence[tuple[str, str]]) -> list[Document]:
    """The values of a payload as the explorer shows them.

    Args:
        payload: see `flyte_nb.store.events`.
        declared: (name, type as text) of each value.
    """
    try:
        trees = unpack(source.shown(payload)) if payload else []
    except msgspec.DecodeError:
        unreadable: Preview = {"kind": "opaque", "text": "<unreadable>"}
        return [{"name": name, "type": kind, "preview": unreadable, "digest": ""} for name, kind in declared]
    return [
        {"name": name, "type": kind, "preview": preview_of_tree(tree), "digest": digest_of(tree)}
        for (name, kind), tree in zip(declared, trees, strict=False)
    ]


def digest_of(tree: Any) -> str:
    """The digest under which a large value is stored, else empty."""
    return str(leaf_content(tree).digest) if isinstance(tree, Ext) and tree.code == BLOB else ""


def code_of(task: TaskRow) -> Document:
    settings = {name: value if isinstance(value, str) else json.dumps(value) for name, value in task.settings.items()}
    settings.pop("links", None)
    return {
        "source": task.source,
        "signature": signature_of(task),
        "place": task.place,
        "settings": settings,
        "digest": task.own_digest,
    }


def signature_of(task: TaskRow) -> str:
    """How it is called, in a line: `fit(x: int) -> float`."""
    inputs = ", ".join(f"{name}: {kind}" for name, kind in task.inputs)
    outputs = [kind for _, kind in task.outputs] or ["None"]
    returned = outputs[0] if len(outputs) == 1 else f"tuple[{', '.join(outputs)}]"
    return f"{task.task.rpartition('.')[2]}({inputs}) -> {returned}"


def links_of(task: TaskRow, action: AnyAction) -> list[tuple[str, str]]:
    """(name, address) of the links that the task declares."""
    addresses = task.settings.get("links")  # text in the record of an earlier release
    return links_of_action(addresses, action.name, action.parent) if isinstance(addresses, dict) else []


def last_of(entries: Sequence[LogRow]) -> tuple[list[list[Any]], int]:
    """The last 200 lines, and how many came before them."""
    lines = list(lines_of(entries))
    return lines[-LOG_LINES:], max(0, len(lines) - LOG_LINES)


def lines_of(entries: Sequence[LogRow]) -> Iterator[list[Any]]:
    for entry in entries:
        texts = [entry.text] if entry.stream == "display" else entry.text.split("\n")
        for text in texts:
            yield [entry.at_ns // 1_000_000, entry.stream, text]
