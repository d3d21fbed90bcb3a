"""What the tests of the store share: a home, runs to record in it, and other processes that use it too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flyte_nb.store.database import Database
from flyte_nb.store.errors import JournalWriteError
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    Event,
    RunEnded,
    RunStarted,
    TaskDeclared,
    encode_event,
)
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal, open_journals
from flyte_nb.types.trees import pack

PRELUDE = """
import os, sys, time
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.queries import Store
from flyte_nb.store.events import *
home = Home.find(sys.argv[1])
def record(journal, event):
    return journal.append(encode_event(event))
"""


@pytest.fixture
def home(flyte_nb_home: Path) -> Iterator[Home]:
    """A home of this test, closed at its end."""
    home = Home(flyte_nb_home)
    yield home
    for journal in list(open_journals):
        with suppress(JournalWriteError):
            journal.close()
    Database.of(home).close()


@pytest.fixture
def journal(home: Home) -> Journal:
    return Journal.create(home)


def events_of_a_run(run: str, count: int = 2, phase: str = "succeeded", ended: bool = True) -> list[Event]:
    """A run whose root fans out: each action takes x, and gives x * x."""
    at_ns = 1_700_000_000_000_000_000
    events: list[Event] = [
        RunStarted(run, at_ns, "shop.main", {"team": "red"}, notebook="shop.ipynb"),
        TaskDeclared(run, "shop.main", 0, "own", "deep", "def main(x): ...", [("x", "int")], [("o0", "int")], {}),
    ]
    names = ["a0", *(f"a{k}" for k in range(1, count))]
    for k, name in enumerate(names):
        parent = "a0" if k else ""
        events.append(ActionStarted(run, name, parent, "task", "shop.main", 0, k, at_ns + k, pack([k]), group="g"))
    if ended:
        for k, name in enumerate(names):
            events.append(ActionEnded(run, name, 1, phase, at_ns + k, at_ns + k + 10, pack([k * k])))
        events.append(RunEnded(run, at_ns + 10**9, phase))
    return events


@pytest.fixture
def record() -> Callable[..., None]:
    """Records events, or a run of so many actions by name, in a journal."""

    def record(journal: Journal, *what: Event | str, **options: object) -> None:
        for item in what:
            for event in events_of_a_run(item, **options) if isinstance(item, str) else [item]:  # type: ignore[arg-type]
                journal.append(encode_event(event))
        journal.flush()

    return record


@pytest.fixture
def start(home: Home) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts another process with a program; `home`, `Journal`, `Store`, `record` and the events are defined in it."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PRELUDE + program, str(home.path), *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def answer(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Runs a program in another process and returns what it printed."""

    def answer(program: str, *arguments: object) -> str:
        process = start(program, *arguments)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    return answer
