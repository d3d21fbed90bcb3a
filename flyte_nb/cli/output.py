"""How the command line shows rows: as a table for people, or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from flyte_nb.remote.plain import duration_text

__all__ = ["as_time", "duration_of", "echo_rows", "output_option", "print_columns"]

output_option = click.option(
    "--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to show it."
)


def echo_rows(output: str, titles: Sequence[str], rows: Sequence[Sequence[Any]], nothing: str) -> None:
    """Prints rows: aligned under their titles, or as a JSON array of objects.

    Args:
        output: table or json.
        titles: names of the columns; one that ends in `_seconds` holds seconds, which a table shows with their unit.
        rows: their cells; times as `datetime`.
        nothing: what a table says when there are none.
    """
    if output == "json":
        objects = [dict(zip(titles, row, strict=True)) for row in rows]
        click.echo(json.dumps(objects, indent=2, default=_json_of))
    elif rows:
        heads = [title.removesuffix("_seconds").replace("_", " ").upper() for title in titles]
        print_columns([heads, *[[_cell_of(cell) for cell in row] for row in rows]])
    else:
        click.echo(nothing)


def as_time(at_ns: int | None) -> datetime | None:
    """A time in nanoseconds since the epoch, UTC."""
    return None if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, UTC)


def duration_of(start_ns: int | None, end_ns: int | None) -> float | None:
    """The seconds between two times; None while one of them is not known."""
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / 1e9


def print_columns(rows: Sequence[Sequence[Any]]) -> None:
    """Prints rows of texts, aligned."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return duration_text(value * 1e3)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _json_of(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
