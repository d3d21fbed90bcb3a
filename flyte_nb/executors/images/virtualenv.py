"""Virtual environments of images: each is built once, named by its digest, and shared by runs, kernels and stores.

Image -> Recipe -> <images>/<digest>/ -> BuiltEnvironment(python, support, variables)

<images>/              FLYTE_NB_IMAGES, else ~/.cache/flyte_nb/images
  <digest>/            a virtual environment; image.json says what is in it, used_by/ has a file for each Flyte
                       environment that uses it, as old as its last use
  building/<digest>/   not yet whole, and build.log of uv, which those who wait for it read
  locks/<digest>.use   shared by the kernels that use it, exclusive to who removes it
  locks/<digest>.build exclusive to who builds it
  support/<digest>/    holds a link to the package flyte_nb and nothing else: a worker imports it from there
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import blake3

from flyte_nb.authoring.image import Image
from flyte_nb.errors import ImageBuildError
from flyte_nb.executors.images.builder import build
from flyte_nb.executors.images.recipe import Recipe, recipe_of

__all__ = ["BuiltEnvironment", "BuiltImage", "Pruned", "Virtualenvs"]

WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class BuiltEnvironment:
    """What it takes to run code in an image's environment.

    Attributes:
        python: its interpreter.
        support: a folder for PYTHONPATH, from where flyte_nb itself is imported.
        digest: names the environment.
        variables: environment variables that the image sets.
    """

    python: str
    support: str
    digest: str
    variables: dict[str, str]


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An environment on disk.

    Attributes:
        digest: its name.
        name: of the image that it was built for first.
        layers: of that image.
        size_bytes: of its files; those that it shares with uv's cache and other environments are in it.
        built_at: when.
        used_at: when a kernel last asked for it.
        used_by: names of the Flyte environments that did.
        is_in_use: a kernel that did is alive.
    """

    digest: str
    name: str
    layers: tuple[str, ...]
    size_bytes: int
    built_at: datetime
    used_at: datetime
    used_by: tuple[str, ...]
    is_in_use: bool


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, what was kept because a kernel uses it, and how much room that made."""

    removed: tuple[BuiltImage, ...]
    kept: tuple[BuiltImage, ...]
    freed_bytes: int


class Virtualenvs:
    """The environments of this user. What it has handed out is safe from pruning until `close`.

    Args:
        folder: where they are; by default where FLYTE_NB_IMAGES says, else in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or images_folder()
        self._used: dict[str, Lock] = {}

    def needs_build(self, image: Image | None) -> bool:
        """Whether the image's environment is missing.

        Raises:
            flyte_nb.errors.ImageBuildError: a virtual environment cannot be what the image asks for.
        """
        return not self._is_whole(recipe_of(image).digest)

    async def interpreter(
        self, image: Image | None, progress: Callable[[str], None], environment: str = ""
    ) -> BuiltEnvironment:
        """The environment of an image: at once when it is there, else once it is built, by whomever.

        Cancelling it ends a build that it began, uv included; another waiting kernel then builds.

        Args:
            image: None is the default image, which holds Python and flyte_nb.
            progress: told what is done, line by line.
            environment: name of the Flyte environment that asks, for the list of images.

        Raises:
            flyte_nb.errors.ImageBuildError: it cannot be built; nothing is left of the attempt.
        """
        recipe = await asyncio.to_thread(recipe_of, image)
        try:
            if recipe.digest not in self._used or not self._is_whole(recipe.digest):
                await self._obtain(recipe, progress)
            self._note_use(recipe.digest, environment)
            support = self._support()
        except OSError as error:
            raise ImageBuildError(
                f"Image {recipe.name!r} cannot be built in {self.folder}: {error}. "
                "FLYTE_NB_IMAGES names another folder."
            ) from error
        return BuiltEnvironment(
            str(self.folder / recipe.digest / "bin" / "python"), support, recipe.digest, recipe.variables
        )

    def built(self) -> list[BuiltImage]:
        """What there is on disk, last used first."""
        found = []
        for file in self.folder.glob("*/image.json"):
            with suppress(FileNotFoundError):  # removed meanwhile
                found.append(self._describe(file.parent))
        return sorted(found, key=lambda one: one.used_at, reverse=True)

    def size_bytes(self) -> int:
        """Of all environments together, a file that several share counted once."""
        return sum(size for size, _, _ in files_of(file.parent for file in self.folder.glob("*/image.json")))

    def prune(self, unused_for: timedelta = timedelta(0)) -> Pruned:
        """Removes environments that were not used for so long, and what interrupted builds left.

        Those that a living kernel has used stay.
        """
        latest = datetime.now(UTC) - unused_for
        old = [one for one in self.built() if one.used_at <= latest]
        candidates = [self.folder / one.digest for one in old if not one.is_in_use]
        own_bytes = sum(size for size, links, found in files_of(candidates) if links == found)
        removed = [one for one in old if self._remove(one.digest)]
        for leftover in self.folder.glob("building/*"):
            with Lock(self._lock_path(leftover.name, "build")) as lock:
                if lock.try_exclusive():
                    shutil.rmtree(leftover, ignore_errors=True)
        for rubbish in self.folder.glob("removed/*"):
            shutil.rmtree(rubbish, ignore_errors=True)
        return Pruned(tuple(removed), tuple(one for one in old if one not in removed), own_bytes if removed else 0)

    def close(self) -> None:
        """Lets go of what was handed out."""
        while self._used:
            self._used.popitem()[1].close()

    # ---------------------------------------------------------------- building

    async def _obtain(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """Returns when the environment is whole and locked against removal."""
        (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        use = Lock(self._lock_path(recipe.digest, "use"))
        try:
            while not use.try_shared():  # noqa: ASYNC110  (another process is removing it)
                await asyncio.sleep(WAIT_SECONDS)
            while not self._is_whole(recipe.digest):
                await self._build_once(recipe, progress)
        except BaseException:
            use.close()
            raise
        if recipe.digest in self._used:  # somebody else of this kernel waited for it too
            use.close()
        else:
            self._used[recipe.digest] = use

    async def _build_once(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """Builds, or waits until another builder is done, whatever came of it."""
        with Lock(self._lock_path(recipe.digest, "build")) as lock:
            if lock.try_exclusive():
                if not self._is_whole(recipe.digest):
                    await self._build(recipe, progress, lock.fd)
                return
            said = ""
            while not lock.try_exclusive():
                words = self._words_of_builder(recipe.digest)
                if words != said:
                    progress(words)
                    said = words
                await asyncio.sleep(WAIT_SECONDS)

    async def _build(self, recipe: Recipe, progress: Callable[[str], None], lock_fd: int) -> None:
        """Builds beside its place and moves it there when it is whole."""
        unfinished = self.folder / "building" / recipe.digest
        await asyncio.to_thread(shutil.rmtree, unfinished, True)
        await asyncio.to_thread(self._throw_away, self.folder / recipe.digest)  # one whose Python is gone
        unfinished.mkdir(parents=True)
        try:
            with (unfinished / "build.log").open("w", encoding="utf-8") as log:

                def say(line: str) -> None:
                    print(line, file=log, flush=True)
                    progress(line)

                for layer in recipe.left_out:
                    say(f"{layer} does nothing here: code comes to the worker by itself")
                try:
                    await build(recipe, unfinished / "environment", say, lock_fd)
                except ImageBuildError as error:
                    raise ImageBuildError(f"Image {recipe.name!r}: {error}") from None
            self._put_in_place(recipe, unfinished / "environment")
        finally:
            await asyncio.to_thread(shutil.rmtree, unfinished, True)

    def _put_in_place(self, recipe: Recipe, environment: Path) -> None:
        facts = {"name": recipe.name, "layers": [step.title for step in recipe.steps], "built_at": time.time()}
        (environment / "image.json").write_text(json.dumps(facts), encoding="utf-8")
        (environment / "used_by").mkdir()
        environment.rename(self.folder / recipe.digest)

    def _words_of_builder(self, digest: str) -> str:
        """The last line of the log of another builder."""
        with suppress(OSError):
            log = self.folder / "building" / digest / "build.log"
            if lines := log.read_text(encoding="utf-8", errors="replace").splitlines():
                return lines[-1]
        return "waiting for another kernel that builds it"

    # ---------------------------------------------------------------- what is there

    def _is_whole(self, digest: str) -> bool:
        """Whether it is there, and the Python that it stands on as well."""
        place = self.folder / digest
        return (place / "image.json").exists() and (place / "bin" / "python").exists()

    def _note_use(self, digest: str, environment: str) -> None:
        (self.folder / digest / "used_by" / quote(environment or "-", safe=" ")).touch()

    def _describe(self, folder: Path) -> BuiltImage:
        facts = json.loads((folder / "image.json").read_text(encoding="utf-8"))
        uses = {unquote(file.name): file.stat().st_mtime for file in (folder / "used_by").iterdir()}
        with Lock(self._lock_path(folder.name, "use")) as lock:
            is_in_use = not lock.try_exclusive()
        return BuiltImage(
            digest=folder.name,
            name=facts["name"],
            layers=tuple(facts["layers"]),
            size_bytes=sum(size for size, _, _ in files_of([folder])),
            built_at=datetime.fromtimestamp(facts["built_at"], UTC),
            used_at=datetime.fromtimestamp(max(uses.values(), default=facts["built_at"]), UTC),
            used_by=tuple(sorted(name for name in uses if name != "-")),
            is_in_use=is_in_use,
        )

    def _remove(self, digest: str) -> bool:
        """Removes an environment that nobody uses; whether it did."""
        with Lock(self._lock_path(digest, "use")) as lock:
            if not lock.try_exclusive():
                return False
            self._throw_away(self.folder / digest)
        return True

    def _throw_away(self, place: Path) -> None:
        """Takes an environment away in one step, then deletes it."""
        if place.exists():
            rubbish = self.folder / "removed" / uuid.uuid4().hex
            rubbish.parent.mkdir(parents=True, exist_ok=True)
            place.rename(rubbish)
            shutil.rmtree(rubbish, ignore_errors=True)

    def _lock_path(self, digest: str, purpose: str) -> Path:
        return self.folder / "locks" / f"{digest}.{purpose}"

    def _support(self) -> str:
        """A folder with nothing but a link to this very flyte_nb, wherever it is installed."""
        package = Path(__file__).resolve().parents[2]
        folder = self.folder / "support" / blake3.blake3(os.fsencode(package)).hexdigest()[:20]
        if not (folder / "flyte_nb").exists():
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                (folder / "flyte_nb").symlink_to(package, target_is_directory=True)
        return str(folder)


class Lock:
    """A lock file between processes, opened anew for each use; whoever dies lets go."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def try_exclusive(self) -> bool:
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        return self._try(fcntl.LOCK_SH)

    def close(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)  # a process forked meanwhile may hold a copy of the descriptor
        os.close(self.fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def images_folder() -> Path:
    """Where environments are kept; they are large, and the same for every project."""
    chosen = os.environ.get("FLYTE_NB_IMAGES")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (Path(chosen) if chosen else cache / "flyte_nb" / "images").expanduser().absolute()


def files_of(folders: Iterable[Path]) -> list[tuple[int, int, int]]:
    """Each file of the folders once: its bytes, how many names it has, and how many of them are in here."""
    files: dict[tuple[int, int], tuple[int, int, int]] = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError):
                    facts = os.lstat(os.path.join(parent, name))
                    key = (facts.st_dev, facts.st_ino)
                    found = files[key][2] if key in files else 0
                    files[key] = (facts.st_size, facts.st_nlink, found + 1)
    return list(files.values())
