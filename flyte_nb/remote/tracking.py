"""Local runs that are published at a backend while they run: `flyte.with_runcontext(mode="local", tracked=True)`."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

from flyte_nb.engine.options import RunOptions
from flyte_nb.engine.state import RunState
from flyte_nb.engine.watcher import observers
from flyte_nb.errors import InitializationError
from flyte_nb.remote.backend.publishing import check_name, name_for, new_name
from flyte_nb.remote.source import source

__all__ = ["Tracking", "publish_run", "settle", "track_all", "wait_for_publishing"]

PUBLISHED, STRICT = "published", "strict"
"""The recorded option of a run that is published, and its value where a failure to publish is one of the run."""
FLUSH_SECONDS = 30.0
"""So long a strictly tracked run waits for its last news to arrive, as Flyte's does."""

logger = logging.getLogger("flyte")


class Tracking(NamedTuple):
    """What `flyte.with_runcontext` was asked for.

    Attributes:
        is_asked: whether the run is published; also where `flyte.init(local_tracked=True)` says so.
        is_strict: whether it fails where it cannot be published; also by `flyte.init(local_tracked_strict=True)`.
    """

    is_asked: bool = False
    is_strict: bool = False

    def check_place(self) -> None:
        """Raises ValueError: the run goes to a backend, which records it itself."""
        if self.is_asked:
            raise ValueError(
                'tracked=True publishes a run that runs here: add mode="local", or leave tracked out to run at the '
                "backend"
            )

    def applied(self, options: RunOptions) -> RunOptions:
        """The options of the run that is about to start; nothing was recorded yet.

        Raises:
            ValueError: its name is none for a published run, or strict tracking is asked for without tracking.
            flyte_nb.errors.InitializationError: it is to be strict, and no backend is connected.
            ConnectionError, PermissionError: it is to be strict, and the backend is away or refuses.
        """
        is_asked = self.is_asked or _all_runs.is_asked
        if not is_asked:
            if self.is_strict:
                raise ValueError("tracked_strict=True says how a run is published: it needs tracked=True")
            return options
        is_strict = self.is_strict or _all_runs.is_strict
        if source.publisher is None:
            self._say_disconnected(is_strict)
            return options
        name = check_name(options.name) if options.name is not None else new_name()
        if is_strict:
            source.publisher.check(name)
        if OBSERVER not in observers:
            observers.append(OBSERVER)
        recorded = {**options.recorded, PUBLISHED: STRICT if is_strict else True}
        return replace(options, name=name, recorded=recorded)

    def _say_disconnected(self, is_strict: bool) -> None:
        if is_strict:
            raise InitializationError(
                "ClientNotInitializedError",
                "user",
                "tracked_strict=True publishes the run at a backend, and none is connected: flyte.init(endpoint=...) "
                "or flyte.init_from_config().",
            )
        logger.warning(
            "tracked=True publishes the run at a backend, and none is connected: it runs unpublished. "
            "flyte.init(endpoint=...) or flyte.init_from_config() connects one; run.publish() publishes it later."
        )


_all_runs = Tracking()


def track_all(is_asked: bool, is_strict: bool) -> None:
    """Says of all local runs whether they are published: what `flyte.init(local_tracked=...)` asks for."""
    global _all_runs
    _all_runs = Tracking(is_asked, is_strict)


class Observer:
    """Has the publisher begin with a tracked run, and look at it once more when it is over."""

    def started(self, run: RunState) -> None:
        if source.publisher is not None and PUBLISHED in run.options.recorded:
            source.publisher.begin(run.name, name_for(run.name))

    def changed(self, run: RunState) -> None:
        """The store tells."""

    def ended(self, run: RunState) -> None:
        if source.publisher is not None and PUBLISHED in run.options.recorded:
            source.publisher.hurry()


OBSERVER = Observer()


def settle(run: RunState) -> None:
    """Waits until a strictly tracked run that is over is published.

    Raises:
        flyte_nb.errors.RuntimeSystemError: it could not be.
    """
    if run.options.recorded.get(PUBLISHED) == STRICT:
        wait_for_publishing(run.name)


def wait_for_publishing(run: str) -> None:
    """Waits until a tracked run that is over is published.

    Raises:
        flyte_nb.errors.RuntimeSystemError: it could not be.
    """
    if source.publisher is not None:
        source.publisher.wait(run, FLUSH_SECONDS)


def publish_run(run: str, name: str | None = None) -> str:
    """Publishes a run of this project; see `flyte.remote.Run.publish`."""
    publisher = source.publisher
    if publisher is None:
        raise InitializationError(
            "ClientNotInitializedError",
            "user",
            f"Run {run} is published at a backend, and none is connected: flyte.init(endpoint=...) or "
            "flyte.init_from_config().",
        )
    row = source.run_here(run)
    return publisher.publish(row.name, check_name(name) if name is not None else name_for(row.name))
