"""After a crash: a kernel that starts says which runs of its notebook the last one left unfinished."""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from flyte_nb.notebook.origin import notebook_name
from flyte_nb.remote.repeats.interrupted import find_interrupted
from flyte_nb.store.rows import RunRow

__all__ = ["offer_recovery", "print_offer"]

logger = logging.getLogger("flyte")


def offer_recovery() -> None:
    """Prints one line when there is something to recover; looks for it on a thread, so that nobody waits."""
    notebook = notebook_name()
    if notebook:
        threading.Thread(target=print_offer, args=[notebook], name="flyte-recovery", daemon=True).start()


def print_offer(notebook: str) -> None:
    """Prints the line for a notebook; never raises.

    Args:
        notebook: its file name.
    """
    try:
        found = find_interrupted(notebook)
    except Exception as error:  # whatever is wrong with the store: the first command that needs it says so
        logger.debug("no look for interrupted runs: %s", error)
        return
    if found:
        print(_offer_line(found))


def _offer_line(found: list[RunRow]) -> str:
    newest = found[0]
    ended = datetime.fromtimestamp((newest.ended_ns or newest.started_ns) / 1e9).astimezone()
    more = f" ({len(found) - 1} more: %flyte runs --phase aborted)" if len(found) > 1 else ""
    return (
        f"Run {newest.name} of {newest.task} ended with its kernel on {ended:%Y-%m-%d at %H:%M}. "
        f"To go on where it stopped: %flyte recover {newest.name}{more}"
    )
