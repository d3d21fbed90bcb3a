"""`flyte-nb signal condition`: answers a condition for which a task waits."""

from __future__ import annotations

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.remote.condition import answer, find_condition
from flyte_nb.remote.plain import printable

__all__ = ["signal"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."


@click.group()
def signal() -> None:
    """Answers conditions for which tasks wait."""


@signal.command(
    short_help="Answers a condition of a run.", context_settings={"ignore_unknown_options": True}, epilog=RUN_NAMES
)
@click.argument("run")
@click.argument("condition", required=False)
@click.argument("value", required=False)
def condition(run: str, condition: str | None, value: str | None) -> None:
    """Answers a CONDITION of a run, in whichever notebook or program it lives.

    CONDITION is its name or its action's. Without VALUE its question is put here; where one condition waits, CONDITION
    may be left out then, too.
    """
    with one_line_errors():
        if value is None:
            asked = find_condition(run, condition)
            if asked.description:
                click.echo(printable(asked.description))
            condition, value = (
                asked.action_name,
                click.prompt(f"{printable(asked.prompt)} ({asked.type_name})", type=str),
            )
        click.echo(answer(run, condition, value))
