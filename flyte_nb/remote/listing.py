"""What Flyte's `listall` functions are asked with: times and order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["TimeFilter", "backend_filters", "is_newest_first"]

BACKEND_FILTERS = frozenset(
    {"task_version", "created_by_subject", "project", "domain", "updated_at", "paused_actions_only"}
)
"""Flyte's filters of runs that only a backend has an answer to."""


@dataclass(frozen=True)
class TimeFilter:
    """From a time on, up to a time; UTC, as are times without a zone."""

    after: datetime | None = None
    before: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether a time is in it: not before its start, and before its end."""
        return not (self.after and at < _utc(self.after)) and not (self.before and at >= _utc(self.before))

    def in_utc(self) -> TimeFilter:
        """The same with the zone said."""
        return TimeFilter(self.after and _utc(self.after), self.before and _utc(self.before))


def is_newest_first(
    sort_by: tuple[str, str] | None, listed: str, fields: tuple[str, ...] = ("created_at",), default: bool = False
) -> bool:
    """Whether a list starts with the newest.

    Args:
        sort_by: field and direction, as Flyte's.
        listed: what is listed, for the message.
        fields: those that stand for the time at which something came to be.
        default: without `sort_by`.

    Raises:
        ValueError: there is no such field or direction.
    """
    if sort_by is None:
        return default
    field, direction = sort_by
    if field not in fields:
        raise ValueError(f"{listed} are sorted by {fields[0]}, not by {field!r}")
    if direction not in ("asc", "desc"):
        raise ValueError(f"sort_by takes ({fields[0]!r}, 'asc' or 'desc'), got {sort_by!r}")
    return direction == "desc"


def backend_filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those filters of `Run.listall` that only a backend has an answer to and that say something.

    Raises:
        TypeError: one is none of Flyte's.
    """
    if unknown := sorted(set(given) - BACKEND_FILTERS):
        raise TypeError(f"Run.listall() got unexpected parameters: {', '.join(unknown)}")
    return {name: value for name, value in given.items() if value not in (None, False)}


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
