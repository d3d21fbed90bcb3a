"""A check as text and as self-contained HTML: the planned graph as a tree, then the mistakes.

No script, nothing loaded; whatever the user's code could have named is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import islice

from flyte_nb.checking.graph import Graph, Line
from flyte_nb.checking.problem import Problem

__all__ = ["check_html", "check_text"]

SHOWN_LINES = 200
BAD, GOOD = "#e5484d", "#2e9e4f"
"""Colours that can be read on light and on dark ground: the page's own theme is not known here."""
LEFT = "text-align:left;vertical-align:top"
QUIET = "opacity:0.75"
QUOTED = re.compile(r"`([^`]+)`")


def check_text(graph: Graph, problems: Sequence[Problem], unread: Sequence[str]) -> str:
    """A check for terminals."""
    lines = [_summary(graph, problems)]
    drawn, more = _drawn(graph)
    lines += [f"  {'  ' * line.depth}{line.node.name}{_facts(line)}" for line in drawn]
    lines += [f"  {text}" for text in (more, _unread_text(unread)) if text]
    return "\n".join([*lines, *map(str, problems)])


def check_html(graph: Graph, problems: Sequence[Problem], unread: Sequence[str]) -> str:
    """A check for notebooks."""
    drawn, more = _drawn(graph)
    wrong = {problem.task for problem in problems}
    tree = "".join(_line_html(line, line.node.name in wrong) for line in drawn)
    tree = f'<div style="margin-top:0.5em">{tree}</div>'
    notes = "".join(f'<div style="{QUIET}">{escape(text)}</div>' for text in (more, _unread_text(unread)) if text)
    colour = BAD if problems else GOOD
    head = f'<div><strong style="color:{colour}">{escape(_summary(graph, problems))}</strong></div>'
    return f"<div>{head}{_problems_html(problems)}{tree}{notes}</div>"


def _summary(graph: Graph, problems: Sequence[Problem]) -> str:
    tasks = sum(node.kind == "task" for node in graph.nodes.values())
    found = f"{len(problems)} mistake{'' if len(problems) == 1 else 's'}" if problems else "no mistakes"
    mark = "✗" if problems else "✓"
    return f"{mark} {graph.root}: {found} in {tasks} task{'' if tasks == 1 else 's'}"


def _drawn(graph: Graph) -> tuple[list[Line], str]:
    """The lines that are shown, and what is said of the rest."""
    lines = list(islice(graph.lines(), SHOWN_LINES + 1))
    return lines[:SHOWN_LINES], f"(only the first {SHOWN_LINES} lines are drawn)" if len(lines) > SHOWN_LINES else ""


def _unread_text(unread: Sequence[str]) -> str:
    return f"Not checked, as the source that runs cannot be found: {', '.join(unread)}" if unread else ""


def _facts(line: Line) -> str:
    node = line.node
    facts = [
        "trace" if node.kind == "trace" else "",
        "cached" if node.cached else "",
        node.isolation if node.isolation != "kernel" else "",
        "see above" if line.is_repeated else "",
    ]
    said = ", ".join(filter(None, facts))
    return f"{node.signature}{f' [{said}]' if said else ''}"


def _line_html(line: Line, is_wrong: bool) -> str:
    colour = f";color:{BAD}" if is_wrong else ""
    name = f'<strong style="font-weight:600{colour}">{escape(line.node.name)}</strong>'
    place = f" · {escape(line.node.place)}" if line.node.place else ""
    facts = f'<span style="{QUIET}">{escape(_facts(line))}{place}</span>'
    indent = f"margin-left:{1.25 * line.depth:g}em"
    kind = "◇" if line.node.kind == "trace" else "○"
    return f'<div style="{indent}">{kind} {name}{facts}</div>'


def _problems_html(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    rows = "".join(
        f'<tr><td style="{LEFT};white-space:nowrap">{escape(problem.place)}</td>'
        f'<td style="{LEFT}">{escape(problem.kind)}</td>'
        f'<td style="{LEFT}">{_message_html(problem.message)}</td></tr>'
        for problem in problems
    )
    head = "".join(f'<th style="{LEFT}">{title}</th>' for title in ("place", "kind", "what is wrong"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _message_html(message: str) -> str:
    """A message, with what stands in backticks as code."""
    return QUOTED.sub(r"<code>\1</code>", escape(message))
