"""A module of the user's own, of which tasks use some names."""

from __future__ import annotations

import threading

import flyte_nb as flyte
from tests.remote.backend import deeper

__all__ = ["deeper", "quadrupled", "tripled"]

env = flyte.TaskEnvironment("helping")
NOT_USED = threading.Thread()
"""Cannot be pickled; nobody uses it."""


@env.task
async def quadruple(x: int) -> int:
    return 4 * x


async def quadrupled(x: int) -> int:
    return await quadruple(x)


def tripled(x: int) -> int:
    return 3 * x
