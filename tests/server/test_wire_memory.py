"""What the server tells again without reading it anew, and when it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flyteidl2.workflow import run_definition_pb2

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.server.wire.memory import Memory
from flyte_nb.store.home import Home
from flyte_nb.store.pages import list_actions, list_root_actions, listed_row
from flyte_nb.store.queries import Store
from tests.server import wire_tasks

Details = run_definition_pb2.ActionDetails


@pytest.fixture
def home(flyte_nb_home: Path) -> Home:
    """A store with a run in it, that nobody writes."""
    flyte.with_runcontext(name="adds", labels={"team": "x"}).run(wire_tasks.total, n=2)
    end_session()
    home = Home(flyte_nb_home)
    store = Store.open(home)
    store.runs()
    store.close()  # the journal of what has ended is gone, too
    return home


env = flyte.TaskEnvironment("memory")


@env.task(retries=1)
async def twice(x: int) -> int:
    raise ValueError(x)


class Reading:
    """Counts how often something was read."""

    def __init__(self, ended_ns: int | None) -> None:
        self.times = 0
        self._ended_ns = ended_ns

    def __call__(self) -> Details:
        self.times += 1
        details = Details()
        if self._ended_ns is not None:
            details.status.end_time.FromNanoseconds(self._ended_ns)
        return details


def record(store: Store) -> None:
    flyte.run(wire_tasks.square, x=1)
    end_session()


def label(store: Store) -> None:
    store.label("adds", {"team": "y"})


def retry(store: Store) -> None:
    with pytest.raises(flyte.errors.RuntimeUserError):
        flyte.run(twice, x=1)
    end_session()


@pytest.mark.parametrize(
    ("ended_ns", "happens", "times"),
    [(None, record, 2), (1, record, 1), (1, label, 2), (1, retry, 2)],
    ids=["what goes on is read anew", "what is over is not", "but when a run is labelled", "or something tried again"],
)
def test_details_are_told_again_as_long_as_they_hold(
    home: Home, ended_ns: int | None, happens: Callable[[Store], None], times: int
) -> None:
    memory, read = Memory(home), Reading(ended_ns)
    memory.details("key", read)
    memory.details("key", read)
    assert read.times == 1
    happens(Store.open(home))
    memory.details("key", read)
    assert read.times == times


def test_only_what_is_over_is_told_without_a_look_and_not_for_long(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(home)
    ended, going_on = memory.details("ended", Reading(1)), memory.details("going on", Reading(None))
    assert memory.settled("ended") is ended
    assert going_on is not None and memory.settled("going on") is None
    monkeypatch.setattr("flyte_nb.server.wire.memory.STALE_SECONDS", -1.0)
    assert memory.settled("ended") is None


def test_a_row_made_of_what_was_read_is_the_one_that_is_listed(home: Home) -> None:
    with pytest.raises(flyte.errors.RuntimeUserError):
        flyte.with_runcontext(name="fails").run(wire_tasks.failing, x=1)
    flyte.rerun("adds")
    end_session()
    store = Store.open(home)
    for run in store.runs():
        tasks = {task.spec: task for task in store.tasks(run.name)}
        (root,) = list_root_actions(home, [("run = ?", [run.name])]).rows
        listed = {row.name: row for row in list_actions(home, run.name, limit=None).rows} | {root.name: root}
        for action in store.actions(run.name):
            task = tasks[action.spec] if action.kind == "task" else None
            assert listed_row(run, action, task) == listed[action.name]
