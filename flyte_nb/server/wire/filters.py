"""What a client's list request asks for, as conditions of a store: filters, order, and the token of a page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from flyteidl2.common import list_pb2, phase_pb2

from flyte_nb.store.pages import Condition

__all__ = ["Wanted", "phase_name", "phase_number", "token_of", "wanted_rows"]

LABELS = "labels."
PHASE_PREFIX = "ACTION_PHASE_"
LARGEST_PAGE = 1_000
TIMES = ("created_at", "updated_at", "deployed_at")
COMPARISONS = {
    list_pb2.Filter.EQUAL: "{column} = ?",
    list_pb2.Filter.NOT_EQUAL: "{column} <> ?",
    list_pb2.Filter.GREATER_THAN: "{column} > ?",
    list_pb2.Filter.GREATER_THAN_OR_EQUAL: "{column} >= ?",
    list_pb2.Filter.LESS_THAN: "{column} < ?",
    list_pb2.Filter.LESS_THAN_OR_EQUAL: "{column} <= ?",
    list_pb2.Filter.CONTAINS: "contains({column}, ?)",
    list_pb2.Filter.CONTAINS_CASE_INSENSITIVE: "contains(lower({column}), lower(?))",
    list_pb2.Filter.ENDS_WITH: "ends_with({column}, ?)",
    list_pb2.Filter.NOT_ENDS_WITH: "NOT ends_with({column}, ?)",
}
MEMBERSHIP = {
    list_pb2.Filter.VALUE_IN: "list_contains(?, {column})",
    list_pb2.Filter.VALUE_NOT_IN: "NOT list_contains(?, {column})",
}
PRESENCE = {list_pb2.Filter.EXISTS: "{column} IS NOT NULL", list_pb2.Filter.NOT_EXISTS: "{column} IS NULL"}


KINDS = {"1": "task", "2": "trace", "3": "condition"}
"""Flyte's numbers of the types of actions."""


class Wanted(NamedTuple):
    """A list request: `list_actions(home, run, wanted.conditions, **wanted.page)`."""

    conditions: list[Condition]
    page: dict[str, Any]


def wanted_rows(request: list_pb2.ListRequest, fields: Mapping[str, str]) -> Wanted:
    """What a list request asks for.

    Args:
        request: the request.
        fields: what there is to filter and sort by, and the column that holds it.

    Raises:
        ValueError: a filter, an order, a limit or a token that there is not.
    """
    sort = request.sort_by if request.HasField("sort_by") else list_pb2.Sort()
    order = sort.key or "created_at"
    if order not in fields or order == "labels":
        raise ValueError(f"Rows cannot be sorted by {order!r}, only by {', '.join(sorted({*fields} - {'labels'}))}")
    if request.raw_filters:
        raise ValueError("raw_filters are not understood: use filters")
    return Wanted(
        [_condition(one, fields) for one in request.filters],
        {
            "order": order,
            "descending": sort.direction == list_pb2.Sort.DESCENDING,
            "after": _position(request.token) if request.token else None,
            "limit": min(request.limit or 100, LARGEST_PAGE),
        },
    )


def token_of(cursor: tuple[Any, str] | None) -> str:
    """The token by which the next page is asked for; empty behind the last."""
    return "" if cursor is None else base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()


def phase_number(phase: str) -> int:
    """Flyte's number of a phase."""
    return int(phase_pb2.ActionPhase.Value(PHASE_PREFIX + phase.upper()))


def phase_name(number: int) -> str:
    """The phase of Flyte's number.

    Raises:
        ValueError: there is none.
    """
    return str(phase_pb2.ActionPhase.Name(number)).removeprefix(PHASE_PREFIX).lower()


def _position(token: str) -> tuple[Any, str]:
    try:
        value, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise ValueError(f"{token[:80]!r} is no token of a page: take the one that came with the page before") from None
    if not isinstance(value, str | int) or not isinstance(name, str):
        raise ValueError(f"{token[:80]!r} is no token of a page: take the one that came with the page before")
    return value, name


def _condition(wanted: list_pb2.Filter, fields: Mapping[str, str]) -> Condition:
    column, before = _column(wanted.field, fields)
    values = _values(wanted)
    if wanted.function in PRESENCE:
        return PRESENCE[wanted.function].format(column=column), before
    if wanted.function in MEMBERSHIP:
        return MEMBERSHIP[wanted.function].format(column=column), [values, *before]
    if wanted.function not in COMPARISONS:
        raise ValueError(f"The filter of {wanted.field!r} compares in a way ({wanted.function}) that is not known here")
    if len(values) != 1:
        raise ValueError(f"The filter of {wanted.field!r} compares with one value, not with {len(values)}")
    return COMPARISONS[wanted.function].format(column=column), [*before, values[0]]


def _column(field: str, fields: Mapping[str, str]) -> tuple[str, list[Any]]:
    if field.startswith(LABELS) and "labels" in fields:
        return "labels[?]", [field.removeprefix(LABELS)]
    if field not in fields:
        known = ", ".join(sorted({*fields, "labels.KEY"} if "labels" in fields else fields))
        raise ValueError(f"Rows cannot be filtered by {field!r}, only by {known}")
    return fields[field], []


def _values(wanted: list_pb2.Filter) -> list[Any]:
    values = list(wanted.values)
    if wanted.field == "phase":
        if wanted.function not in MEMBERSHIP:
            values = ["".join(values)]  # of one phase the official client sends each digit of the number by itself
        return [_phase(value) for value in values]
    if wanted.field == "action_type":
        return [KINDS.get(value, value) for value in values]
    return [_nanoseconds(wanted.field, value) if wanted.field in TIMES else value for value in values]


def _phase(text: str) -> str:
    try:
        return phase_name(int(text)) if text.isdecimal() else phase_name(phase_number(text))
    except ValueError:
        raise ValueError(f"{text!r} is no phase") from None


def _nanoseconds(field: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{field} is compared with {text!r}, which is no ISO 8601 time") from None
    return int(at.timestamp() * 1_000_000) * 1_000
