"""Triggers of deployed tasks: listed, changed, and fired by a loop whose clock the tests turn."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.remote import Run, Trigger
from flyte_nb.remote.source import source
from flyte_nb.remote.trigger import next_times
from flyte_nb.remote.triggers import trigger_loop
from flyte_nb.remote.triggers.schedule import due_times
from flyte_nb.remote.triggers.trigger_loop import LOCK, TriggerLoop
from flyte_nb.store.locks import FileLock, is_locked
from flyte_nb.store.rows import TriggerRow
from tests.processes import until
from tests.remote import deployed_tasks as tasks

NIGHTLY, OFTEN = {"name": "nightly", "task_name": "train.tidy"}, {"name": "often", "task_name": "train.tidy"}


class Clock:
    """A clock that stands still until it is turned, and a loop that hears of it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.fired: list[tuple[str, datetime]] = []
        self.failure: Exception | None = None
        self.loop = TriggerLoop(lambda: self.now, self.fire)

    def fire(self, row: TriggerRow, due: datetime) -> str:
        if self.failure is not None:
            raise self.failure
        self.fired.append((row.name, due))
        return f"run-{len(self.fired)}"

    def turn(self, **by: float) -> list[str]:
        """What fires when so much time has passed."""
        self.now += timedelta(**by)
        before = len(self.fired)
        self.loop.tick()
        return [name for name, _ in self.fired[before:]]


@pytest.fixture
def clock() -> Clock:
    flyte.deploy(tasks.env, version="v1")
    return Clock()


def cron(expression: str, timezone: str, after: datetime, count: int) -> list[str]:
    automation = {"kind": "cron", "expression": expression, "timezone": timezone}
    return [f"{due:%m-%d %H:%M}" for due in islice(due_times(automation, after, after), count)]


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "expected"),
    [
        ("30 2 * * *", "UTC", (2026, 1, 30), ["01-30 02:30", "01-31 02:30", "02-01 02:30"]),
        ("*/20 9-10 * * mon-fri", "UTC", (2026, 1, 30, 10, 30), ["01-30 10:40", "02-02 09:00", "02-02 09:20"]),
        ("0 0 13 * fri", "UTC", (2026, 2, 1), ["02-06 00:00", "02-13 00:00", "02-20 00:00"]),
        ("0 0 29 2 *", "UTC", (2026, 1, 1), ["02-29 00:00", "02-29 00:00"]),
        ("0 0 30 2 *", "UTC", (2026, 1, 1), []),
        ("@monthly", "UTC", (2026, 1, 1), ["02-01 00:00", "03-01 00:00"]),
        ("0 9 * * *", "America/New_York", (2026, 3, 7), ["03-07 14:00", "03-08 13:00"]),
        ("30 2 * * *", "Europe/Berlin", (2026, 3, 28), ["03-28 01:30", "03-29 01:30", "03-30 00:30"]),
        ("30 2 * * *", "Europe/Berlin", (2026, 10, 24, 12), ["10-25 00:30", "10-26 01:30"]),
        ("0 * * * *", "Europe/Berlin", (2026, 10, 24, 23, 30), ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("0 0 * * 7", "UTC", (2026, 2, 1, 1), ["02-08 00:00", "02-15 00:00"]),
    ],
)
def test_a_cron_expression_is_due_on_the_clock_of_its_time_zone(
    expression: str, timezone: str, after: tuple[int, ...], expected: list[str]
) -> None:
    count = max(1, len(expected))
    assert cron(expression, timezone, datetime(*after, tzinfo=UTC), count) == expected  # type: ignore[arg-type,misc]


def test_a_fixed_rate_is_due_at_the_end_of_each_interval() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rate: dict[str, Any] = {"kind": "rate", "interval_minutes": 10, "start_ns": None}
    times = islice(due_times(rate, start, start + timedelta(minutes=25)), 2)
    assert [due - start for due in times] == [timedelta(minutes=30), timedelta(minutes=40)]


def test_a_rate_ends_with_the_calendar() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rate: dict[str, Any] = {"kind": "rate", "interval_minutes": 2**31, "start_ns": None}
    assert [due.year for due in due_times(rate, start, start)] == [6109]


def test_deployed_triggers_are_listed_with_the_next_times(clock: Clock) -> None:
    nightly, often = Trigger.listall(task_name="train.tidy")
    assert (nightly.name, nightly.task_version, nightly.is_active) == ("nightly", "v1", True)
    assert len(nightly.next_times) == 5 and often.next_times == []
    assert "cron: 30 2 * * * (Europe/Berlin)\nnext: " in repr(nightly) and "paused  every 10 minutes" in repr(often)
    assert list(Trigger.listall(task_name="base.load")) == []
    told = json.loads(nightly.to_json())
    assert (told["active"], told["last_run"], len(told["next_times"])) == (True, None, 5)
    Trigger.update(**NIGHTLY, active=False)
    assert nightly.is_active and not nightly.get_details().is_active
    with pytest.raises(KeyError, match=r"No trigger of task train\.tidy is named 'nightl'; did you mean nightly"):
        Trigger.get(name="nightl", task_name="train.tidy")


def test_what_is_due_fires_once_with_its_inputs(clock: Clock) -> None:
    loop = TriggerLoop(lambda: clock.now)
    clock.now = due = next_times(Trigger.get(**NIGHTLY).row, 1)[0]
    loop.tick()
    fired = Trigger.get(**NIGHTLY)
    assert fired.last_run is not None
    run = Run.get(fired.last_run)
    run.wait()
    assert run.outputs()[0] == f"{due:%Y-%m-%d %H:%M} 3"
    assert run.labels == {"team": "red", "trigger": "nightly"}
    loop.tick()
    assert Trigger.get(**NIGHTLY).last_run == run.name


def test_of_missed_ones_the_last_counts_once(clock: Clock) -> None:
    assert clock.turn(days=3) == ["nightly"]
    assert clock.now - clock.fired[0][1] < timedelta(days=1)
    assert clock.turn(minutes=1) == []
    assert clock.turn(days=1) == ["nightly"]


def test_what_was_due_while_it_was_paused_is_not_made_up_for(clock: Clock) -> None:
    Trigger.update(**NIGHTLY, active=False)
    assert clock.turn(days=2) == []
    Trigger.update(**NIGHTLY, active=True)
    clock.now = datetime.now(UTC)
    assert clock.turn() == []
    Trigger.update(**OFTEN, active=True)
    clock.now = datetime.now(UTC)
    assert "often" in clock.turn(minutes=11)


def test_one_that_cannot_start_its_run_says_why_and_the_others_fire(clock: Clock) -> None:
    clock.failure = ValueError("no room")
    assert clock.turn(days=1) == []
    row = source.trigger("train.tidy", "nightly")
    assert (row.fired_run, row.fired_error) == ("", "ValueError: no room")
    clock.failure = None
    assert clock.turn(days=1) == ["nightly"]


def test_a_deleted_trigger_is_gone_until_it_is_made_again(clock: Clock) -> None:
    Trigger.delete(**NIGHTLY)
    assert [trigger.name for trigger in Trigger.listall()] == ["often"]
    assert clock.turn(days=1) == []
    Trigger.create(flyte.Trigger.hourly("when", name="nightly"), "train.tidy")
    assert Trigger.get(**NIGHTLY).automation_spec["expression"] == "0 * * * *"


def test_one_process_fires_the_triggers_of_a_store_and_another_takes_over(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_loop, "LOOK_SECONDS", 0.01)
    clock.now += timedelta(days=1)
    lock = source.store.home.path / LOCK
    first = TriggerLoop()
    threads = [threading.Thread(target=loop.run) for loop in (first, clock.loop)]
    threads[0].start()
    until(lambda: is_locked(lock))
    threads[1].start()
    until(lambda: "Another process fires the triggers" in caplog.text)
    assert clock.fired == []
    first.stop()
    threads[0].join()
    until(lambda: bool(clock.fired))
    clock.loop.stop()
    threads[1].join()
    assert not is_locked(lock)


def test_one_that_waits_for_its_turn_can_be_stopped(clock: Clock) -> None:
    lock = FileLock(source.store.home.ensure().path / LOCK)
    assert lock.try_exclusive()
    clock.loop.stop()
    clock.loop.run()
    assert clock.fired == []
    lock.close()


def test_a_clock_that_goes_back_fires_nothing_twice(clock: Clock) -> None:
    clock.now = next_times(Trigger.get(**NIGHTLY).row, 1)[0]
    assert clock.turn() == ["nightly"]
    assert clock.turn(minutes=-30) == [] and clock.turn(minutes=30) == []
