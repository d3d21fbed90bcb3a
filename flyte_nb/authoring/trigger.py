"""What starts a task: a schedule, or a new version of an artifact.

Trigger("nightly", Cron("0 2 * * *"), inputs={"when": TriggerTime})
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from zoneinfo import available_timezones

from flyte_nb.authoring.documentation import shortened

if TYPE_CHECKING:
    from flyte_nb.notify import NamedRule, Notification

__all__ = ["Cron", "FixedRate", "OnArtifact", "Trigger", "TriggerTime", "TriggeredArtifact", "TriggeredPartition"]


class _Placeholder:
    """Stands in a trigger's inputs for what is known when it fires."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name


TriggerTime = _Placeholder("TriggerTime")
"""The time at which a schedule fired."""

TriggeredArtifact = _Placeholder("TriggeredArtifact")
"""The artifact whose new version fired."""


@dataclass(frozen=True)
class TriggeredPartition:
    """The value of one partition key of the artifact that fired."""

    key: str

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("TriggeredPartition requires a non-empty partition key")


@dataclass(frozen=True, init=False)
class OnArtifact:
    """Fires on a new version of an artifact.

    Args:
        name: of the artifact.
        version: only this version.
        partitions: only versions with these values of string partitions; keywords are the same.

    Raises:
        ValueError: when the name is empty.
        TypeError: when a partition's value is not a str.
    """

    name: str
    version: str | None = None
    partitions: Mapping[str, str] | None = None

    def __init__(
        self,
        name: str,
        version: str | None = None,
        partitions: Mapping[str, str] | None = None,
        **partition_kwargs: str,
    ) -> None:
        if not name:
            raise ValueError("OnArtifact requires a non-empty artifact name")
        merged = {**(partitions or {}), **partition_kwargs}
        for key, value in merged.items():
            if not isinstance(value, str):
                raise TypeError(
                    f"OnArtifact partition {key!r} must be a string value, got {type(value).__name__}; "
                    "partition triggers match string partitions only"
                )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "version", version)
        object.__setattr__(self, "partitions", merged or None)

    def __str__(self) -> str:
        version = f"@{self.version}" if self.version else ""
        values = ", ".join(f"{key}={value}" for key, value in (self.partitions or {}).items())
        return f"Artifact Trigger: on new version of {self.name}{version}" + (f" [{values}]" if values else "")


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)
_CRON_SHORTHANDS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


@dataclass(frozen=True)
class Cron:
    """Fires when a cron expression says so.

    Args:
        expression: minute, hour, day of month, month, day of week; or `@daily` and the like.
        timezone: name of the time zone in which it is read.

    Raises:
        ValueError: when the expression or the time zone does not exist.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check_cron(self.expression)
        zones = available_timezones()  # empty where the machine has no time zone data
        if self.timezone != "UTC" and zones and self.timezone not in zones:
            raise ValueError(f"Unknown time zone {self.timezone!r}; use a name such as 'Europe/Berlin'.")

    @property
    def timezone_expression(self) -> str:
        """The expression with its time zone, as schedulers read it."""
        return f"CRON_TZ={self.timezone} {self.expression}"

    def __str__(self) -> str:
        return f"Cron Trigger: {self.timezone_expression}"


@dataclass(frozen=True)
class FixedRate:
    """Fires at equal intervals.

    Args:
        interval_minutes: how long from one to the next, at least 1.
        start_time: when the first interval begins; the deployment unless given.

    Raises:
        ValueError: when the interval is not positive.
    """

    interval_minutes: int
    start_time: datetime | None = None

    def __post_init__(self) -> None:
        if self.interval_minutes < 1:
            raise ValueError(f"FixedRate.interval_minutes must be at least 1, got {self.interval_minutes!r}")

    def __str__(self) -> str:
        return f"FixedRate Trigger: every {self.interval_minutes} minutes"


class TriggerSettings(TypedDict, total=False):
    """What `Trigger.hourly` and the like take besides the name; see `Trigger`."""

    description: str
    auto_activate: bool
    inputs: dict[str, Any] | None
    env_vars: dict[str, str] | None
    interruptible: bool | None
    overwrite_cache: bool
    queue: str | None
    max_action_concurrency: int | None
    labels: Mapping[str, str] | None
    annotations: Mapping[str, str] | None
    notifications: NamedRule | Notification | tuple[Notification, ...] | None
    custom_context: Mapping[str, str] | None


@dataclass(frozen=True)
class Trigger:
    """Starts a task by itself.

    Args:
        name: of the trigger, unique within its task.
        automation: when it fires; None for one that is only fired by hand.
        description: at most 255 characters; what is beyond is cut.
        auto_activate: whether deploying it activates it.
        inputs: of the task; `TriggerTime`, `TriggeredArtifact` and `TriggeredPartition(key)` stand for what fired.
        env_vars: environment variables of its runs.
        interruptible: see `TaskEnvironment`.
        overwrite_cache: whether its runs replace cached results.
        queue: see `TaskEnvironment`.
        max_action_concurrency: how many actions of one of its runs may run at once.
        labels: of its runs.
        annotations: of its runs.
        notifications: who hears of its runs.
        custom_context: what its runs hand down.

    Raises:
        ValueError: when the name is empty, or the inputs ask for what the automation does not know.
    """

    name: str
    automation: Cron | FixedRate | OnArtifact | None = None
    description: str = ""
    auto_activate: bool = True
    inputs: dict[str, Any] | None = None
    env_vars: dict[str, str] | None = None
    interruptible: bool | None = None
    overwrite_cache: bool = False
    queue: str | None = None
    max_action_concurrency: int | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    notifications: NamedRule | Notification | tuple[Notification, ...] | None = None
    custom_context: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("Trigger name cannot be empty")
        self._check_inputs(self.inputs or {})
        limit = self.max_action_concurrency
        if limit is not None and (limit < 0 or limit == 1):
            raise ValueError(
                f"max_action_concurrency must be 0 (platform default) or at least 2, got {limit}. A value of 1 would "
                "deadlock the run: the parent action holds a concurrency slot while waiting for its child actions "
                "to run."
            )
        object.__setattr__(self, "description", shortened(self.description))

    def _check_inputs(self, inputs: Mapping[str, Any]) -> None:
        artifacts = sorted(name for name, value in inputs.items() if value is TriggeredArtifact)
        partitions = [name for name, value in inputs.items() if isinstance(value, TriggeredPartition)]
        if len(artifacts) > 1:
            raise ValueError(
                f"Trigger '{self.name}' binds TriggeredArtifact to multiple inputs {artifacts}; "
                "at most one input can receive the triggering artifact."
            )
        for kind, names in (("TriggeredArtifact", artifacts), ("TriggeredPartition", partitions)):
            if names and not isinstance(self.automation, OnArtifact):
                raise ValueError(
                    f"Trigger '{self.name}' binds {kind} to input '{names[0]}' but its automation is not OnArtifact."
                )
        uses_time = any(value is TriggerTime for value in inputs.values())
        if uses_time and not isinstance(self.automation, Cron | FixedRate):
            raise ValueError(
                f"Trigger '{self.name}' uses TriggerTime, "
                "which is only available on schedule (Cron/FixedRate) triggers."
            )

    @classmethod
    def minutely(
        cls, trigger_time_input_key: str | None = None, *, name: str = "minutely", **settings: Unpack[TriggerSettings]
    ) -> Trigger:
        """Fires every minute; see `daily`."""
        settings.setdefault("description", "A trigger that runs every minute")
        return cls._scheduled("* * * * *", trigger_time_input_key, name, settings)

    @classmethod
    def hourly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "hourly", **settings: Unpack[TriggerSettings]
    ) -> Trigger:
        """Fires every hour; see `daily`."""
        settings.setdefault("description", "A trigger that runs every hour")
        return cls._scheduled("0 * * * *", trigger_time_input_key, name, settings)

    @classmethod
    def daily(
        cls, trigger_time_input_key: str | None = None, *, name: str = "daily", **settings: Unpack[TriggerSettings]
    ) -> Trigger:
        """Fires every day at midnight, UTC.

        Args:
            trigger_time_input_key: the input that is given the time.
            name: of the trigger.
            settings: as of the class, other than `automation`.
        """
        settings.setdefault("description", "A trigger that runs daily at midnight")
        return cls._scheduled("0 0 * * *", trigger_time_input_key, name, settings)

    @classmethod
    def weekly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "weekly", **settings: Unpack[TriggerSettings]
    ) -> Trigger:
        """Fires on Sundays at midnight; see `daily`."""
        settings.setdefault("description", "A trigger that runs weekly on Sundays at midnight")
        return cls._scheduled("0 0 * * 0", trigger_time_input_key, name, settings)

    @classmethod
    def monthly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "monthly", **settings: Unpack[TriggerSettings]
    ) -> Trigger:
        """Fires on the first of a month at midnight; see `daily`."""
        settings.setdefault("description", "A trigger that runs monthly on the 1st at midnight")
        return cls._scheduled("0 0 1 * *", trigger_time_input_key, name, settings)

    @classmethod
    def _scheduled(cls, expression: str, time_key: str | None, name: str, settings: TriggerSettings) -> Trigger:
        time_input = {} if time_key is None else {time_key: TriggerTime}
        settings["inputs"] = {**time_input, **(settings.get("inputs") or {})}
        return cls(name, Cron(expression), **settings)


def _check_cron(expression: str) -> None:
    if expression in _CRON_SHORTHANDS or re.fullmatch(r"@every [1-9]\d{0,8}[smhd]", expression):
        return
    parts = expression.split()
    if len(parts) != len(_CRON_FIELDS):
        raise ValueError(
            f"Invalid cron expression {expression!r}: {len(parts)} fields, expected 5 "
            "(minute, hour, day of month, month, day of week), e.g. '0 2 * * *'."
        )
    for part, (name, least, most, words) in zip(parts, _CRON_FIELDS, strict=True):
        if not all(_is_cron_item(item, least, most, words) for item in part.split(",")):
            raise ValueError(f"Invalid cron expression {expression!r}: {part!r} is not a {name} ({least}-{most}).")


def _is_cron_item(item: str, least: int, most: int, words: Mapping[str, int]) -> bool:
    item, slash, step = item.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if item in ("*", "?"):
        return True
    ends = [words.get(end.lower(), int(end) if end.isdecimal() else -1) for end in item.split("-")]
    return len(ends) <= 2 and least <= ends[0] <= ends[-1] <= most
