"""What the store keeps."""

from __future__ import annotations

from datetime import timedelta

from flyte_nb.engine.session import current_session
from flyte_nb.remote.source import source
from flyte_nb.store.retention import Keep, Pruned
from flyte_nb.store.retention import prune as prune_store

__all__ = ["prune"]


def prune(
    older_than: timedelta | None = None,
    keep: int | None = None,
    max_size_bytes: int | None = None,
    *,
    dry_run: bool = False,
) -> Pruned:
    """Deletes old runs with all that only they need: their actions, logs, reports, files and values.

    Live runs, the runs that they reuse, and runs with the label `keep` stay. Without any bound no run is deleted, only
    what no run names any more. A value that was written in the last ten minutes is left to a later call, and so is what
    a client of a server put in the last seven days.

    Args:
        older_than: delete runs that ended so long ago; cached results of that age go with them.
        keep: never delete the newest so many; delete all others when no other bound is given.
        max_size_bytes: delete the oldest runs until the store is not larger.
        dry_run: only say what would be deleted.

    Raises:
        ValueError: a bound is negative.
        flyte_nb.store.errors.StoreError: the store cannot be used.
    """
    age_seconds = older_than.total_seconds() if older_than is not None else None
    for name, bound in (("older_than", age_seconds), ("keep", keep), ("max_size_bytes", max_size_bytes)):
        if bound is not None and bound < 0:
            raise ValueError(f"{name} must not be negative, got {bound}")
    pruned = prune_store(source.store.home, Keep(older_than, keep, max_size_bytes), dry_run)
    active = current_session()
    if active is not None and not dry_run:
        active.forget(pruned.runs)
    return pruned
