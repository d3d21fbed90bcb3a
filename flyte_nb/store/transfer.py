"""Moving a run from one store to another: `export_run` writes an archive, `import_run` makes a run of it.

What is imported is recorded like any other run: as a journal of a process that has ended, which appears whole or not
at all, once its values and files are in place.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from flyte_nb.store.archive import Archive, Manifest, damaged, write_archive
from flyte_nb.store.database import Database
from flyte_nb.store.deployment_events import TaskDeployed, TriggerChanged, TriggerDeployed
from flyte_nb.store.disk import create_file
from flyte_nb.store.errors import StoreError, StoreWarning
from flyte_nb.store.events import ActionEnded, ActionStarted, Event, RunEnded, RunStarted, decode_event, encode_event
from flyte_nb.store.frames import frames_in, pack_frames
from flyte_nb.store.home import Home
from flyte_nb.store.journal import SegmentHeader, new_identifier, segment_path
from flyte_nb.store.names import NameReader, Names
from flyte_nb.store.owner import Owner
from flyte_nb.store.queries import Store
from flyte_nb.store.relocation import relocated
from flyte_nb.store.retelling import retold
from flyte_nb.store.value_files import digest_of_file
from flyte_nb.store.values import ValueStore

__all__ = ["STAGED", "export_run", "import_run"]

DEPLOYMENTS = (TaskDeployed, TriggerDeployed, TriggerChanged)
"""What may stand in a journal, and never in the archive of a run."""
STAGED = ".import-"
"""What the name of a folder starts with in which an archive is unpacked; one that was left behind is waste."""


def export_run(home: Home, run: str, path: Path, with_files: bool = True) -> None:
    """Writes a run that is over, with all its values, into one file.

    Args:
        home: the store.
        run: name of the run.
        path: the file to write; it must not exist.
        with_files: with the files of the run's folder.

    Raises:
        KeyError: there is no such run.
        StoreError: it is live, or the file exists or cannot be written.
    """
    if path.exists():
        raise StoreError(f"{path} exists already; nothing was exported. Choose another name, or delete it.")
    if Store(home).run(run).ended_ns is None:
        raise StoreError(f"Run {run} is live; nothing was exported. Wait for its end, or abort it.")
    with Database.of(home).session() as cursor:
        events = list(retold(cursor, run))
        query = "SELECT DISTINCT digest FROM store.action_values WHERE run = ? AND digest IS NOT NULL"
        expected = {digest for (digest,) in cursor.execute(query, [run]).fetchall()}
    values = ValueStore(home)
    stored = sorted(digest for digest in names_of(home, events).values if values.path(digest).exists())
    if missing := expected.difference(stored):
        said = f"{len(missing)} values of run {run} are no longer in {home.values}; it is exported without them."
        warnings.warn(said, StoreWarning, stacklevel=2)
    folder = home.data / run
    manifest = Manifest(run, str(folder), stored, list(files_in(folder)) if with_files else [])
    frames = pack_frames([encode_event(event) for event in events])
    write_archive(path, manifest, frames, map(values.path, stored), folder)


def import_run(home: Home, path: Path) -> str:
    """Makes a run of an archive; all of it, or nothing.

    Args:
        home: the store.
        path: the archive.

    Returns:
        The run's name: its own, numbered when another run has it.

    Raises:
        StoreError: it is not a whole archive of a run, or cannot be stored.
        StoreVersionError: a newer release wrote it.
    """
    home.ensure()
    with Archive.open(path) as archive, tempfile.TemporaryDirectory(prefix=STAGED, dir=home.path) as staged:
        manifest = archive.manifest
        events = read_events(archive, path)
        values, folder = Path(staged, "values"), Path(staged, "files")
        values.mkdir()
        folder.mkdir()
        for digest in manifest.values:
            archive.extract_value(digest, values / digest)
            if not has_digest(values / digest, digest):
                raise damaged(path, f"the value {digest} is not what it says")
        archive.extract_files(folder)
        name = claim_name(home, manifest.run)
        try:
            place_values(home, values, manifest.values)
            if manifest.files:
                checkpoints = folder / "checkpoints" / manifest.run  # a folder that runs share has one of each
                if checkpoints.is_dir():
                    checkpoints.rename(checkpoints.with_name(name))
                folder.rename(home.data / name)
            move = (manifest.folder, str(home.data / name)) if manifest.files else None
            place_journal(home, [relocated(event, manifest.run, name, move) for event in events])
        except BaseException:
            with suppress(OSError):
                (home.data / name).rename(Path(staged, "unclaimed"))
            raise
    return name


def names_of(home: Home, events: Sequence[Event]) -> Names:
    """What the events of a run name."""
    reader, names = NameReader(home), Names()
    for event in events:
        if isinstance(event, RunStarted) and event.code:
            reader.read_value(event.code, names)
        elif isinstance(event, ActionStarted | ActionEnded) and event.payload is not None:
            reader.read(event.payload, names)
    return names


def files_in(folder: Path) -> Iterator[str]:
    """The files of a folder, as relative paths; links are left out, for they may lead anywhere."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def has_digest(path: Path, digest: str) -> bool:
    """Whether a value's file holds what its name says."""
    try:
        return digest_of_file(path) == digest
    except StoreError:
        return False


def read_events(archive: Archive, path: Path) -> list[Event]:
    """The events of an archive, which must be those of one run, from its start to its end."""
    try:
        events = [decode_event(payload) for payloads, _ in frames_in(archive.events()) for payload in payloads]
    except msgspec.MsgspecError as error:
        raise damaged(path, f"an event cannot be read: {error}") from error
    is_whole = bool(events) and isinstance(events[0], RunStarted) and any(isinstance(one, RunEnded) for one in events)
    if not is_whole or any(isinstance(event, DEPLOYMENTS) or event.run != archive.manifest.run for event in events):
        raise damaged(path, "its events are not those of one run")
    return events


def claim_name(home: Home, wanted: str) -> str:
    """The wanted name, or a numbered one, that no run has; its folder is made."""
    with Database.of(home).session() as cursor:
        taken = {name for (name,) in cursor.execute("SELECT run FROM store.runs").fetchall()}
    name, number = wanted, 1
    while name in taken or not is_made(home.data / name):
        number += 1
        name = f"{wanted}-{number}"
    return name


def is_made(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def place_values(home: Home, folder: Path, digests: Sequence[str]) -> None:
    """Moves checked files of values into the value store, and on to the disk."""
    values = ValueStore(home)
    for digest in digests:
        values.adopt(folder / digest, digest)
    values.sync()


def place_journal(home: Home, events: Sequence[Event]) -> None:
    """Records events as a journal whose process has ended."""
    identifier = new_identifier()
    header = msgspec.json.encode(SegmentHeader(identifier, 0, Owner.current()))
    frames = pack_frames([header, *map(encode_event, events)])
    os.close(create_file(segment_path(home.journals, identifier, 0), frames))
