"""What the server tells the process of a run."""

from __future__ import annotations

import msgspec

__all__ = ["Order"]


class Order(msgspec.Struct, frozen=True):
    """A run of a deployed task."""

    task: str
    version: str
    run: str
    """The name that the run is to have."""
    labels: dict[str, str]
    inputs: bytes
    """A serialized `Inputs` of Flyte's."""
