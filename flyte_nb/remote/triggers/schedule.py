"""When a schedule is due: cron expressions in their time zones, and fixed rates.

A cron expression is read on the clock of its time zone. A time that the clock skips (in spring) is due as much later as
it skips. One that it shows twice (in autumn) is due the first time, so that what is due daily is due once each day;
where the hours are `*` it is due both times, so that what is due hourly is due each hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

__all__ = ["due_times"]

SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EVERY_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES_OF_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: number for number, name in enumerate(NAMES_OF_MONTHS, 1)}
WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
WORDS: tuple[Mapping[str, int], ...] = ({}, {}, {}, MONTHS, WEEKDAYS)
DAYS_AHEAD = 366 * 8 + 2
"""Within so many days every date comes that ever does: 29 February, too."""


def due_times(automation: Mapping[str, Any], deployed: datetime, after: datetime) -> Iterator[datetime]:
    """The times, UTC, at which a schedule is due, in order; none for what is no schedule.

    Args:
        automation: as it is recorded, see `flyte_nb.store.deployment_events.TriggerDeployed`.
        deployed: when it became active: from when on a rate without a start counts, and before it where `after` is
            earlier, for then the clock was ahead.
        after: only later times.
    """
    if automation["kind"] == "rate":
        start_ns, interval = automation["start_ns"], timedelta(minutes=automation["interval_minutes"])
        if start_ns is None:
            return _rate(deployed, interval, after)
        start = datetime.fromtimestamp(start_ns / 1e9, UTC)
        return _rate(start, interval, max(start, after))
    if automation["kind"] != "cron":
        return iter(())
    expression = automation["expression"]
    if expression.startswith("@every "):
        every = expression.removeprefix("@every ")
        return _rate(deployed, timedelta(seconds=int(every[:-1]) * EVERY_SECONDS[every[-1]]), after)
    return _cron(SHORTHANDS.get(expression, expression), ZoneInfo(automation["timezone"]), after)


def _rate(start: datetime, interval: timedelta, after: datetime) -> Iterator[datetime]:
    """The ends of intervals, of which one begins at the start, to the end of the calendar."""
    number = (after - start) // interval + 1
    with suppress(OverflowError):
        while True:
            yield start + number * interval
            number += 1


def _cron(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    fields = expression.split()
    minutes, hours, days, months, weekdays = (
        _numbers(field, *limits, words) for field, limits, words in zip(fields, LIMITS, WORDS, strict=True)
    )
    either_day = "*" not in fields[2][:1] + fields[4][:1] and "?" not in fields[2] + fields[4]
    folds = (0, 1) if fields[1].startswith("*") else (0,)
    latest = after
    first = after.astimezone(zone).date()
    for day in (first + timedelta(days=ahead) for ahead in islice(range(-1, 1 << 30), DAYS_AHEAD)):
        fits = [day.day in days, (day.isoweekday() % 7) in weekdays]
        if day.month not in months or not (any(fits) if either_day else all(fits)):
            continue
        local = [datetime(day.year, day.month, day.day, hour, minute) for hour in hours for minute in minutes]
        shown = [moment.replace(tzinfo=zone, fold=fold) for moment in local for fold in folds]
        for due in sorted({moment.astimezone(UTC) for moment in shown}):
            if due > latest:
                yield due
                latest = due


def _numbers(field: str, least: int, most: int, words: Mapping[str, int]) -> list[int]:
    """The numbers that a field of a cron expression stands for, in order."""
    numbers: set[int] = set()
    for item in field.lower().split(","):
        item, slash, step = item.partition("/")
        if item in ("*", "?"):
            start, end = least, most
        else:
            ends = [words[end] if end in words else int(end) for end in item.split("-")]
            start, end = ends[0], ends[-1] if len(ends) > 1 or not slash else most
        numbers.update(range(start, end + 1, int(step) if slash else 1))
    return sorted({0 if words is WEEKDAYS and number == 7 else number for number in numbers})
