"""Environments for the tests of deployments, one file that a process deploys and another never sees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import flyte_nb as flyte

base = flyte.TaskEnvironment("base")
env = flyte.TaskEnvironment("train", depends_on=[base], description="Trains.")
FACTOR = 10


class Fitted(NamedTuple):
    score: float
    label: str


def scaled(x: int) -> int:
    return x * FACTOR


@base.task(cache="auto")
async def load(n: int) -> list[int]:
    return list(range(n))


@env.task(retries=2)
async def fit(depth: int, rate: float = 0.5, names: list[str] = ["a"]) -> Fitted:  # noqa: B006  # a list as default
    """Fits a model.

    To all of the data.

    Args:
        depth: how deep it goes.
    """
    return Fitted(scaled(sum(await load(depth))) * rate, names[0])


@env.task
async def version() -> str:
    return flyte.ctx().version


@env.task
async def both_versions() -> list[str]:
    current = flyte.remote.Task.get("train.version", auto_version="current")
    return [flyte.ctx().version, await current()]


@env.task(
    triggers=(
        flyte.Trigger(
            "nightly",
            flyte.Cron("30 2 * * *", "Europe/Berlin"),
            inputs={"when": flyte.TriggerTime, "count": 3},
            labels={"team": "red"},
        ),
        flyte.Trigger("often", flyte.FixedRate(10), auto_activate=False),
    )
)
async def tidy(when: datetime = datetime(2020, 1, 1, tzinfo=UTC), count: int = 1) -> str:
    return f"{when:%Y-%m-%d %H:%M} {count}"
