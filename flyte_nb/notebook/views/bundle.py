"""The display bundle of a run: one for every front end (run document, HTML summary, text).

It is what a notebook saves of the run, so it is bounded, and holds the user's data only where that may be saved.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flyte_nb.notebook.views.details import RunReader
from flyte_nb.notebook.views.document import MIME, Document, sendable
from flyte_nb.notebook.views.html import runs_html
from flyte_nb.notebook.views.saving import saving, without_data
from flyte_nb.remote.plain import run_line, run_tree

__all__ = ["Bundle", "bundle_of_run", "bundle_of_runs"]

Bundle = dict[str, Any]
"""Data by MIME type."""
HEADS_SHOWN = 100
"""Runs of one cell that are listed beside the active one."""
DOCUMENT_SHARE, HTML_SHARE, TEXT_SHARE = 0.6, 0.3, 0.1
"""The parts of a bundle's bytes."""
HEADS_SHARE = 0.6
"""The part that the runs listed beside the active one take at most, before the others share the rest."""
HEAD_BYTES = 600
"""What such a run takes, about."""


def bundle_of_run(name: str, limit_bytes: int | None = None, details: bool = True) -> Bundle:
    """The bundle of one run.

    Args:
        name: name of the run.
        limit_bytes: size of the whole bundle, about; None for what is set (`flyte_nb.notebook.views.saving`).
        details: save the details of its first rows too.

    Raises:
        KeyError: there is no such run; the message names near ones.
    """
    return bundle_of_runs([name], name, limit_bytes, details)


def bundle_of_runs(names: Sequence[str], active: str, limit_bytes: int | None = None, details: bool = True) -> Bundle:
    """The bundle of the runs that one cell started: the document of the active one, with the others in its `runs`.

    Args:
        names: the runs in the order in which they started.
        active: which one is drawn first.
        limit_bytes: size of the whole bundle, about; None for what is set (`flyte_nb.notebook.views.saving`).
        details: save the details of the first rows too.

    Raises:
        KeyError: there is no such run; the message names near ones.
    """
    room = saving.limit_bytes if limit_bytes is None else limit_bytes
    most_listed = min(HEADS_SHOWN, int(room * HEADS_SHARE) // HEAD_BYTES)
    listed = {active, *[name for name in names if name != active][-most_listed:]}
    first = RunReader(active)
    readers = [first if name == active else RunReader(name) for name in names if name in listed]
    others = {reader.name: saved_document(reader, HEAD_BYTES, False) for reader in readers if reader is not first}
    room -= size(others) if others else 0
    document = saved_document(first, int(room * DOCUMENT_SHARE), details)
    if others:
        document["runs"] = [others.get(reader.name, {"run": active}) for reader in readers]
        document["runs_omitted"] = len(names) - len(readers)
    documents = [others.get(reader.name, document) for reader in readers]
    html = runs_html(documents, document, int(room * HTML_SHARE))
    lines = [*(run_line(reader.row) for reader in readers if reader is not first), *text_lines(first)]
    return sendable({MIME: document, "text/html": html, "text/plain": clipped(lines, room)})


def saved_document(reader: RunReader, limit_bytes: int, details: bool) -> Document:
    """The run's document as it may be saved."""
    document = reader.document(limit_bytes, details)
    return document if saving.previews else without_data(document)


def text_lines(reader: RunReader) -> list[str]:
    """The run as text: its tree; one line where the inputs that stand in a tree may not be saved."""
    if not saving.previews:
        return [run_line(reader.row)]
    return run_tree(reader.row, reader.actions, reader.names).splitlines()


def clipped(lines: Sequence[str], limit_bytes: int) -> str:
    """As many lines as have room in a bundle of that size."""
    room = limit_bytes * TEXT_SHARE
    for at, line in enumerate(lines):
        room -= size(line)
        if at and room < 0:
            return "\n".join([*lines[:at], f"… {len(lines) - at} more lines"])
    return "\n".join(lines)


def size(part: Any) -> int:
    """What it takes in a notebook file."""
    return len(json.dumps(part, ensure_ascii=False).encode(errors="surrogatepass"))
