"""The run as HTML for places without our renderer: GitHub, nbviewer, exported pages.

One table, no script, nothing loaded. It reads well without its styles and bars too: some places strip them. Whatever a
task could have influenced is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from flyte_nb.notebook.views.document import LIMIT_BYTES, Document
from flyte_nb.remote.plain import PHASE_ICONS, PHASE_WORDS, PHASES, duration_text, printable

__all__ = ["run_html", "runs_html"]

ROWS = 200
LONGEST = 300
"""Characters of one text."""
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


def run_html(document: Document, limit_bytes: int = LIMIT_BYTES) -> str:
    """A run document as a self-contained fragment.

    Args:
        document: see `flyte_nb.notebook.views.document.run_document`; at most 200 rows of it are drawn.
        limit_bytes: size of the fragment, about; the rows that tell least are left out, and counted.
    """
    head = header(document)
    return f"<div>{head}{table(document, limit_bytes - size(head))}</div>"


def runs_html(documents: Sequence[Document], active: Document, limit_bytes: int = LIMIT_BYTES) -> str:
    """The runs of one cell: where there are several a line each, then the active one whole.

    Args:
        documents: the runs in the order in which they started, the active one among them.
        active: the one that is drawn as a table.
        limit_bytes: size of the fragment, about; half of it is for the lines.
    """
    if len(documents) == 1:
        return run_html(active, limit_bytes)
    lines: list[str] = []
    room = limit_bytes // 2
    for document in documents:
        line = f"<li>{summary(document)}</li>"
        room -= size(line)
        if room < 0:
            lines.append(f"<li>… {len(documents) - len(lines):,} more runs</li>")
            break
        lines.append(line)
    head = f"<ul>{''.join(lines)}</ul>{header(active)}"
    return f"<div>{head}{table(active, limit_bytes - size(head))}</div>"


def header(document: Document) -> str:
    error = document["error"]
    parts = [f"<div>{summary(document)}</div>"]
    if error is not None:
        where = f" ({words(error['place'])})" if error["place"] else ""
        text = f"{words(error['code'])}: {words(one_line(error['message']))}{where}"
        parts.append(f'<div style="color:{BAD}">{text}</div>')
    if document["live"]:
        parts.append("<div>As last saved: it had not ended by then.</div>")
    if document["note"]:
        parts.append(f"<div>{words(document['note'])}</div>")
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
    name = words(document["task"])
    return f"{phase_html(document['phase'])} <strong>{name}</strong> · {' · '.join(words(fact) for fact in facts)}"


def table(document: Document, limit_bytes: int) -> str:
    columns = document["actions"]
    span = max([document["duration_ms"], 1e-3, *(end for end in columns["end"] if end is not None)])
    depths = depths_of(columns)
    drawn = drawn_rows(document, lambda row: row_html(document, row, depths[row], span), limit_bytes)
    body = "".join(drawn[row] for row in in_tree_order(drawn, columns["parent"]))
    hidden = document["total"] - len(drawn)
    more = f"<div>… {hidden:,} more action{'' if hidden == 1 else 's'}, not shown here. {how_to_load(document)}</div>"
    titles = "".join(
        f'<th style="{CELL}">{title}</th>' for title in ("Phase", "Task", "Inputs", "Duration", "Time", "Error")
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{more if hidden > 0 else ''}"


def how_to_load(document: Document) -> str:
    """Where the whole run is to be had."""
    return f"In its project, <code>%flyte show {words(document['run'])}</code> draws the run from its record."


def row_html(document: Document, row: int, depth: int, span: float) -> str:
    columns = document["actions"]
    get = {name: column[row] for name, column in columns.items()}
    phase = PHASES[get["phase"]]
    end = get["end"] if get["end"] is not None else (document["duration_ms"] if document["live"] else get["start"])
    duration = duration_text(end - get["start"]) if get["start"] is not None else "-"
    marks = [f"attempt {get['attempt']}"] if get["attempt"] > 1 else []
    marks += [{"cache": "cached"}.get(get["source"], get["source"])] if get["source"] else []
    aside = f" ({', '.join(marks)})" if marks else ""
    task = "&nbsp;" * 4 * depth + words(document["tasks"][get["task"]] + aside)
    cells = [
        (WORD, phase_html(phase)),
        (WORD, task),
        (CELL, words(get["label"])),
        (NUMBER, duration),
        (CELL, bar(get["start"], end, span, phase)),
        (CELL, words(get["error"] or "")),
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
    text = f"{PHASE_ICONS.get(phase, '?')} {words(PHASE_WORDS.get(phase, phase))}"
    return f'<span style="color:{colour}">{text}</span>' if colour else text


def drawn_rows(document: Document, draw: Callable[[int], str], limit_bytes: int) -> dict[int, str]:
    """The rows that are drawn, with those above them: all, or the first 200 that fit, what failed or runs first."""
    columns = document["actions"]
    rows = range(len(columns["name"]))
    urgent = [row for row in rows if PHASES[columns["phase"][row]] not in ("succeeded", "recovered")]
    drawn: dict[int, str] = {}
    for row in dict.fromkeys([*rows[:1], *urgent, *rows]):
        added = {one: draw(one) for one in ancestors(row, columns["parent"]) if one not in drawn}
        limit_bytes -= sum(map(size, added.values()))
        if drawn and (limit_bytes < 0 or len(drawn) + len(added) > ROWS):
            break
        drawn |= added
    return drawn


def in_tree_order(rows: Iterable[int], parents: Sequence[int]) -> list[int]:
    """The rows with the children below their parents."""
    children: dict[int, list[int]] = {}
    for row in sorted(rows):
        children.setdefault(parents[row], []).append(row)
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


def words(text: str) -> str:
    """What a task may have influenced: neither markup nor a control, such as that which turns the writing round."""
    shown = printable(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
    return escape(shown)


def size(html: str) -> int:
    """What it takes in a notebook file, where quotation marks are escaped."""
    return len(html.encode(errors="surrogatepass")) + html.count('"')


def one_line(text: str) -> str:
    return " ".join(text.split())[:300]
