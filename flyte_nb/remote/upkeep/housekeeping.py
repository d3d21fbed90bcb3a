"""Ending, deleting, moving and publishing runs, as commands do it: what people write, what was done in a sentence."""

from __future__ import annotations

import re
from pathlib import Path

from flyte_nb.errors import InitializationError, RuntimeSystemError
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import find_run
from flyte_nb.remote.upkeep.images import age_of, size_text
from flyte_nb.remote.upkeep.retention import prune
from flyte_nb.remote.upkeep.transfer import export_run, import_run
from flyte_nb.store.retention import Pruned

__all__ = ["abort", "export", "import_", "prune_runs", "publish"]

SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?(kB|MB|GB|TB)", re.IGNORECASE)
SIZE_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
NAMES_SHOWN = 5


def abort(run: str, action: str | None, reason: str) -> str:
    """Ends a run, or one of its actions, in whichever process it lives.

    Args:
        run: its name, the beginning of it, or `last`.
        action: the action's name or the beginning of it; None for the whole run.
        reason: recorded and shown.

    Raises:
        CommandError: there is no such run or action, or it is out of reach.
    """
    found = find_run(run)
    try:
        target = found[action] if action is not None else found.root
        what = f"{target.task_name} ({target.name}) of run {found.name}" if action is not None else f"Run {found.name}"
        if target.done():
            return f"{what} is over already: {target.phase.value}."
        target.abort(reason)
        target.sync()
    except KeyError as error:
        raise CommandError(str(error.args[0])) from None
    except (ValueError, TimeoutError) as error:
        raise CommandError(str(error)) from None
    return f"{what} is {target.phase.value}{f' ({target.note})' if target.note else ''}."


def export(run: str, file: str, without_files: bool) -> str:
    """Writes a run into a file; see `flyte_nb.remote.upkeep.transfer`."""
    found = find_run(run)
    path = export_run(found, Path(file).expanduser(), with_files=not without_files)
    return f"Run {found.name} is in {path} ({size_text(path.stat().st_size)}): %flyte import {path.name}"


def import_(file: str) -> str:
    """Makes a run of a file."""
    run = import_run(Path(file).expanduser())
    return f"Run {run.name} of {run.task_name}, {run.phase.value}: %flyte show {run.name}"


def prune_runs(older_than: str | None, keep: int | None, max_size: str | None, dry_run: bool) -> str:
    """Deletes old runs and what only they need; see `flyte_nb.remote.upkeep.retention`.

    Raises:
        CommandError: a bound is not one.
    """
    age = age_of(older_than) if older_than is not None else None
    size_bytes = size_of(max_size) if max_size is not None else None
    return pruned_text(prune(age, keep, size_bytes, dry_run=dry_run), dry_run)


def pruned_text(pruned: Pruned, is_dry_run: bool) -> str:
    """What was deleted, or would be."""
    parts = [
        counted(len(pruned.runs), "run"),
        counted(pruned.values, "value"),
        counted(pruned.folders, "folder of files", "folders of files"),
        counted(pruned.cached, "cached result"),
        counted(pruned.uploads, "upload of a client", "uploads of clients"),
    ]
    what = ", ".join(part for part in parts if not part.startswith("0 ")) or "nothing"
    before, after = size_text(pruned.size_before_bytes), size_text(pruned.size_bytes)
    if is_dry_run:
        more = " ..." if len(pruned.runs) > NAMES_SHOWN else ""
        some = f" ({', '.join(pruned.runs[:NAMES_SHOWN])}{more})" if pruned.runs else ""
        said = f"Would delete {what}{some}; the store would shrink from {before} to about {after}."
    else:
        said = f"Deleted {what}; the store shrank from {before} to {after}."
    if pruned.pending_bytes:
        pending = size_text(pruned.pending_bytes)
        said += f" Another {pending} that nothing needs are too new to delete: prune again in ten minutes."
    return said


def size_of(text: str) -> int:
    """A size as it is written, in bytes.

    Raises:
        CommandError: it is not one.
    """
    matched = SIZE.fullmatch(text.strip())
    if matched is None:
        raise CommandError(f"--max-size takes a size such as 500MB or 5GB, got {text!r}")
    return round(float(matched[1]) * SIZE_UNITS[matched[2].lower()])


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def publish(run: str, name: str | None = None) -> str:
    """Publishes a run at the backend that is connected; see `flyte_nb.remote.Run.publish`.

    Args:
        run: its name, the beginning of it, or `last`.
        name: its name there; None for its own.

    Raises:
        CommandError: there is no such run, no backend is connected, or it does not answer or refuses.
    """
    found = find_run(run)
    try:
        url = found.publish(name)
    except (ConnectionError, PermissionError, ValueError, InitializationError, RuntimeSystemError) as error:
        raise CommandError(str(error)) from None
    return f"Run {found.name} is published: {url}"
