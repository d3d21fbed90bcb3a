"""Runs at a backend, shown as they go on there: their watch streams do for them what the engine does for runs here.

flyte.run at a backend   its cell shows it until it is over, or until no page does any more
a page shows a run       as long as it does

backend --stream--> SDK's process --changes--> a thread a run --changed, ended--> explorers, pages

A backend that does not answer is asked again, ever more seldom; meanwhile the pages say so.
"""

from __future__ import annotations

import logging
import threading

from flyte_nb.notebook.channels import words_of
from flyte_nb.notebook.explorer import Explorers
from flyte_nb.remote.backend.client import UNANSWERED
from flyte_nb.remote.backend.followed import FollowedRun
from flyte_nb.remote.backend.source import BackendSource, is_over
from flyte_nb.remote.source import source

__all__ = ["Following"]

logger = logging.getLogger("flyte")

TICK_SECONDS = 0.1
"""The shortest time between two changes that are shown, as of runs here."""
LOOK_SECONDS = 1.0
"""The longest time until it is noticed that nobody looks any more."""
PAUSE_SECONDS = 0.5
"""How soon a backend that does not answer is asked again: each time twice as late, up to `LONGEST_PAUSE_SECONDS`."""
LONGEST_PAUSE_SECONDS = 10.0


class Following:
    """Follows the runs of a backend that this kernel shows.

    Args:
        explorers: show them.
    """

    def __init__(self, explorers: Explorers) -> None:
        self._explorers = explorers
        self._threads: dict[str, threading.Thread] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def begin(self, run: str) -> None:
        """A run was started at the backend; its cell, or the page that asked for it, shows it."""
        backend = source.backend
        assert backend is not None
        try:
            followed = backend.follow(run)
        except (KeyError, *UNANSWERED) as error:  # it runs all the same
            logger.warning("Run %s is not shown: %s Later: %%flyte show %s", run, error, run)
            return
        self._explorers.started(followed)
        self._start(backend, run, followed)

    def want(self, run: str) -> None:
        """A page shows a run; one of a backend is followed from now on, if it lives."""
        backend = source.backend
        if backend is not None and source.live(run) is None:
            self._start(backend, run)

    def stop(self) -> None:
        """Follows none any more."""
        self._stopped.set()

    def _start(self, backend: BackendSource, run: str, followed: FollowedRun | None = None) -> None:
        with self._lock:
            if run not in self._threads:
                arguments = (backend, run, followed)
                thread = threading.Thread(target=self._follow, args=arguments, name="flyte-follow", daemon=True)
                self._threads[run] = thread
                thread.start()

    def _follow(self, backend: BackendSource, run: str, followed: FollowedRun | None) -> None:
        try:
            followed = followed or self._found(backend, run)
            if followed is not None:
                self._show(backend, followed)
        finally:
            with self._lock:
                del self._threads[run]

    def _found(self, backend: BackendSource, run: str) -> FollowedRun | None:
        """The run, if it is at the backend and lives; asked for until the backend says."""
        pause = PAUSE_SECONDS
        while self._is_wanted(backend, run):
            try:
                if source.elsewhere(run) is backend and not is_over(backend.run(run).phase):
                    return backend.follow(run)
                return None
            except KeyError:
                return None
            except UNANSWERED as error:
                logger.debug("run %s is not followed yet: %s", run, error)
            self._stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return None

    def _show(self, backend: BackendSource, followed: FollowedRun) -> None:
        """Shows what changes, until the run is over or nobody looks."""
        pause = PAUSE_SECONDS
        while not followed.closed and self._is_wanted(backend, followed.name):
            try:
                if backend.look(followed, LOOK_SECONDS):  # a stream that is opened anew tells everything at first
                    followed.note, pause = "", PAUSE_SECONDS
                rest = TICK_SECONDS
            except (KeyError, *UNANSWERED) as error:
                followed.note = f"Not followed at present, tried again by itself: {words_of(error)}"
                rest, pause = pause, min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._explorers.changed(followed)
            self._stopped.wait(rest)
        if followed.closed:
            self._explorers.ended(followed)
        elif source.backend is backend:
            backend.unfollow(followed)

    def _is_wanted(self, backend: BackendSource, run: str) -> bool:
        if self._stopped.is_set() or source.backend is not backend:
            return False
        channel = self._explorers.channels.known(run)
        if channel is not None and channel.was_left:
            return False
        return self._explorers.of(run) is not None or channel is not None
