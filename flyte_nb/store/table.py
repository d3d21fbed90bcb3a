"""The answer to a query: a pandas frame where pandas is installed, else a small table that is used the same way."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["Table"]

SHOWN_ROWS = 60
SHOWN_CHARS = 200


class Table:
    """Named columns and rows.

    `table["phase"]` is a column, `len(table)` counts rows, iteration goes over the names of the columns as in pandas.

    Attributes:
        columns: the names of the columns.
        rows: the rows, each with a value for every column.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self.columns = list(columns)
        self.rows = [tuple(row) for row in rows]

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        position = self.columns.index(name)
        return [row[position] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __repr__(self) -> str:
        lines = ["\t".join(self.columns), *("\t".join(map(cell_text, row)) for row in self.rows[:SHOWN_ROWS])]
        return "\n".join(lines + self._more())

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        rows = [
            "<tr>" + "".join(f"<td>{html.escape(cell_text(value))}</td>" for value in row) + "</tr>"
            for row in self.rows[:SHOWN_ROWS]
        ]
        more = "".join(f"<p>{line}</p>" for line in self._more())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"

    def _more(self) -> list[str]:
        hidden = len(self.rows) - SHOWN_ROWS
        return [f"({hidden} more rows)"] if hidden > 0 else []


def cell_text(value: Any) -> str:
    """A value in one short line; a time to the millisecond, in UTC as everywhere."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
