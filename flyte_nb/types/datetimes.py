"""Dates and times.

As an input or output a datetime becomes UTC, as in Flyte: a naive one is taken as UTC, an aware one is converted.
Inside a dataclass or tuple it stays as it is.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.scalars import expected_value_error

__all__ = ["DateTransformer", "DatetimeTransformer", "TimedeltaTransformer", "datetime_family"]


class DatetimeTransformer:
    """datetime, as a msgpack timestamp in UTC."""

    identity = False
    canonical = True
    type_name = "datetime"

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, datetime):
            raise expected_value_error(datetime, value)
        try:
            utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise TypeTransformerFailedError(f"{value!r} cannot be expressed in UTC") from None
        return datetime(*utc.timetuple()[:6], utc.microsecond, UTC)  # a plain datetime, also of a subclass

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return tree

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class LenientDatetimeTransformer(DatetimeTransformer):
    """datetime inside a dataclass or tuple: ISO 8601 text, the offset kept."""

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if value is None or isinstance(value, str):
            return value
        if not isinstance(value, datetime):
            raise expected_value_error(datetime, value)
        return value.isoformat()

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return None if tree is None else datetime.fromisoformat(tree)


class DateTransformer:
    """date, as ISO 8601 text; a datetime is cut to its date."""

    identity = False
    canonical = True
    type_name = "date"

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, date):
            raise expected_value_error(date, value)
        return date(value.year, value.month, value.day).isoformat()

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return date.fromisoformat(tree)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class TimedeltaTransformer:
    """timedelta, as ISO 8601 text (`PT7200S`), exact to the microsecond."""

    identity = False
    canonical = True
    type_name = "timedelta"

    def encode(self, value: Any, blobs: Blobs) -> Any:
        if not isinstance(value, timedelta):
            raise expected_value_error(timedelta, value)
        return msgspec.to_builtins(timedelta(value.days, value.seconds, value.microseconds))

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return msgspec.convert(tree, timedelta)

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


def datetime_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of a date or time type, None when it is not one."""
    if python_type is datetime:
        return LenientDatetimeTransformer() if lenient else DatetimeTransformer()
    if python_type is date:
        return DateTransformer()
    return TimedeltaTransformer() if python_type is timedelta else None
