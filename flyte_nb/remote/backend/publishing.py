"""Local runs on their way to a backend: `flyte.with_runcontext(mode="local", tracked=True)` and `run.publish()`.

A thread of its own asks the process of the official SDK, twice a second, to tell the backend what is new in the store.
The run knows nothing of it. A backend that is away is asked again, ever more seldom, up to `PATIENCE_SECONDS`.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path

import msgspec

from flyte_nb.errors import InitializationError, RuntimeSystemError
from flyte_nb.remote.backend.client import Client

__all__ = ["Progress", "Publication", "Publisher", "check_name", "name_for", "new_name"]

LOOK_SECONDS = 0.5
RESTS = 4
"""After a look it rests so many times as long as that took."""
MOST_PAUSE_SECONDS = 10.0
PATIENCE_SECONDS = 600.0
EXIT_SECONDS = 10.0
"""So long a program that ends goes on publishing what is over."""
CLOSE_SECONDS = 2.0
"""So long the last of a run may take when another backend is connected."""
LONGEST_NAME = 30
RESERVED = ("u", "r")
"""First letters of names that a backend gives itself."""
PREFIX = "local-"

logger = logging.getLogger("flyte")


class Progress(msgspec.Struct, frozen=True):
    """What the backend has been told.

    Attributes:
        name: of the run there.
        url: its page there.
        is_over: whether that was all.
        is_behind: whether more is recorded already.
        refused: what the backend did not take, with its reason.
        aborted: why the run was aborted there; None if it was not.
    """

    name: str
    url: str
    is_over: bool = False
    is_behind: bool = False
    refused: list[str] = []
    aborted: str | None = None


class Publication:
    """A run that is published.

    Attributes:
        run: its name here.
        name: its name at the backend.
        url: its page there; empty until the backend has answered.
        error: why it is not (wholly) published; None while nothing went wrong.
        is_behind: whether more is recorded than the backend was told.
        finished: set when nothing more is told.
    """

    def __init__(self, run: str, name: str) -> None:
        self.run = run
        self.name = name
        self.url = ""
        self.error: Exception | None = None
        self.is_behind = True
        self.finished = threading.Event()
        self._pause_seconds = LOOK_SECONDS
        self._next = 0.0
        self._told = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the backend is to be told now."""
        return time.monotonic() >= self._next

    @property
    def has_patience(self) -> bool:
        """Whether a backend that is away is asked again."""
        return time.monotonic() - self._told < PATIENCE_SECONDS

    def told(self, progress: Progress, took_seconds: float) -> None:
        """The backend has answered."""
        self.url, self.error = progress.url, None
        self._told = time.monotonic()
        self._pause_seconds = LOOK_SECONDS
        self.is_behind = progress.is_behind
        self._next = self._told + (0.0 if progress.is_behind else max(LOOK_SECONDS, RESTS * took_seconds))
        if progress.is_over or progress.aborted is not None:
            self.finished.set()

    def missed(self, error: Exception) -> None:
        """It has not."""
        self.error, self.is_behind = error, True
        self._pause_seconds = min(2 * self._pause_seconds, MOST_PAUSE_SECONDS)
        self._next = time.monotonic() + self._pause_seconds

    def failed(self, error: Exception) -> None:
        """It never will."""
        self.error = error
        self.finished.set()


class Publisher:
    """Publishes the runs of a store.

    Args:
        client: the process that talks to the backend.
        store: gives the folder of the store.
        abort: aborts a run, for a reason; called when the backend did.
    """

    def __init__(self, client: Client, store: Callable[[], Path], abort: Callable[[str, str], None]) -> None:
        self._client = client
        self._store = store
        self._abort = abort
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._begun: dict[str, Publication] = {}
        """Every run that this process has published, the newest attempt to do so."""
        self._thread: threading.Thread | None = None
        self._leaving_at: float | None = None

    def check(self, name: str) -> None:
        """Returns where a run of this name can be published now; raises what the backend says otherwise."""
        self._client.call("check_publishing", type(None), name=name)

    def url(self, run: str) -> str | None:
        """The page of a run that this process publishes; None of any other, and while the backend is away."""
        known = self._begun.get(run)
        if known is None or known.url:
            return known.url if known is not None else None
        try:
            return self._client.call("published_url", str, **self._place(known)) if known.error is None else None
        except (ConnectionError, InitializationError):
            return None

    def begin(self, run: str, name: str) -> None:
        """Publishes a run from now on, in the background, until it is over."""
        self._enter(Publication(run, name))

    def publish(self, run: str, name: str) -> str:
        """Publishes all that is recorded of a run, and in the background what is still to come.

        Returns:
            Its page at the backend.

        Raises:
            ConnectionError, PermissionError, ValueError: the backend is away, or refuses.
        """
        publication = Publication(run, name)
        progress = self._client.call("publish", Progress, **self._place(publication))
        if progress.refused:
            raise RuntimeSystemError("PublishingRefused", f"The backend refuses {progress.refused[0]}")
        publication.told(progress, 0.0)
        self._enter(publication)
        return progress.url

    def _enter(self, publication: Publication) -> None:
        with self._lock:
            self._begun[publication.run] = publication
            if self._thread is None and not publication.finished.is_set():
                self._thread = threading.Thread(target=self._work, name="flyte-publisher")
                self._thread.start()

    def _open(self) -> list[Publication]:
        return [publication for publication in self._begun.values() if not publication.finished.is_set()]

    def hurry(self) -> None:
        """Looks for news now."""
        self._wake.set()

    def wait(self, run: str, timeout_seconds: float) -> None:
        """Returns when a run that is over is published.

        Raises:
            flyte_nb.errors.RuntimeSystemError: not all of it could be.
        """
        with self._lock:
            publication = self._begun[run]
        self.hurry()
        in_time = publication.finished.wait(timeout_seconds)
        if publication.error is not None or not in_time:
            reason = publication.error or f"the backend took longer than {timeout_seconds:g} s"
            raise RuntimeSystemError("TrackedRunReportingError", f"Run {run} could not be published: {reason}")

    def close(self) -> None:
        """Ends the process that talks to the backend, and leaves all runs as far as they are published then."""
        with self._lock:
            thread, left = self._thread, self._open()
        self._wake.set()
        for publication in left:
            if publication.error is None:
                publication.finished.wait(CLOSE_SECONDS)
            if not publication.finished.is_set():
                self._give_up(publication, publication.error or ConnectionAbortedError("it was disconnected"))
        self._client.close()  # whatever waits for an answer has one
        if thread is not None:
            self._wake.set()
            thread.join()
            self._client.close()  # the thread may just have asked again

    def _place(self, publication: Publication) -> dict[str, str]:
        return {"store": str(self._store()), "run": publication.run, "name": publication.name}

    def _work(self) -> None:
        while True:
            with self._lock:
                several = self._open()
                if not several:
                    self._thread = None
                    return
            is_leaving = not threading.main_thread().is_alive()  # the program ends, once this thread has
            is_hurried = self._wake.is_set() or is_leaving
            self._wake.clear()
            for publication in several:
                if publication.is_due or is_hurried:
                    self._tell(publication)
                if publication.finished.is_set():
                    continue
                if self._has_left() or (is_leaving and not publication.is_behind):  # what still runs ends with it
                    self._give_up(publication, publication.error or ConnectionAbortedError("the program has ended"))
            self._wake.wait(LOOK_SECONDS)

    def _has_left(self) -> bool:
        """Whether the program has ended so long ago that nothing more is told."""
        if threading.main_thread().is_alive():
            return False
        self._leaving_at = self._leaving_at or time.monotonic() + EXIT_SECONDS
        return time.monotonic() >= self._leaving_at

    def _tell(self, publication: Publication) -> None:
        if publication.finished.is_set():
            return
        began = time.monotonic()
        try:
            answer = self._client.ask("publish", **self._place(publication))
            while not wait([answer], LOOK_SECONDS).done:
                if self._has_left():
                    raise ConnectionAbortedError("the program has ended, and the backend does not answer")
            self._told(publication, msgspec.convert(answer.result(), Progress), time.monotonic() - began)
        except (ConnectionError, TimeoutError) as error:
            if not publication.has_patience:
                self._give_up(publication, error)
                return
            if publication.error is None:
                logger.warning("Run %s is not published yet, and goes on here: %s", publication.run, error)
            publication.missed(error)
        # The SDK in its process raises anything: RuntimeSystemError, KeyError, ValueError, PermissionError, or answers
        # with nothing that can be read. Each is said as a warning and kept for a strict run; the local run goes on.
        except Exception as error:
            self._give_up(publication, error)

    def _told(self, publication: Publication, progress: Progress, took_seconds: float) -> None:
        if not publication.url:
            logger.info("Run %s is published: %s", publication.run, progress.url)
        if progress.aborted is not None:
            self._abort(publication.run, progress.aborted)
        elif progress.refused:
            logger.warning("Of run %s the backend refuses %s", publication.run, progress.refused[0])
        publication.told(progress, took_seconds)

    def _give_up(self, publication: Publication, error: Exception) -> None:
        logger.warning(
            "Run %s is not (wholly) published; flyte.remote.Run.get(%r).publish() does that later. %s",
            publication.run,
            publication.run,
            error,
        )
        publication.failed(error)


def new_name() -> str:
    """A fresh name for a run that is published."""
    return f"{PREFIX}{secrets.token_hex(4)}"


def check_name(name: str) -> str:
    """The name, where a backend takes it for a published run.

    Raises:
        ValueError: it is too long, or begins with a letter that is the backend's own.
    """
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"name of a published run must have at most {LONGEST_NAME} characters, got {len(name)}: {name!r}"
        )
    if name.startswith(RESERVED):
        raise ValueError(
            f"name of a published run must not begin with {' or '.join(RESERVED)}, which backends keep for themselves: "
            f"got {name!r}"
        )
    return name


def name_for(run: str) -> str:
    """The name under which a run is published: its own, or one made of it where backends keep that for themselves.

    Raises:
        ValueError: it is too long.
    """
    return check_name(f"{PREFIX}{run}" if run.startswith(RESERVED) else run)
