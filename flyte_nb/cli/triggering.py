"""`flyte-nb update trigger` and `flyte-nb delete trigger`."""

from __future__ import annotations

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.remote.trigger import Trigger

__all__ = ["delete", "update"]


@click.group()
def update() -> None:
    """Changes what is deployed."""


@update.command("trigger")
@click.option("--activate/--deactivate", required=True, help="Resume it, or pause it.")
@click.argument("name")
@click.argument("task")
def update_trigger(activate: bool, name: str, task: str) -> None:
    """Pauses or resumes the trigger NAME of a TASK (ENVIRONMENT.TASK).

    What was due while it was paused is not made up for.
    """
    with one_line_errors():
        Trigger.update(name, task, active=activate)
        click.echo(repr(Trigger.get(name=name, task_name=task)))


@click.group()
def delete() -> None:
    """Deletes what is deployed."""


@delete.command("trigger")
@click.argument("name")
@click.argument("task")
def delete_trigger(name: str, task: str) -> None:
    """Deletes the trigger NAME of a TASK (ENVIRONMENT.TASK); its runs stay."""
    with one_line_errors():
        Trigger.delete(name, task)
    click.echo(f"Trigger {name} of {task} is deleted.")
