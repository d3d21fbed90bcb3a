"""`flyte-nb get run|action|task|trigger|logs|io`: what is recorded, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.cli.filters import NOT_NEGATIVE, TIME, run_filters
from flyte_nb.cli.output import as_time, duration_of, echo_rows, output_option
from flyte_nb.remote.action import Action
from flyte_nb.remote.deploying.deploy import plain
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import labels_of
from flyte_nb.remote.plain import PHASES, error_line
from flyte_nb.remote.search import find_run
from flyte_nb.remote.source import source
from flyte_nb.remote.task_details import TaskDetails
from flyte_nb.remote.trigger import next_times
from flyte_nb.remote.triggers.trigger_specs import automation_text
from flyte_nb.store.rows import ActionRow
from flyte_nb.types.previews import short_text

__all__ = ["get"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."
SHOWN_CHARS = 200


@click.group(short_help="Shows what is recorded and deployed.")
def get() -> None:
    """Shows runs, actions, deployed tasks, triggers, logs, inputs and outputs."""


@get.command("run", epilog=RUN_NAMES)
@run_filters
@click.option("--created-after", type=TIME, help="Only runs that started then, UTC, or later.")
@click.option("--created-before", type=TIME, help="Only runs that started before.")
@output_option
@click.argument("run", required=False)
def runs(
    limit: int,
    phase: Sequence[str],
    task: str | None,
    labels: Sequence[str],
    created_after: datetime | None,
    created_before: datetime | None,
    output: str,
    run: str | None,
) -> None:
    """Shows runs, newest first, or one RUN."""
    with one_line_errors():
        if run is not None:
            rows = [source.run(find_run(run).name)]
        else:
            rows = source.runs(
                limit=limit,
                phase=list(phase) or None,
                task=task,
                labels=labels_of(labels) or None,
                since=created_after and created_after.replace(tzinfo=UTC),
                until=created_before and created_before.replace(tzinfo=UTC),
            )
    titles = ("run", "task", "phase", "started", "duration_seconds", "actions", "labels", "error")
    cells = [
        (
            row.name,
            row.task,
            row.phase,
            as_time(row.started_ns),
            duration_of(row.started_ns, row.ended_ns),
            row.action_count,
            row.labels,
            error_line(row.error) if row.error is not None else None,
        )
        for row in rows
    ]
    echo_rows(output, titles, cells, "No runs fit.")


@get.command("action", epilog=RUN_NAMES)
@click.option("--phase", "--in-phase", type=click.Choice(PHASES), multiple=True, help="Only actions in this phase.")
@output_option
@click.argument("run")
@click.argument("action", required=False)
def actions(phase: Sequence[str], output: str, run: str, action: str | None) -> None:
    """Shows the actions of a RUN, or one ACTION of it."""
    with one_line_errors():
        name = find_run(run).name
        rows = source.action_rows(name) if action is None else [_row(name, action)]
    found = [row for row in rows if not phase or row.phase in phase]
    titles = ("action", "parent", "kind", "task", "phase", "attempts", "started", "duration_seconds", "error")
    cells = [
        (
            row.name,
            row.parent,
            row.kind,
            row.task,
            row.phase,
            row.attempt,
            as_time(row.started_ns),
            duration_of(row.started_ns, row.ended_ns),
            error_line(row.error) if row.error is not None else None,
        )
        for row in found
    ]
    echo_rows(output, titles, cells, "No actions fit." if phase else "It has no actions yet.")


@get.command("task", short_help="Shows deployed tasks.")
@click.option("--env", "environment", help="Only of this environment.")
@click.option("--limit", type=NOT_NEGATIVE, help="At most so many; all unless told.")
@output_option
@click.argument("task", required=False)
@click.argument("version", required=False)
def tasks(environment: str | None, limit: int | None, output: str, task: str | None, version: str | None) -> None:
    """Shows deployed tasks, newest first: all, the versions of one TASK (ENVIRONMENT.TASK), or one VERSION of it."""
    with one_line_errors():
        if task is not None:
            source.deployed_task(task, version)
        rows = source.deployed_tasks(task, version=version, environment=environment, limit=limit)
    if version is not None and output == "table":
        click.echo(repr(TaskDetails(rows[0])))
        return
    titles = ("task", "version", "deployed", "signature", "description")
    cells = [
        (row.task, row.version, as_time(row.deployed_ns), TaskDetails(row).signature, row.short_description)
        for row in rows
    ]
    echo_rows(output, titles, cells, "No tasks are deployed: flyte-nb deploy FILE")


@get.command("trigger", short_help="Shows triggers, and when they fire next.")
@output_option
@click.argument("task", required=False)
@click.argument("name", required=False)
def triggers(output: str, task: str | None, name: str | None) -> None:
    """Shows the triggers of deployed tasks, those of one TASK, or the one NAME, and when they fire next."""
    with one_line_errors():
        if task is not None:
            source.deployed_task(task)
        rows = source.triggers(task) if task is None or name is None else [source.trigger(task, name)]
    titles = ("task", "name", "version", "active", "automation", "next", "last_run")
    cells = [
        (
            row.task,
            row.name,
            row.version,
            row.is_active,
            automation_text(row.automation),
            next(iter(next_times(row, 1)), None),
            row.fired_run or row.fired_error,
        )
        for row in rows
    ]
    echo_rows(output, titles, cells, "No triggers are deployed." if task is None else f"Task {task} has no triggers.")


@get.command("logs", epilog=RUN_NAMES)
@click.option("--limit", "--lines", type=NOT_NEGATIVE, help="Only the last so many entries.")
@click.option("--attempt", type=click.IntRange(1), help="Only what this attempt of the ACTION printed.")
@click.option("--show-ts", is_flag=True, help="Each line after its time.")
@output_option
@click.argument("run")
@click.argument("action", required=False)
def logs(limit: int | None, attempt: int | None, show_ts: bool, output: str, run: str, action: str | None) -> None:
    """Shows what a RUN's tasks printed, or one ACTION's."""
    if attempt is not None and action is None:
        raise click.UsageError("--attempt is of one ACTION; a0 is the root")
    with one_line_errors():
        found = find_run(run)
        if attempt is not None and action is not None and attempt > (latest := found[action].attempt):
            raise CommandError(f"Action {action} has no attempt {attempt}: it has {latest}")
        shown = found.logs(action, limit).of_attempt(attempt)
        if output == "table":
            for line in shown.lines(show_ts):
                click.echo(line)
            return
        rows = list(shown)
    titles = ("action", "attempt", "at", "stream", "text")
    echo_rows(output, titles, [(r.action, r.attempt, as_time(r.at_ns), r.stream, r.text) for r in rows], "")


@get.command("io", epilog=RUN_NAMES)
@click.option("--inputs-only", is_flag=True, help="No outputs.")
@click.option("--outputs-only", is_flag=True, help="No inputs.")
@output_option
@click.argument("run")
@click.argument("action", required=False)
def io(inputs_only: bool, outputs_only: bool, output: str, run: str, action: str | None) -> None:
    """Shows the inputs and outputs of a RUN, or of one ACTION of it.

    As JSON a value stands as it is where JSON has a word for it, else as a text that shows it.
    """
    if inputs_only and outputs_only:
        raise click.UsageError("Give one of --inputs-only and --outputs-only, not both")
    with one_line_errors():
        found = find_run(run)
        chosen: Action = found.root if action is None else found[_row(found.name, action).name]
        values = [] if outputs_only else [("input", name, value) for name, value in dict(chosen.inputs()).items()]
        if not inputs_only and chosen.phase in ("succeeded", "recovered"):
            values += [("output", name, value) for name, value in chosen.outputs().named_outputs.items()]
    shown = plain if output == "json" else partial(short_text, limit=SHOWN_CHARS)
    cells = [(kind, name, type(value).__name__, shown(value)) for kind, name, value in values]
    echo_rows(output, ("direction", "name", "type", "value"), cells, "It takes and returns nothing.")


def _row(run: str, action: str) -> ActionRow:
    row = source.action(run, action)
    return row if isinstance(row, ActionRow) else row.row()
