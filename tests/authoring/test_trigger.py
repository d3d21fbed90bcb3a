"""Schedules and triggers."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from flyte_nb.authoring.trigger import (
    Cron,
    FixedRate,
    OnArtifact,
    Trigger,
    TriggeredArtifact,
    TriggeredPartition,
    TriggerTime,
)

EVERY_MINUTE = Cron("* * * * *")


@pytest.mark.parametrize(
    "expression",
    ["0 * * * *", "*/5 0-6,12 1,15 jan-MAR mon", "0 2 ? * 7", "@daily", "@every 5m", "0 0 1-31/2 * *"],
)
def test_a_cron_expression_is_read(expression: str) -> None:
    assert Cron(expression).timezone_expression == f"CRON_TZ=UTC {expression}"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "0 fields, expected 5"),
        ("* * * *", "4 fields, expected 5"),
        ("* * * * * *", "6 fields, expected 5"),
        ("60 * * * *", "'60' is not a minute (0-59)"),
        ("* 24 * * *", "'24' is not a hour (0-23)"),
        ("* * 0 * *", "'0' is not a day of month (1-31)"),
        ("* * * foo *", "'foo' is not a month (1-12)"),
        ("* * * * 8", "'8' is not a day of week (0-7)"),
        ("5-1 * * * *", "'5-1' is not a minute"),
        ("*/0 * * * *", "'*/0' is not a minute"),
        ("*/ * * * *", "'*/' is not a minute"),
        ("1,,2 * * * *", "'1,,2' is not a minute"),
        ("@sometimes", "1 fields"),
    ],
)
def test_a_cron_expression_that_means_nothing_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match="Invalid cron expression") as raised:
        Cron(expression)
    assert message in str(raised.value)


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    assert str(Cron("0 0 * * *", "Europe/Berlin")) == "Cron Trigger: CRON_TZ=Europe/Berlin 0 0 * * *"
    with pytest.raises(ValueError, match="Unknown time zone 'Mars/Base'"):
        Cron("0 0 * * *", "Mars/Base")


def test_a_fixed_rate_is_at_least_a_minute() -> None:
    assert str(FixedRate(3)) == "FixedRate Trigger: every 3 minutes"
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        FixedRate(0)


def test_an_artifact_may_be_narrowed_down_by_string_partitions() -> None:
    trigger = OnArtifact("events", "1", {"day": "mon"}, region="us")
    assert str(trigger) == "Artifact Trigger: on new version of events@1 [day=mon, region=us]"
    assert OnArtifact("events").partitions is None
    with pytest.raises(ValueError, match="non-empty artifact name"):
        OnArtifact("")
    with pytest.raises(TypeError, match="partition 'day' must be a string value, got int"):
        OnArtifact("events", day=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="non-empty partition key"):
        TriggeredPartition("")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": ""}, "Trigger name cannot be empty"),
        ({"max_action_concurrency": 1}, "must be 0 (platform default) or at least 2, got 1"),
        ({"max_action_concurrency": -1}, "must be 0 (platform default) or at least 2, got -1"),
        ({"inputs": {"a": TriggerTime}}, "TriggerTime, which is only available on schedule"),
        (
            {"inputs": {"a": TriggeredArtifact}, "automation": EVERY_MINUTE},
            "input 'a' but its automation is not OnArtifact",
        ),
        (
            {"inputs": {"a": TriggeredPartition("k")}, "automation": EVERY_MINUTE},
            "TriggeredPartition to input 'a' but its automation is not OnArtifact",
        ),
        (
            {"inputs": {"b": TriggeredArtifact, "a": TriggeredArtifact}, "automation": OnArtifact("x")},
            "multiple inputs ['a', 'b']",
        ),
    ],
)
def test_an_impossible_trigger_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Trigger(**{"name": "t", **settings})


@pytest.mark.parametrize(
    ("make", "name", "expression"),
    [
        (Trigger.minutely, "minutely", "* * * * *"),
        (Trigger.hourly, "hourly", "0 * * * *"),
        (Trigger.daily, "daily", "0 0 * * *"),
        (Trigger.weekly, "weekly", "0 0 * * 0"),
        (Trigger.monthly, "monthly", "0 0 1 * *"),
    ],
)
def test_common_schedules(make: Any, name: str, expression: str) -> None:
    trigger = make("when", inputs={"x": 1}, queue="q")
    assert (trigger.name, trigger.automation, trigger.queue) == (name, Cron(expression), "q")
    assert trigger.inputs == {"when": TriggerTime, "x": 1}
    assert trigger.description.startswith("A trigger that runs ")
    assert make(name="own").inputs == {}


def test_an_unknown_setting_of_a_schedule_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'bogus'"):
        Trigger.hourly(bogus=1)  # type: ignore[call-arg]


def test_placeholders_stay_themselves() -> None:
    assert pickle.loads(pickle.dumps(TriggerTime)) is TriggerTime
    assert repr(TriggeredArtifact) == "TriggeredArtifact"
    assert len(Trigger("t", description="x" * 300).description) == 255
