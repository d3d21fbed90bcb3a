"""A run as one file, to move it to another store: a zip with what its journal would say, its values and its files.

    run.json         the manifest: format, version, the run, and what else there is
    events           its events, as the frames of a journal (docs/store.md)
    values/DIGEST    each value that it names, as its file stands in the value store
    files/PATH       the files of its folder, if they were asked for

Nothing that an archive says is trusted. Its members are those that the manifest lists, no more and no fewer; their
names are checked before anything is written; a value counts by the digest of its content.
"""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from flyte_nb.store.errors import StoreError, StoreVersionError

__all__ = ["ARCHIVE_VERSION", "Archive", "Manifest", "write_archive"]

FORMAT = "flyte_nb run"
ARCHIVE_VERSION = 1
MANIFEST, EVENTS, VALUES, FILES = "run.json", "events", "values/", "files/"
RUN_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}")
NOT_READABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What the standard library raises for a zip that is damaged, is encrypted (RuntimeError), or is packed in a way that
`zipfile` does not know (NotImplementedError): each becomes the one error that names the file."""


class Head(msgspec.Struct, frozen=True):
    """What every version of a manifest says."""

    format: str
    version: int


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds."""

    run: str
    folder: str
    """The path of the run's folder in the store that it comes from."""
    values: list[str]
    files: list[str]
    format: str = FORMAT
    version: int = ARCHIVE_VERSION


def write_archive(path: Path, manifest: Manifest, events: bytes, sources: Iterable[Path], folder: Path) -> None:
    """Writes an archive; it appears whole, or not at all.

    Args:
        path: the file to write.
        manifest: what it will hold.
        events: frames.
        sources: the files of the values, in the manifest's order.
        folder: where the manifest's files are.
    """
    hidden = path.with_name(f".new-{path.name}")
    try:
        with zipfile.ZipFile(hidden, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as archive:
            archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
            archive.writestr(EVENTS, events)
            for digest, source in zip(manifest.values, sources, strict=True):
                archive.write(source, VALUES + digest)
            for name in manifest.files:
                archive.write(folder / name, FILES + name)
        hidden.rename(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        hidden.unlink(missing_ok=True)


class Archive:
    """An archive that is read.

    Attributes:
        manifest: what it holds.
    """

    def __init__(self, path: Path, members: zipfile.ZipFile) -> None:
        self._path = path
        self._members = members
        self.manifest = self._read_manifest()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Archive]:
        """Opens an archive for the time of the block.

        Raises:
            StoreError: it is not an archive of a run, or cannot be read.
            StoreVersionError: a newer release wrote it.
        """
        with reading(path):
            members = zipfile.ZipFile(path)
        with members:
            yield cls(path, members)

    def events(self) -> bytes:
        """The frames of its events.

        Raises:
            StoreError: they are damaged.
        """
        return self._read(EVENTS)

    def extract_value(self, digest: str, target: Path) -> None:
        """Writes a value's file.

        Raises:
            StoreError: it is damaged, or cannot be written.
        """
        self._extract(VALUES + digest, target)

    def extract_files(self, folder: Path) -> None:
        """Writes the files of the run's folder.

        Raises:
            StoreError: one is damaged, or cannot be written.
        """
        for name in self.manifest.files:
            self._extract(FILES + name, folder / name)

    def _read(self, member: str) -> bytes:
        with reading(self._path):
            return self._members.read(member)

    def _extract(self, member: str, target: Path) -> None:
        with reading(self._path):
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._members.open(member) as source, target.open("xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)

    def _read_manifest(self) -> Manifest:
        if MANIFEST not in self._members.namelist():
            raise damaged(self._path, f"it has no {MANIFEST}")
        text = self._read(MANIFEST)
        try:
            head = msgspec.json.decode(text, type=Head)
        except msgspec.MsgspecError:
            raise damaged(self._path, f"its {MANIFEST} is something else") from None
        if head.format != FORMAT:
            raise damaged(self._path, f"its {MANIFEST} is something else")
        if head.version > ARCHIVE_VERSION:
            raise StoreVersionError(
                f"{self._path} has version {head.version}; this flyte_nb reads up to {ARCHIVE_VERSION}. Nothing was"
                " imported. Upgrade flyte_nb."
            )
        try:
            manifest = msgspec.json.decode(text, type=Manifest)
        except msgspec.MsgspecError as error:
            raise damaged(self._path, f"{MANIFEST}: {error}") from error
        self._check(manifest)
        return manifest

    def _check(self, manifest: Manifest) -> None:
        """Refuses what could be written anywhere else than where it belongs."""
        if not RUN_NAME.fullmatch(manifest.run):
            raise damaged(self._path, f"{manifest.run[:100]!r} is no name of a run")
        for digest in manifest.values:
            if not DIGEST.fullmatch(digest):
                raise damaged(self._path, f"{digest[:100]!r} is no digest")
        for name in manifest.files:
            if not is_inside(name):
                raise damaged(self._path, f"{name[:100]!r} is no path inside a folder")
        listed = [
            MANIFEST,
            EVENTS,
            *(VALUES + one for one in manifest.values),
            *(FILES + one for one in manifest.files),
        ]
        if sorted(listed) != sorted(self._members.namelist()):
            raise damaged(self._path, "what it holds is not what it lists")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around what the standard library does with an archive: one clear error for whatever is wrong with it."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} cannot be imported: {error.strerror or error}. Nothing was imported.") from error
    except NOT_READABLE as error:
        raise damaged(path, str(error)) from error


def is_inside(name: str) -> bool:
    """Whether a name, as an archive gives it, is a plain relative path that leads nowhere else."""
    path = PurePosixPath(name)
    return name == str(path) and not path.is_absolute() and not {"..", "."} & set(path.parts) and "\\" not in name


def damaged(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} is not a whole archive of a run: {reason}. Nothing was imported; export it again.")
