"""The value store as workers open it: values that hold code of the user's own are named there as they are here."""

from __future__ import annotations

from flyte_nb.engine.code import digests  # what it brings along: see `flyte_nb.types.classes.identify_code`
from flyte_nb.store.values import open_values

__all__ = ["OPEN_VALUES", "digests", "open_values"]

OPEN_VALUES = f"{__name__}:{open_values.__name__}"
"""How workers open it."""
