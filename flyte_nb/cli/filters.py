"""What verbs that list runs are asked with, under Flyte's names and ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from flyte_nb.remote.plain import PHASES

__all__ = ["NOT_NEGATIVE", "TIME", "run_filters"]

Verb = TypeVar("Verb", bound=Callable[..., Any])

NOT_NEGATIVE = click.IntRange(min=0)
TIME = click.DateTime()
"""A date, or a date and time, as `2026-01-31` or `2026-01-31T12:00:00`."""

_FILTERS = (
    click.option("--limit", type=NOT_NEGATIVE, default=20, show_default=True, help="At most so many."),
    click.option("--phase", "--in-phase", type=click.Choice(PHASES), multiple=True, help="Only runs in this phase."),
    click.option("--task", "--task-name", help="Only runs of this task."),
    click.option(
        "--label", "--with-label", "labels", multiple=True, metavar="KEY=VALUE", help="Only runs with this label."
    ),
)


def run_filters(verb: Verb) -> Verb:
    """Gives a verb the options `--limit`, `--phase`, `--task` and `--label`."""
    for option in reversed(_FILTERS):
        verb = option(verb)
    return verb
