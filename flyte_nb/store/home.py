"""The folder that holds everything recorded: where it is, what is in it, and who may use it.

    .flyte_nb/
      version        the layout's version, one number
      journals/      what every process recorded and nobody folded yet
      values/        large values, by digest
      cache/         one small file per cache key
      data/          files of runs, a folder each
      requests/      requests to runs that live in another process
      uploads/       files that clients of a server put
      secrets/       values of secrets, for their owner only
      runs.duckdb    what people query
      store.lock     held by whoever has runs.duckdb open
      runs.want      held by whoever waits for it

It stands in the project's root (the nearest parent of the working directory with `.flyte_nb`, `pyproject.toml` or
`.git`, else the working directory itself), or where the environment variable FLYTE_NB_HOME says. It ignores itself
in git.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path

from flyte_nb.store.errors import StoreError, StoreVersionError, StoreWarning
from flyte_nb.store.mounts import is_on_network

__all__ = ["STORE_VERSION", "Home"]

STORE_VERSION = 3
"""The layout and schema that this release reads and writes; `flyte_nb.store.migrations` brings older ones here."""

FOLDER = ".flyte_nb"
ROOT_MARKS = (FOLDER, "pyproject.toml", ".git")
LOCAL_ROOT = Path("/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir())
CURE = "Set FLYTE_NB_HOME to a folder that can be written, or free this one."


@dataclass(frozen=True, slots=True)
class Home:
    """The store's folder; nothing is created before `ensure`."""

    path: Path

    @classmethod
    def find(cls, path: str | os.PathLike[str] | None = None, start: Path | None = None) -> Home:
        """The home to use from here.

        Args:
            path: the store's folder itself; None looks at FLYTE_NB_HOME, then for the project's root.
            start: the folder whose project is meant; None is the working directory.
        """
        chosen = path or os.environ.get("FLYTE_NB_HOME")
        if chosen:
            return cls(Path(chosen).expanduser().resolve())
        path = project_root(start or Path.cwd()) / FOLDER
        return cls(local_path(path) if is_on_network(path) else path)

    @property
    def journals(self) -> Path:
        return self.path / "journals"

    @property
    def values(self) -> Path:
        return self.path / "values"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def requests(self) -> Path:
        return self.path / "requests"

    @property
    def uploads(self) -> Path:
        return self.path / "uploads"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def database(self) -> Path:
        return self.path / "runs.duckdb"

    @property
    def lock(self) -> Path:
        return self.path / "store.lock"

    @property
    def want(self) -> Path:
        return self.path / "runs.want"

    @property
    def version(self) -> Path:
        return self.path / "version"

    def ensure(self) -> Home:
        """Creates what is missing; cheap when nothing is.

        Raises:
            StoreVersionError: the store was written by a newer release; nothing in it is touched.
            StoreError: the folder cannot be created or written.
        """
        try:
            if self.version.exists():
                self.check_version()
            else:
                self._create()
            if not os.access(self.journals, os.W_OK):
                raise PermissionError(13, "Permission denied", str(self.journals))
        except OSError as error:
            reason = f"{error.strerror or error} ({error.filename})"
            raise StoreError(f"The store of runs {self.path} cannot be used: {reason}. {CURE}") from error
        return self

    def check_version(self) -> int:
        """The version that the store is in.

        Raises:
            StoreVersionError: it is newer than this release knows, or not a number.
        """
        text = self.version.read_text(encoding="ascii", errors="replace").strip()
        if not text.isdigit():
            raise StoreVersionError(f"{self.version} holds {text[:40]!r} instead of a version number. {CURE}")
        if int(text) > STORE_VERSION:
            raise StoreVersionError(
                f"The store of runs {self.path} has version {text}; this flyte_nb reads up to {STORE_VERSION}. It was"
                " left untouched. Upgrade flyte_nb, or set FLYTE_NB_HOME to another folder."
            )
        return int(text)

    def write_version(self, version: int) -> None:
        """Says, in one step, which version the store is in."""
        temporary = self.path / f".version-{uuid.uuid4().hex}"
        temporary.write_text(f"{version}\n", encoding="ascii")
        temporary.replace(self.version)

    def _create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / ".gitignore").write_text("*\n", encoding="ascii")
        for folder in (self.journals, self.values, self.cache, self.requests):
            folder.mkdir(exist_ok=True)
        self.write_version(STORE_VERSION)


def project_root(start: Path) -> Path:
    """The nearest of `start` and its parents that looks like a project's root, else `start`."""
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in ROOT_MARKS):
            return folder
    return start


def local_path(path: Path) -> Path:
    """Where on this machine the home of a project goes that lies on another machine's disk; says so."""
    local = LOCAL_ROOT / f"flyte_nb-{os.getuid()}" / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    warnings.warn(
        f"{path} is on a network file system, where locks cannot be relied on: runs are recorded in {local} instead."
        " Set FLYTE_NB_HOME to choose a folder yourself.",
        StoreWarning,
        stacklevel=3,
    )
    return local
