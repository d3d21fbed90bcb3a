"""Requests to the owner of a journal: written whole, taken once, never left behind for the dead."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal, lock_path
from flyte_nb.store.locks import is_locked
from flyte_nb.store.requests import ABORT, Request, Requests
from tests.processes import until

Start = Callable[..., subprocess.Popen[str]]

OWNER = """
journal = Journal.create(home)
print(journal.identifier, flush=True)
sys.stdin.readline()
"""


def test_a_request_is_taken_once_by_the_owner_it_is_for(home: Home, journal: Journal) -> None:
    other = Journal.create(home)
    request = Request(ABORT, "r", "a0", "enough")
    path = Requests(home).send(journal.identifier, request)
    assert Requests(home).take(other.identifier) == []
    assert Requests(home).take(journal.identifier) == [request]
    assert Requests(home).take(journal.identifier) == []
    assert not path.exists()


def test_requests_are_taken_in_the_order_in_which_they_were_sent(home: Home, journal: Journal) -> None:
    reasons = [str(number) for number in range(20)]
    for reason in reasons:
        Requests(home).send(journal.identifier, Request(ABORT, "r", "a0", reason))
    assert [request.reason for request in Requests(home).take(journal.identifier)] == reasons


def test_a_request_that_is_being_written_is_not_seen(home: Home, journal: Journal) -> None:
    (home.requests / f".{journal.identifier}.1").write_bytes(b'{"kind":"abo')
    assert Requests(home).take(journal.identifier) == []


def test_a_request_of_a_later_release_is_dropped(home: Home, journal: Journal) -> None:
    path = home.requests / f"{journal.identifier}.1"
    path.write_bytes(b'{"version": 2}')
    assert Requests(home).take(journal.identifier) == []
    assert not path.exists()


def test_requests_to_the_dead_are_deleted_by_whoever_sends_the_next(home: Home, journal: Journal, start: Start) -> None:
    owner = start(OWNER)
    assert owner.stdout is not None
    identifier = owner.stdout.readline().strip()
    unread = Requests(home).send(identifier, Request(ABORT, "r", "a0", "enough"))
    assert unread.exists()
    owner.kill()
    until(lambda: not is_locked(lock_path(home.journals, identifier)))
    read = Requests(home).send(journal.identifier, Request(ABORT, "r", "a0", "enough"))
    assert not unread.exists()
    assert read.exists()
