"""Ending a run that lives in another process: its owner is asked, and answers by what it records."""

from __future__ import annotations

import time
from pathlib import Path

from flyte_nb.engine.identity import ROOT
from flyte_nb.store.owner import Owner
from flyte_nb.store.queries import Store
from flyte_nb.store.requests import ABORT, Request, Requests

__all__ = ["abort_elsewhere"]

TAKEN_SECONDS = 10.0
"""How long a process may take to read a request; it looks ten times a second."""
ENDED_SECONDS = 5.0
"""How long what was asked for may take. Code in C cannot always be ended: its action says so."""
LOOK_SECONDS = 0.05


def abort_elsewhere(store: Store, run: str, action: str, reason: str) -> None:
    """Ends a run of another process, or one of its actions; returns when that is recorded.

    Args:
        store: where it is recorded.
        run: name of the run.
        action: name of the action; the root's ends the run.
        reason: recorded and shown.

    Raises:
        KeyError: there is no such run or action.
        ValueError: its process is on another machine.
        TimeoutError: its process does not answer.
    """
    if _is_over(store, run, action):
        return
    journal, owner = store.owner(run)
    if owner is None or not owner.is_here():
        place = f"on {owner.host} (process {owner.pid})" if owner is not None else "where nobody can tell"
        raise ValueError(f"Run {run} lives {place}, out of reach from here. Abort it there.")
    request = Requests(store.home).send(journal, Request(ABORT, run, action, reason))
    _wait_until_taken(request, store, run, owner)
    deadline = time.monotonic() + ENDED_SECONDS
    while not _is_over(store, run, action) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def _wait_until_taken(request: Path, store: Store, run: str, owner: Owner) -> None:
    deadline = time.monotonic() + TAKEN_SECONDS
    while request.exists() and not owner.has_vanished() and not _is_over(store, run, ROOT):
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"Process {owner.pid}, in which run {run} lives, has not answered for {TAKEN_SECONDS:.0f} seconds: it"
                " is stopped, or busy in C code. It aborts the run when it goes on; to end it at once, end the process."
            )
        time.sleep(LOOK_SECONDS)
    request.unlink(missing_ok=True)  # nobody is left to take it


def _is_over(store: Store, run: str, action: str) -> bool:
    row = store.run(run) if action == ROOT else store.action(run, action)
    return row.ended_ns is not None
