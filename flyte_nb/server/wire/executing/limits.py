"""What runs that clients ask for may take."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run that a client asks for may take; who takes more is aborted.

    Attributes:
        depth: how many levels of actions, the root included.
        actions: how many actions, the root included.
        seconds: how long.
        processes: how many processes of Flyte's own tasks may work at once, of all runs.
    """

    depth: int = 20
    actions: int = 10_000
    seconds: float = 3600.0
    processes: int = os.cpu_count() or 1
