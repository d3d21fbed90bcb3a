"""Runs that live in another process: their owner is asked to end one, or to take an answer to a condition, and answers
by what it records."""

from __future__ import annotations

import time
from pathlib import Path

from flyte_nb.authoring.condition import Answer, parse_answer
from flyte_nb.engine.conditions import INPUTS
from flyte_nb.engine.identity import ROOT
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.store.owner import Owner
from flyte_nb.store.queries import Store
from flyte_nb.store.requests import ABORT, SIGNAL, Request, Requests
from flyte_nb.store.rows import ActionRow
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blobs
from flyte_nb.types.steps import decode_values

__all__ = ["abort_elsewhere", "fitting_answer", "signal_elsewhere"]

TAKEN_SECONDS = 10.0
"""How long a process may take to read a request; it looks ten times a second."""
ENDED_SECONDS = 5.0
"""How long what was asked for may take. Code in C cannot always be ended: its action says so."""
LOOK_SECONDS = 0.05
DATA_TYPE = [name for name, _ in INPUTS].index("data_type")


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
    if not _is_over(store, run, action):
        _ask_owner(store, Request(ABORT, run, action, reason))


def signal_elsewhere(store: Store, run: str, action: str, answer: Answer) -> None:
    """Answers a condition of a run of another process; returns when that is recorded.

    Args:
        store: where it is recorded.
        run: name of the run.
        action: name of the condition's action.
        answer: the answer, or its text as a person writes it.

    Raises:
        KeyError: there is no such run or action.
        ValueError: the answer is not of the condition's type, or its process is on another machine.
        flyte_nb.errors.ConditionNotFoundError: it is no condition, or does not wait any more.
        TimeoutError: its process does not answer.
    """
    value = fitting_answer(store.action(run, action), answer, ValueStore(store.home))
    _ask_owner(store, Request(SIGNAL, run, action, "", value=value))


def fitting_answer(row: ActionRow, answer: Answer, blobs: Blobs) -> Answer:
    """An answer as the condition of an action wants it.

    Args:
        row: the action.
        answer: the answer, or its text as a person writes it.
        blobs: where the large values of the action are.

    Raises:
        ValueError: the answer is not of the condition's type.
        flyte_nb.errors.ConditionNotFoundError: the action is no condition, or does not wait any more.
    """
    if row.kind != "condition":
        raise ConditionNotFoundError(f"Action {row.name} of run {row.run} is a {row.kind}, no condition: {row.task}")
    value = parse_answer(decode_values(row.inputs, blobs)[DATA_TYPE], answer)
    if row.phase != "paused":
        raise ConditionNotFoundError(f"Condition '{row.task}' of run {row.run} does not wait any more: {row.phase}.")
    return value


def _ask_owner(store: Store, asked: Request) -> None:
    """Sends a request to the process in which a run lives, and waits until what it is about is over."""
    run, action = asked.run, asked.action
    journal, owner = store.owner(run)
    if owner is None or not owner.is_here():
        place = f"on {owner.host} (process {owner.pid})" if owner is not None else "where nobody can tell"
        raise ValueError(f"Run {run} lives {place}, out of reach from here: do it there.")
    request = Requests(store.home).send(journal, asked)
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
                " is stopped, or busy in C code. It does what was asked when it goes on; to end the run at once, end"
                " the process."
            )
        time.sleep(LOOK_SECONDS)
    request.unlink(missing_ok=True)  # nobody is left to take it


def _is_over(store: Store, run: str, action: str) -> bool:
    row = store.run(run) if action == ROOT else store.action(run, action)
    return row.ended_ns is not None
