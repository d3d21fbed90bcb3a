"""What a client's list request asks for, as conditions of a store: filters, order, and the token of a page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flyteidl2.common import list_pb2, phase_pb2

from flyte_nb.store.pages import Condition

__all__ = ["Wanted", "constant", "phase_name", "phase_number", "token_of", "wanted_rows"]

LABELS = "labels."
PHASE_PREFIX = "ACTION_PHASE_"
LARGEST_PAGE = 1_000
TIMES = ("created_at", "updated_at", "deployed_at")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNSORTED = ("labels", "created_by")
Function = list_pb2.Filter.Function
WITH_ORDER = {
    Function.GREATER_THAN: "{column} > ?",
    Function.GREATER_THAN_OR_EQUAL: "{column} >= ?",
    Function.LESS_THAN: "{column} < ?",
    Function.LESS_THAN_OR_EQUAL: "{column} <= ?",
}
OF_TEXT = {
    Function.CONTAINS: "contains({column}, ?)",
    Function.CONTAINS_CASE_INSENSITIVE: "contains(lower({column}), lower(?))",
    Function.ENDS_WITH: "ends_with({column}, ?)",
    Function.NOT_ENDS_WITH: "NOT ends_with({column}, ?)",
}
MEMBERSHIP = {
    Function.VALUE_IN: "list_contains(?, {column})",
    Function.VALUE_NOT_IN: "NOT list_contains(?, {column})",
}
PRESENCE = {Function.EXISTS: "{column} IS NOT NULL", Function.NOT_EXISTS: "{column} IS NULL"}
OF_PHASES = {Function.EQUAL: "{column} = ?", Function.NOT_EQUAL: "{column} <> ?", **MEMBERSHIP, **PRESENCE}
OF_TIMES = OF_PHASES | WITH_ORDER
FUNCTIONS = OF_TIMES | OF_TEXT


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
        ValueError: a filter, an order or a token that there is not.
    """
    if len(request.sort_by_fields) > 1:
        named = ", ".join(one.key for one in request.sort_by_fields)
        raise ValueError(f"Rows are sorted by one field, not by {named}")
    sort = next(iter(request.sort_by_fields), request.sort_by)
    order = sort.key or "created_at"
    if order not in fields or order in UNSORTED:
        raise ValueError(f"Rows cannot be sorted by {order!r}, only by {', '.join(sorted({*fields} - {*UNSORTED}))}")
    if request.raw_filters:
        raise ValueError("raw_filters are not understood: use filters")
    return Wanted(
        [_condition(one, fields) for one in request.filters],
        {
            "order": order,
            "descending": sort.direction == list_pb2.Sort.DESCENDING,
            "after": _position(request.token, order) if request.token else None,
            "limit": min(request.limit or 100, LARGEST_PAGE),
        },
    )


def constant(text: str) -> str:
    """A column that holds the same text in all rows."""
    return "'" + text.replace("'", "''") + "'"


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


def _position(token: str, order: str) -> tuple[Any, str]:
    try:
        value, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        value, name = None, None
    fits = type(value) is int and value.bit_length() < 64 if order in TIMES else isinstance(value, str)
    if not fits or not isinstance(name, str):
        raise ValueError(
            f"{token[:80]!r} is no token of a page in the order of {order}: take the one that came with the page before"
        )
    return value, name


def _condition(wanted: list_pb2.Filter, fields: Mapping[str, str]) -> Condition:
    column, before = _column(wanted.field, fields)
    functions = OF_PHASES if wanted.field == "phase" else OF_TIMES if wanted.field in TIMES else FUNCTIONS
    if wanted.function not in functions:
        known = ", ".join(sorted(map(Function.Name, functions)))
        raise ValueError(f"{wanted.field!r} cannot be filtered by {_name_of(wanted.function)}, only by {known}")
    text = functions[wanted.function].format(column=column)
    if wanted.function in PRESENCE:
        return text, before
    values = _values(wanted)
    if wanted.function in MEMBERSHIP:
        return text, [values, *before]
    if len(values) != 1:
        raise ValueError(f"The filter of {wanted.field!r} compares with one value, not with {len(values)}")
    return text, [*before, values[0]]


def _name_of(function: int) -> str:
    return str(Function.Name(function)) if function in Function.values() else f"function {function}"


def _column(field: str, fields: Mapping[str, str]) -> tuple[str, list[Any]]:
    if field.startswith(LABELS) and "labels" in fields:
        return "labels[?]", [field.removeprefix(LABELS)]
    if field not in fields or field == "labels":
        known = ", ".join(sorted("labels.KEY" if one == "labels" else one for one in fields))
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
        return phase_name(int(text)) if text.isdecimal() else phase_name(phase_number(text.removeprefix(PHASE_PREFIX)))
    except ValueError:
        raise ValueError(f"{text!r} is no phase") from None


def _nanoseconds(field: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{field} is compared with {text!r}, which is no ISO 8601 time") from None
    since = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - EPOCH
    return since // timedelta(microseconds=1) * 1_000
