"""The run as HTML for places without our renderer: GitHub, nbviewer, exported pages.

One table, no script, nothing loaded. It reads well without its styles and bars too: some places strip them. Whatever a
task could have influenced is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from flyte_nb.notebook.document import Document
from flyte_nb.remote.plain import PHASE_ICONS, PHASE_WORDS, PHASES, duration_text

__all__ = ["run_html", "runs_html"]

ROWS = 200
BAR_WIDTH, BAR_HEIGHT = 160, 8
BAD, WARN, LIVE, GOOD = "#e5484d", "#d97706", "#0284c7", "#2e9e4f"
TONES = {
    "failed": BAD,
    "timed_out": BAD,
    "aborted": WARN,
    "running": LIVE,
    "succeeded": GOOD,
    "recovered": GOOD,
}
"""Colours that can be read on light and on dark ground: the page's own theme is not known here."""
CELL = "text-align:left"
WORD = "text-align:left;white-space:nowrap"
NUMBER = "text-align:right;white-space:nowrap"


def run_html(document: Document) -> str:
    """A run document as a self-contained fragment.

    Args:
        document: see `flyte_nb.notebook.document.run_document`; 200 rows of it are drawn.
    """
    return f"<div>{header(document)}{table(document)}</div>"


def runs_html(documents: Sequence[Document], active: Document) -> str:
    """Several runs of one cell: a line each, then the active one whole."""
    lines = "".join(f"<li>{summary(document)}</li>" for document in documents)
    return f"<div><ul>{lines}</ul>{header(active)}{table(active)}</div>"


def header(document: Document) -> str:
    error = document["error"]
    parts = [f"<div>{summary(document)}</div>"]
    if error is not None:
        where = f" ({escape(error['place'])})" if error["place"] else ""
        text = f"{escape(error['code'])}: {escape(one_line(error['message']))}{where}"
        parts.append(f'<div style="color:{BAD}">{text}</div>')
    if document["note"]:
        parts.append(f"<div>{escape(document['note'])}</div>")
    return "".join(parts)


def summary(document: Document) -> str:
    """The run in a line."""
    labels = [f"{key}={value}" for key, value in document["labels"].items()]
    total = document["total"]
    facts = [
        document["run"],
        duration_text(document["duration_ms"]),
        f"{total:,} action{'' if total == 1 else 's'}",
        *([f"{document['lineage']} {document['parent_run']}"] if document["lineage"] else []),
        *labels,
    ]
    name = escape(document["task"])
    return f"{phase_html(document['phase'])} <strong>{name}</strong> · {' · '.join(escape(fact) for fact in facts)}"


def table(document: Document) -> str:
    columns = document["actions"]
    rows = shown_rows(columns)
    span = max([document["duration_ms"], 1e-3, *(end for end in columns["end"] if end is not None)])
    depths = depths_of(columns)
    body = "".join(row_html(document, row, depths[row], span) for row in rows)
    hidden = document["total"] - len(rows)
    more = f"<div>… {hidden:,} more action{'' if hidden == 1 else 's'}, not shown here</div>" if hidden > 0 else ""
    titles = "".join(
        f'<th style="{CELL}">{title}</th>' for title in ("Phase", "Task", "Inputs", "Duration", "Time", "Error")
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{more}"


def row_html(document: Document, row: int, depth: int, span: float) -> str:
    columns = document["actions"]
    get = {name: column[row] for name, column in columns.items()}
    phase = PHASES[get["phase"]]
    end = get["end"] if get["end"] is not None else (document["duration_ms"] if document["live"] else get["start"])
    duration = duration_text(end - get["start"]) if get["start"] is not None else "-"
    marks = [f"attempt {get['attempt']}"] if get["attempt"] > 1 else []
    marks += [{"cache": "cached"}.get(get["source"], get["source"])] if get["source"] else []
    aside = f" ({', '.join(marks)})" if marks else ""
    task = "&nbsp;" * 4 * depth + escape(document["tasks"][get["task"]] + aside)
    cells = [
        (WORD, phase_html(phase)),
        (WORD, task),
        (CELL, escape(get["label"])),
        (NUMBER, duration),
        (CELL, bar(get["start"], end, span, phase)),
        (CELL, escape(get["error"] or "")),
    ]
    return "<tr>" + "".join(f'<td style="{style}">{content}</td>' for style, content in cells) + "</tr>"


def bar(start: float | None, end: float | None, span: float, phase: str) -> str:
    """When it ran, on the common time axis."""
    if start is None or end is None:
        return ""
    left = BAR_WIDTH * start / span
    width = max(1.0, BAR_WIDTH * (end - start) / span)
    colour = TONES.get(phase, "currentColor")
    rect = f'<rect x="{left:.1f}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>'
    return f'<svg width="{BAR_WIDTH}" height="{BAR_HEIGHT}">{rect}</svg>'


def phase_html(phase: str) -> str:
    """Icon and word; the colour only repeats them."""
    colour = TONES.get(phase)
    text = f"{PHASE_ICONS.get(phase, '?')} {escape(PHASE_WORDS.get(phase, phase))}"
    return f'<span style="color:{colour}">{text}</span>' if colour else text


def shown_rows(columns: dict[str, list[Any]]) -> list[int]:
    """The rows drawn: all, or the first 200 with what failed or runs; as a tree, children below their parents."""
    count = len(columns["name"])
    kept = set(range(count))
    if count > ROWS:
        urgent = [row for row in range(count) if PHASES[columns["phase"][row]] not in ("succeeded", "recovered")]
        kept = set()
        for row in [0, *urgent, *range(count)]:
            lineage = ancestors(row, columns["parent"]) - kept
            if len(kept) + len(lineage) > ROWS:
                break
            kept |= lineage
    children: dict[int, list[int]] = {}
    for row in sorted(kept):
        children.setdefault(columns["parent"][row], []).append(row)
    ordered, waiting = [], children.get(-1, [])[::-1]
    while waiting:
        row = waiting.pop()
        ordered.append(row)
        waiting.extend(reversed(children.get(row, [])))
    return ordered


def ancestors(row: int, parents: Sequence[int]) -> set[int]:
    """The row and those above it."""
    found = set()
    while row >= 0:
        found.add(row)
        row = parents[row]
    return found


def depths_of(columns: dict[str, list[Any]]) -> list[int]:
    depths: list[int] = []
    for parent in columns["parent"]:
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    return depths


def one_line(text: str) -> str:
    return " ".join(text.split())[:300]
