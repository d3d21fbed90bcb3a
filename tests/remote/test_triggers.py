"""Triggers of deployed tasks: listed, changed, and fired by a loop whose clock the tests turn."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.errors import DeploymentError
from flyte_nb.models import ActionPhase
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
from tests.server.webhook import Webhook

NIGHTLY, OFTEN = {"name": "nightly", "task_name": "train.tidy"}, {"name": "often", "task_name": "train.tidy"}

KILLED = """
import os, signal, sys
from datetime import datetime
from flyte_nb.remote.triggers.trigger_loop import TriggerLoop, start_run_of

def fire(row, due):
    start_run_of(row, due)
    os.kill(os.getpid(), signal.SIGKILL)

TriggerLoop(lambda: datetime.fromisoformat(sys.argv[1]), fire).tick()
"""
"""A server that is killed between the start of a triggered run and the record that the trigger fired."""


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
    assert run.labels == {"team": "red", "trigger": "nightly", "trigger_time": f"{due:%Y%m%dT%H%M%S.%fZ}"}
    loop.tick()
    assert Trigger.get(**NIGHTLY).last_run == run.name


def test_a_trigger_is_fired_by_hand_with_its_inputs_and_settings_or_others(clock: Clock) -> None:
    nightly = Trigger.get(**NIGHTLY)
    before = datetime.now(UTC)
    run = flyte.run(nightly, count=5)
    when, _, count = run.outputs()[0].rpartition(" ")
    assert count == "5" and before - timedelta(minutes=1) < datetime.strptime(f"{when}Z", "%Y-%m-%d %H:%M%z")
    assert run.labels == {"team": "red", "trigger": "nightly"}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    other = flyte.with_runcontext(name="by-hand", labels={"team": "blue", "why": "test"}).start(nightly, when=at)
    assert (other.name, other.outputs()[0]) == ("by-hand", "2026-01-02 00:00 3")
    assert other.labels == {"team": "blue", "trigger": "nightly", "why": "test"}
    assert asyncio.run(flyte.run.aio(Trigger.get(**OFTEN))).outputs()[0] == "2020-01-01 00:00 1"
    assert nightly.get_details().last_run is None


@pytest.mark.parametrize(
    ("args", "inputs", "says"),
    [
        ((3,), {}, "Inputs of trigger nightly are given by name"),
        ((), {"cuont": 3}, "Trigger nightly is given unknown inputs: cuont. train.tidy takes when, count."),
        ((), {"count": "many"}, "count"),
    ],
)
def test_inputs_that_do_not_fit_a_trigger_are_one_error(
    clock: Clock, args: tuple[Any, ...], inputs: dict[str, Any], says: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        flyte.run(Trigger.get(**NIGHTLY), *args, **inputs)
    assert list(Run.listall()) == []


def test_the_notifications_of_a_trigger_are_sent_when_its_runs_end(clock: Clock) -> None:
    done = ActionPhase.SUCCEEDED
    with Webhook() as webhook:
        hook = flyte.notify.Webhook(on_phase=done, url=webhook.url, body={"ended": "{{.Run.Name}}"})
        told = (hook, flyte.notify.Slack(on_phase=(ActionPhase.FAILED, done), webhook_url=webhook.url, message="over"))
        Trigger.create(flyte.Trigger("told", flyte.FixedRate(10), notifications=told), "train.tidy")
        clock.now = next_times(Trigger.get(name="told", task_name="train.tidy").row, 1)[0]
        TriggerLoop(lambda: clock.now).tick()
        webhook.handle_request()
        webhook.handle_request()
    ended = {"ended": Trigger.get(name="told", task_name="train.tidy").last_run}
    assert sorted(webhook.told, key=str) == [ended, {"text": "over"}]
    with pytest.raises(DeploymentError, match=r"Trigger told of task train\.tidy: notifications must be .* got 'me'"):
        Trigger.create(flyte.Trigger("told", notifications="me"), "train.tidy")  # type: ignore[arg-type]


def test_a_notification_that_another_process_cannot_read_is_refused(clock: Clock) -> None:
    class Pager(flyte.notify.Webhook):
        """Of a class that only this process has."""

    pager = Pager(on_phase=ActionPhase.FAILED, url="http://127.0.0.1:9")
    with pytest.raises(DeploymentError, match=r"Trigger told of task train\.tidy: its notifications must be of"):
        Trigger.create(flyte.Trigger("told", notifications=pager), "train.tidy")


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


def test_a_time_fires_once_though_its_process_is_killed_before_that_is_recorded(clock: Clock) -> None:
    clock.now = next_times(Trigger.get(**NIGHTLY).row, 1)[0]
    killed = subprocess.run([sys.executable, "-c", KILLED, clock.now.isoformat()], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert Trigger.get(**NIGHTLY).last_run is None
    (run,) = Run.listall(with_labels={"trigger": "nightly"})
    TriggerLoop(lambda: clock.now).tick()
    assert Trigger.get(**NIGHTLY).last_run == run.name
    clock.now = next_times(Trigger.get(**NIGHTLY).row, 1, clock.now)[0]
    TriggerLoop(lambda: clock.now).tick()
    assert [one.name for one in Run.listall(with_labels={"trigger": "nightly"})] == [
        Trigger.get(**NIGHTLY).last_run,
        run.name,
    ]


def test_a_clock_that_was_years_ahead_and_is_set_right_fires_from_then_on(clock: Clock) -> None:
    Trigger.update(**OFTEN, active=True)
    clock.now = datetime.now(UTC)
    assert clock.turn(days=3650) == ["nightly", "often"]
    clock.now -= timedelta(days=3650)
    assert clock.turn() == []
    assert clock.turn(minutes=11) == ["often"] and clock.turn(days=1) == ["nightly", "often"]
    assert clock.turn() == []
    Trigger.update(**OFTEN, active=False)
    assert clock.turn(days=1) == ["nightly"]
    again = TriggerLoop(lambda: clock.now, clock.fire)
    again.tick()
    clock.now += timedelta(days=1)
    again.tick()
    assert [name for name, _ in clock.fired].count("nightly") == 4
    assert len(set(clock.fired)) == len(clock.fired)


def test_what_is_deployed_after_a_clock_that_was_ahead_holds(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead_ns = time.time_ns() + 10**18
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: ahead_ns)
        Trigger.create(flyte.Trigger("rare", flyte.FixedRate(10)), "train.tidy")
        flyte.deploy(tasks.env, version="v2")
    flyte.deploy(tasks.env, version="v3")
    assert flyte.remote.Task.get("train.tidy", auto_version="latest").fetch().version == "v3"
    assert Trigger.get(**NIGHTLY).task_version == "v3"
    assert clock.turn() == [] and clock.turn(minutes=10) == ["rare"]
    Trigger.update("rare", "train.tidy", active=False)
    assert not Trigger.get(name="rare", task_name="train.tidy").is_active
    Trigger.delete("rare", "train.tidy")
    assert [trigger.name for trigger in Trigger.listall()] == ["nightly", "often"]


def test_a_clock_that_goes_back_fires_nothing_twice(clock: Clock) -> None:
    clock.now = next_times(Trigger.get(**NIGHTLY).row, 1)[0]
    assert clock.turn() == ["nightly"]
    assert clock.turn(minutes=-30) == [] and clock.turn(minutes=30) == []
