"""A run as text: what `text/plain` outputs, terminals and logs show.

✓ quick.main  r7k2m9 · succeeded · 13.1 s · 11 actions
├─ ✓ quick.fit  x=0 · 3.7 s
├─ ✗ quick.fit  x=2 · 0.4 s · ValueError: unlucky
└─ … 8 more quick.fit: 8 succeeded
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flyte_nb.remote.source import source
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.rows import ActionRow, RunRow
from flyte_nb.types.previews import label_of_payload

if TYPE_CHECKING:
    from flyte_nb.engine.action import Action

__all__ = [
    "PHASES",
    "PHASE_ICONS",
    "PHASE_WORDS",
    "InputNames",
    "action_label",
    "duration_text",
    "error_line",
    "lineage_of",
    "phase_counts",
    "printable",
    "run_line",
    "run_tree",
    "urgency",
]

PHASE_ICONS = {
    "queued": "◌",
    "waiting_for_resources": "◔",
    "initializing": "◔",
    "running": "◐",
    "paused": "◫",
    "succeeded": "✓",
    "failed": "✗",
    "aborted": "■",
    "timed_out": "◷",
    "recovered": "↺",
}
PHASES = tuple(PHASE_ICONS)
"""Flyte's phases, in the order of a run's life; the explorer's documents index them."""
PHASE_WORDS = {phase: phase.replace("_", " ") for phase in PHASES}

CHILDREN = 20
"""Children of one action and task that are drawn one by one; the others are counted."""
TREE_LINES = 200
ERROR_CHARS = 200

InputNames = Mapping[int, Sequence[str]]
"""Names of a task's inputs by the number of its declaration."""


def run_tree(run: RunRow, actions: Sequence[ActionRow | Action], names: InputNames) -> str:
    """The run as a tree of lines: of one parent at most 20 children of a task, the urgent first, and 200 lines in all.

    Args:
        run: the run.
        actions: its actions, parents before their children.
        names: for the labels of the actions.
    """
    children: defaultdict[str, list[ActionRow | Action]] = defaultdict(list)
    for action in actions:
        children[action.parent].append(action)
    lines = [run_line(run)]
    for root in children[""]:
        lines[0] += printable(f" · {origin_text(root.source)}") if root.source else ""
        lines += _lines_below(root.name, children, names, "")
    if len(lines) > TREE_LINES:
        lines[TREE_LINES:] = [f"… {len(lines) - TREE_LINES} more lines"]
    return "\n".join(lines)


def run_line(run: RunRow) -> str:
    """The run in one line."""
    facts = [
        run.name,
        PHASE_WORDS.get(run.phase, run.phase),
        duration_text(_milliseconds(run.started_ns, run.ended_ns)),
    ]
    if lineage := lineage_of(run):
        facts.append(f"{lineage} {run.parent_run}")
    if run.action_count:  # a backend does not tell
        facts.append(f"{run.action_count:,} action{'' if run.action_count == 1 else 's'}")
    if run.error is not None:
        facts.append(error_line(run.error))
    return printable(f"{PHASE_ICONS.get(run.phase, '?')} {run.task}  {' · '.join(facts)}")


def lineage_of(run: RunRow) -> str:
    """What the run does to its parent run: `reruns`, `recovers` or `forks`; empty where a task of that started it."""
    return str(run.options.get("lineage", ""))


def action_label(action: ActionRow | Action, names: InputNames) -> str:
    """A few words that tell the action from its siblings: its inputs."""
    inputs = source.shown(action.inputs)
    if action.kind == "task":
        return label_of_payload(names.get(action.spec, ()), inputs)
    return label_of_payload([name for name, _ in action.trace_inputs or ()], inputs)


def error_line(error: ErrorRecord) -> str:
    """An error in one line: `ValueError: unlucky (cell 3, line 7)`."""
    first = next((line for line in error.message.splitlines() if line.strip()), "")
    text = f"{error.code}: {first}" if first and first != error.code else error.code
    text = text if len(text) <= ERROR_CHARS else text[: ERROR_CHARS - 1] + "…"
    return f"{text} ({error.place})" if error.place else text


def origin_text(source: str) -> str:
    """Where a reused result comes from: `cached from RUN/ACTION`, `recovered from RUN/ACTION`."""
    word = "cached" if source.startswith("cache:") else "recovered"
    return f"{word} from {source.removeprefix('cache:')}"


def duration_text(milliseconds: float | None) -> str:
    """A duration as people read it: `340 µs`, `4 ms`, `1.2 s`, `3 min 07 s`, `2 h 05 min`."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1:
        return f"{max(0, round(milliseconds * 1000))} µs"
    if milliseconds < 999.5:
        return f"{round(milliseconds)} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def printable(text: str) -> str:
    """The text with spaces for what steers a terminal: escape sequences that a task put into a message stay words."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def phase_counts(actions: Sequence[ActionRow | Action]) -> dict[str, int]:
    """How many actions are in each phase."""
    return dict(Counter(action.phase for action in actions))


def urgency(action: ActionRow | Action) -> int:
    """What a reader looks for first: 0 failed, 1 running, 2 waiting, 3 aborted, 4 done."""
    return URGENCY.get(action.phase, 2)


URGENCY = {"failed": 0, "timed_out": 0, "running": 1, "aborted": 3, "succeeded": 4, "recovered": 4}


def _lines_below(
    parent: str, children: Mapping[str, list[ActionRow | Action]], names: InputNames, indent: str
) -> Iterator[str]:
    by_task: dict[str, list[ActionRow | Action]] = {}
    for action in children.get(parent, ()):
        by_task.setdefault(action.task, []).append(action)
    branches: list[ActionRow | Action | str] = []
    for task, alike in by_task.items():
        urgent_first = alike if len(alike) <= CHILDREN else sorted(alike, key=urgency)
        branches += urgent_first[:CHILDREN]
        if len(alike) > CHILDREN:
            branches.append(_rest_line(task, urgent_first[CHILDREN:]))
    for at, branch in enumerate(branches):
        is_last = at == len(branches) - 1
        text = branch if isinstance(branch, str) else _action_line(branch, names)
        yield f"{indent}{'└─' if is_last else '├─'} {text}"
        if not isinstance(branch, str):
            yield from _lines_below(branch.name, children, names, indent + ("   " if is_last else "│  "))


def _rest_line(task: str, hidden: Sequence[ActionRow | Action]) -> str:
    counts = phase_counts(hidden)
    text = ", ".join(f"{count:,} {PHASE_WORDS.get(phase, phase)}" for phase, count in counts.items())
    return f"… {len(hidden):,} more {task}: {text}"


def _action_line(action: ActionRow | Action, names: InputNames) -> str:
    facts = [action_label(action, names)]
    if action.started_ns is not None:
        facts.append(duration_text(_milliseconds(action.started_ns, action.ended_ns)))
    if action.attempt > 1:
        facts.append(f"attempt {action.attempt}")
    if action.source:
        facts.append(origin_text(action.source))
    if action.error is not None:
        facts.append(error_line(action.error))
    if action.note:
        facts.append(action.note)
    return printable(f"{PHASE_ICONS.get(action.phase, '?')} {action.task}  {' · '.join(filter(None, facts))}")


def _milliseconds(start_ns: int, end_ns: int | None) -> float:
    return ((end_ns if end_ns is not None else time.time_ns()) - start_ns) / 1e6
