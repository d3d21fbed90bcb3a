"""Files that clients of a server put beside the store, and what its own processes wrote there: what nothing needs.

    uploads/FOLDER/...               what a client put: a bundle of code, files of its values
    uploads/inputs/FILE              inputs of a run that was to be created
    uploads/runs/RUN/...             what a run wrote; so tracked-runs/RUN of a run that was published
    uploads/cache/KEY                that a result of a run is reused; names the run

Whoever names a file keeps all that was put with it. Clients remember for a day what they have put, and do not put it
again: what was put lately stays, named or not.
"""

from __future__ import annotations

import os
import shutil
import uuid
from bisect import bisect_left
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flyte_nb.store.holdings import Stored, folder_bytes
from flyte_nb.store.home import Home

__all__ = ["FORGOTTEN_SECONDS", "delete_uploaded", "unneeded", "uploaded_in"]

FORGOTTEN_SECONDS = 7 * 86_400.0
"""After so long no client counts on what it has put, unless something names it."""
OF_RUNS, CACHE = ("runs", "tracked-runs"), "cache"
SHARED = (*OF_RUNS, CACHE, "inputs")
"""Folders whose entries are put one by one."""


@dataclass(slots=True)
class Uploaded(Stored):
    """An entry of the folder of uploads."""

    run: str
    """The run whose it is; empty where a client put it."""


def uploaded_in(home: Home) -> dict[str, Uploaded]:
    """What lies in the folder of uploads, by its path there."""
    found: dict[str, Uploaded] = {}
    for path in entries(home.uploads):
        for entry in entries(path) if path.name in SHARED else [path]:
            with suppress(FileNotFoundError):  # a part of an upload, renamed meanwhile
                found[str(entry.relative_to(home.uploads))] = entry_at(entry)
    return found


def unneeded(
    uploaded: Mapping[str, Uploaded],
    named: Collection[str],
    runs: Collection[str],
    deleted: Collection[str],
    now: float,
) -> list[str]:
    """What nothing needs any more.

    Args:
        uploaded: see `uploaded_in`.
        named: addresses under the folder of uploads, each perhaps with more behind it.
        runs: that stay.
        deleted: runs that go, and with them at once what they wrote.
        now: seconds since the epoch.
    """
    addresses = sorted(named)

    def is_unneeded(name: str, entry: Uploaded) -> bool:
        place = bisect_left(addresses, name)
        if place < len(addresses) and addresses[place].startswith(name):
            return False
        if entry.run and (entry.run in runs or entry.run in deleted):
            return entry.run in deleted
        return entry.changed_seconds < now - FORGOTTEN_SECONDS

    return [name for name, entry in uploaded.items() if is_unneeded(name, entry)]


def delete_uploaded(home: Home, name: str) -> None:
    """Deletes an entry: all of it at once, as others see it. What cannot be deleted is tried again the next time."""
    path = home.uploads / name
    aside = path.with_name(f".{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):  # another prune was faster
        path.rename(aside)
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def entry_at(path: Path) -> Uploaded:
    """A file or folder: its size, and when anything in it was last written.

    Raises:
        FileNotFoundError: it is gone.
    """
    changed = path.stat().st_mtime
    if not path.is_dir():
        run = run_of_result(path) if path.parent.name == CACHE else ""
        return Uploaded(path.stat().st_size, changed, run)
    for parent, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                changed = max(changed, os.lstat(os.path.join(parent, name)).st_mtime)
    return Uploaded(folder_bytes(path), changed, path.name if path.parent.name in OF_RUNS else "")


def run_of_result(path: Path) -> str:
    """The run whose result is reused; empty where that cannot be read."""
    try:
        return str(msgspec.json.decode(path.read_bytes())["run"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""
