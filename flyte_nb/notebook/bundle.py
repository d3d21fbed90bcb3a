"""The display bundle of a run: one for every front end (run document, HTML summary, text)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyte_nb.notebook.details import RunReader
from flyte_nb.notebook.document import LIMIT_BYTES, MIME, Document, sendable
from flyte_nb.notebook.html import run_html, runs_html
from flyte_nb.remote.plain import run_line, run_tree

__all__ = ["Bundle", "bundle_of_run", "bundle_of_runs"]

Bundle = dict[str, Any]
"""Data by MIME type."""
HEADS_SHOWN = 100
"""Runs of one cell that are listed beside the active one."""


def bundle_of_run(name: str, limit_bytes: int = LIMIT_BYTES, details: bool = True) -> Bundle:
    """The bundle of one run.

    Args:
        name: name of the run.
        limit_bytes: size of its document, about.
        details: save the details of its first rows too.

    Raises:
        KeyError: there is no such run; the message names near ones.
    """
    reader = RunReader(name)
    document = reader.document(limit_bytes, details)
    tree = run_tree(reader.row, reader.actions, reader.names)
    return sendable({MIME: document, "text/html": run_html(document), "text/plain": tree})


def bundle_of_runs(names: Sequence[str], active: str, limit_bytes: int = LIMIT_BYTES, details: bool = True) -> Bundle:
    """The bundle of the runs that one cell started: the document of the active one, with the others in its `runs`.

    Args:
        names: the runs in the order in which they started.
        active: which one is drawn first.
        limit_bytes: size of the whole document, about.
        details: save the details of the first rows too.
    """
    bundle = bundle_of_run(active, limit_bytes // 2 if len(names) > 1 else limit_bytes, details)
    if len(names) == 1:
        return bundle
    listed = [name for name in names if name != active][-HEADS_SHOWN:]
    room = limit_bytes // 2 // max(1, len(listed))
    readers = [RunReader(name) for name in names if name in {*listed, active}]
    document: Document = bundle[MIME]
    others = {reader.name: reader.document(room, details=False) for reader in readers if reader.name != active}
    document["runs"] = [others.get(reader.name, {"run": active}) for reader in readers]
    document["runs_omitted"] = len(names) - len(readers)
    bundle["text/html"] = runs_html([others.get(reader.name, document) for reader in readers], document)
    lines = [run_line(reader.row) for reader in readers if reader.name != active]
    bundle["text/plain"] = "\n".join([*lines, bundle["text/plain"]])
    return sendable(bundle)
