"""A comparison of two runs as text and as HTML, for consoles and for places without our renderer.

r7k2m9 → r8p3n1
✓ quick.main  r7k2m9 · succeeded · 1.2 s · 11 actions
✗ quick.main  r8p3n1 · failed · 2.3 s · 9 actions
code of quick.fit: 5e1f9c02 → 81aa03bd
≠ quick.fit  x=2 · ✓ succeeded → ✗ failed (ValueError: unlucky) · 0.4 s → 1.2 s
+ quick.plot  only in r8p3n1
… 8 of 11 actions are the same
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from flyte_nb.notebook.views.document import Document
from flyte_nb.remote.plain import PHASE_ICONS, PHASE_WORDS, PHASES, duration_text, printable

__all__ = ["comparison_html", "comparison_text"]

LINES = 100
CELL = "text-align:left"


def comparison_text(document: Document) -> str:
    """The comparison as lines: the runs, what they were given, and every action that differs, at most 100."""
    lines = [run_line(document["left"]), run_line(document["right"])]
    lines += [f"{what}: {shown(left)} → {shown(right)}" for what, left, right in document["differences"]]
    changed = [f"{sign_of(row)} {row['task']}  {words_of(row, document)}" for row in document["rows"] if row["differs"]]
    lines += changed[:LINES]
    hidden = document["total"] - document["same"] - len(changed[:LINES])
    if hidden > 0:
        lines.append(f"… {hidden:,} more differ")
    return "\n".join(map(printable, [*lines, same_line(document)]))


def comparison_html(document: Document) -> str:
    """The same as a self-contained fragment; whatever a task could have influenced is escaped."""
    runs = "".join(f"<div>{escape(run_line(document[side]))}</div>" for side in ("left", "right"))
    given = "".join(
        f"<li>{escape(f'{what}: {shown(left)} → {shown(right)}')}</li>" for what, left, right in document["differences"]
    )
    changed = [row for row in document["rows"] if row["differs"]][:LINES]
    body = "".join(
        f'<tr><td style="{CELL}">{sign_of(row)}</td><td style="{CELL}">{escape(row["task"])}</td>'
        f'<td style="{CELL}">{escape(words_of(row, document))}</td></tr>'
        for row in changed
    )
    head = "".join(f'<th style="{CELL}">{title}</th>' for title in ("", "Task", "What differs"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if changed else ""
    return f"<div>{runs}<ul>{given}</ul>{table}<div>{escape(same_line(document))}</div></div>"


def run_line(head: Document) -> str:
    facts = [
        head["run"],
        PHASE_WORDS.get(head["phase"], head["phase"]),
        duration_text(head["duration_ms"]),
        f"{head['total']:,} action{'' if head['total'] == 1 else 's'}",
        *([head["error"]] if head["error"] else []),
    ]
    return f"{PHASE_ICONS.get(head['phase'], '?')} {head['task']}  {' · '.join(facts)}"


def same_line(document: Document) -> str:
    same, total = document["same"], document["total"]
    if same == total:
        return f"All {total:,} actions are the same." if total > 1 else "The only action is the same."
    return f"{same:,} of {total:,} actions are the same."


def sign_of(row: Document) -> str:
    """`≠`, or `-` and `+` for what is in the left or the right run only."""
    return "≠" if row["left"] and row["right"] else "-" if row["left"] else "+"


def words_of(row: Document, document: Document) -> str:
    left, right = row["left"], row["right"]
    if left is None or right is None:
        side = "left" if left else "right"
        return " · ".join(filter(None, [row[side]["label"], f"only in {document[side]['run']}"]))
    return " · ".join(filter(None, [right["label"], *changes_of(row, left, right)]))


def changes_of(row: Document, left: Document, right: Document) -> Iterator[str]:
    for name, before, after in row["inputs"]:
        yield f"{name}: {shown(before)} → {shown(after)}"
    if (left["phase"], left["error"]) != (right["phase"], right["error"]):
        yield f"{outcome_of(left)} → {outcome_of(right)}"
    for name, before, after in row["outputs"]:
        yield f"output {name}: {shown(before)} → {shown(after)}"
    if "duration" in row["differs"]:
        yield f"{duration_text(left['duration'])} → {duration_text(right['duration'])}"


def outcome_of(side: Document) -> str:
    phase = PHASES[side["phase"]]
    error = f" ({side['error']})" if side["error"] else ""
    return f"{PHASE_ICONS[phase]} {PHASE_WORDS[phase]}{error}"


def shown(text: Any) -> str:
    """A value in few words; where there was none, a dash."""
    return str(text) or "-"
