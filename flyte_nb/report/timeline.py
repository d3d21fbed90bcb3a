"""A chronological list in a tab of the report, and the small formatters that go with it."""

from __future__ import annotations

import html
from datetime import datetime
from typing import Any

from flyte_nb.report.report import get_tab

__all__ = ["Timeline", "abbreviate", "duration_ms"]

FULL_CHARS = 20_000
"""How much of one value a report holds, however large it is."""


def abbreviate(value: Any, limit: int = 300) -> str:
    """A value as escaped HTML; a long one folds into a `<details>` that shows its first `limit` characters."""
    text = "" if value is None else str(value)
    if len(text) <= limit:
        return html.escape(text)
    body = html.escape(text[:FULL_CHARS])
    if len(text) > FULL_CHARS:
        body += f"\n... (+{len(text) - FULL_CHARS} more, truncated)"
    return (
        '<details style="display:inline-block;vertical-align:top;max-width:100%">'
        f'<summary style="cursor:pointer">{html.escape(text[:limit])}... (+{len(text) - limit})</summary>'
        f'<pre style="white-space:pre-wrap;word-break:break-word;margin:4px 0 0">{body}</pre>'
        "</details>"
    )


def duration_ms(start_iso: Any, end_iso: Any) -> str:
    """The time between two ISO 8601 times as `12 ms`; empty when one is missing or is no time."""
    try:
        seconds = (datetime.fromisoformat(str(end_iso)) - datetime.fromisoformat(str(start_iso))).total_seconds()
    except (ValueError, TypeError):
        return ""
    return f"{seconds * 1000:.0f} ms"


class Timeline:
    """Adds rows to a tab of the running task's report, in the order of the calls.

    Args:
        tab_name: the tab.
    """

    def __init__(self, tab_name: str = "main") -> None:
        self._tab_name = tab_name

    def heading(self, text: Any) -> None:
        """A heading between rows."""
        self._add(f'<h3 style="margin:8px 0 4px">{html.escape(str(text))}</h3>')

    def row(self, *, icon: str = "•", label: Any = "", meta: str = "", detail: str = "", error: Any = None) -> None:
        """One row.

        Args:
            icon: stands first.
            label: in bold; text.
            meta: small beside it; text.
            detail: HTML, e.g. of `abbreviate`.
            error: what went wrong; text.
        """
        failure = f' <span style="color:#d33">⚠ {abbreviate(error, 200)}</span>' if error else ""
        self._add(
            '<div style="padding:3px 0;border-bottom:1px solid rgba(128,128,128,.18);font-size:13px">'
            f'{icon} <b>{html.escape(str(label))}</b> <span style="opacity:.55">{html.escape(meta)}</span>'
            f"{(' — ' + detail) if detail else ''}{failure}</div>"
        )

    def _add(self, content: str) -> None:
        get_tab(self._tab_name).log(content)
