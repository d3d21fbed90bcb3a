"""`flyte-nb create trigger`, `update trigger` and `delete trigger`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trigger import Cron, FixedRate, TriggerTime
from flyte_nb.authoring.trigger import Trigger as DeclaredTrigger
from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.errors import DeploymentError
from flyte_nb.remote.deploying.deployed import find, load
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import input_from_text, labels_of, parameter_named
from flyte_nb.remote.trigger import Trigger

__all__ = ["create_trigger", "delete", "update"]

TIME_VARIABLE = "trigger_time"
"""The input that is given the time where the task has it, as in Flyte's command line."""


@click.command("trigger", short_help="Adds a trigger to a deployed task.")
@click.option("--schedule", "--cron", metavar="CRON", help="When it fires, as '0 2 * * *' or @daily.")
@click.option("--timezone", help="In which --schedule is read, as Europe/Berlin; UTC unless told.")
@click.option("--fixed-rate", metavar="MINUTES", type=click.IntRange(1), help="In place of --schedule.")
@click.option("--description", default="", help="What it is for.")
@click.option("--auto-activate/--no-auto-activate", default=True, help="Whether it fires from now on, or when resumed.")
@click.option("--trigger-time-var", help=f"The input that is given the time; {TIME_VARIABLE} where TASK has that.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input of its runs.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of its runs.")
@click.option("--version", help="Of the task; the latest unless told.")
@click.argument("task")
@click.argument("name")
def create_trigger(
    schedule: str | None,
    timezone: str | None,
    fixed_rate: int | None,
    description: str,
    auto_activate: bool,
    trigger_time_var: str | None,
    inputs: Sequence[str],
    labels: Sequence[str],
    version: str | None,
    task: str,
    name: str,
) -> None:
    """Adds the trigger NAME to a deployed TASK (ENVIRONMENT.TASK); one of that name is replaced.

    flyte-nb create trigger train.fit nightly --schedule '0 2 * * *' --input depth=3

    With neither --schedule nor --fixed-rate it only fires by hand: flyte.run(flyte.remote.Trigger.get(...)).
    """
    with one_line_errors():
        found = load(find(task, version))
        given = _inputs(found, inputs)
        automation = _automation(schedule, timezone, fixed_rate)
        takes_time = TIME_VARIABLE in found.native_interface.inputs and TIME_VARIABLE not in given
        variable = trigger_time_var or (TIME_VARIABLE if automation is not None and takes_time else None)
        if variable is not None:
            given[parameter_named(found, variable)] = TriggerTime
        try:
            trigger = DeclaredTrigger(
                name, automation, description, auto_activate, inputs=given or None, labels=labels_of(labels) or None
            )
            click.echo(repr(Trigger.create(trigger, task, version)))
        except (DeploymentError, ValueError) as error:
            raise CommandError(str(error.args[-1])) from None


def _automation(schedule: str | None, timezone: str | None, minutes: int | None) -> Cron | FixedRate | None:
    """When it fires.

    Raises:
        CommandError: that is said twice, or cannot be read.
    """
    if schedule is not None and minutes is not None:
        raise CommandError("Give one of --schedule and --fixed-rate, not both")
    if timezone is not None and schedule is None:
        raise CommandError(f"--timezone is that of --schedule: --schedule '0 2 * * *' --timezone {timezone}")
    if minutes is not None:
        return FixedRate(minutes)
    try:
        return None if schedule is None else Cron(schedule, timezone or "UTC")
    except ValueError as error:
        raise CommandError(str(error)) from None


def _inputs(task: TaskTemplate[Any, Any], texts: Sequence[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for option, text in labels_of(texts, "An input").items():
        name = parameter_named(task, option)
        given[name] = input_from_text(task, name, text)
    return given


@click.group()
def update() -> None:
    """Pauses and resumes triggers."""


@update.command("trigger", short_help="Pauses or resumes a trigger.")
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
    """Deletes a trigger or a secret."""


@delete.command("trigger", short_help="Deletes a trigger; its runs stay.")
@click.argument("name")
@click.argument("task")
def delete_trigger(name: str, task: str) -> None:
    """Deletes the trigger NAME of a TASK (ENVIRONMENT.TASK); its runs stay."""
    with one_line_errors():
        Trigger.delete(name, task)
    click.echo(f"Trigger {name} of {task} is deleted.")
