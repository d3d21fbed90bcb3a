"""Runs at a backend, shown as they go on there: their watch streams do for them what the engine does for runs here.

flyte.run at a backend   its cell shows it until it is over, or until no page does any more
a page shows a run       as long as it does

backend --stream--> SDK's process --changes--> a thread a run --changed, ended--> explorers, pages
"""

from __future__ import annotations

import logging
import threading

from flyte_nb.errors import RuntimeSystemError
from flyte_nb.notebook.explorer import Explorers
from flyte_nb.remote.backend.followed import FollowedRun
from flyte_nb.remote.backend.source import BackendSource, is_over
from flyte_nb.remote.source import source

__all__ = ["Following"]

LOST = (ConnectionError, KeyError, PermissionError, RuntimeSystemError)
"""What a backend that does not answer as it should makes of a question."""

logger = logging.getLogger("flyte")

TICK_SECONDS = 0.1
"""The shortest time between two changes that are shown, as of runs here."""
LOOK_SECONDS = 1.0
"""The longest time until it is noticed that nobody looks any more."""
LOST_SECONDS = 5.0
"""How soon a backend that does not answer is asked again."""


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
        except LOST as error:  # it runs all the same
            logger.warning("Run %s is not shown: %s", run, error)
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
        """The run, if it is at the backend and lives."""
        try:
            if source.elsewhere(run) is backend and not is_over(backend.run(run).phase):
                return backend.follow(run)
        except LOST as error:  # the run stays as it is shown
            logger.debug("run %s is not followed: %s", run, error)
        return None

    def _show(self, backend: BackendSource, followed: FollowedRun) -> None:
        """Shows what changes, until the run is over or nobody looks."""
        while not followed.closed and self._is_wanted(backend, followed.name):
            try:
                backend.look(followed, LOOK_SECONDS)
                followed.note = ""
            except LOST as error:
                followed.note = f"not followed at present: {error}"
            self._explorers.changed(followed)
            self._stopped.wait(LOST_SECONDS if followed.note else TICK_SECONDS)
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
