"""`flyte-nb get run|action|task|trigger|logs|io`: what is recorded, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.cli.output import as_time, duration_of, echo_rows, output_option
from flyte_nb.remote.action import Action
from flyte_nb.remote.parameters import labels_of
from flyte_nb.remote.plain import PHASES, error_line
from flyte_nb.remote.search import find_run
from flyte_nb.remote.source import source
from flyte_nb.remote.task_details import TaskDetails
from flyte_nb.remote.trigger import next_times
from flyte_nb.remote.trigger_specs import automation_text
from flyte_nb.store.rows import ActionRow
from flyte_nb.types.previews import short_text

__all__ = ["get"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."
SHOWN_CHARS = 200


@click.group()
def get() -> None:
    """Shows runs, actions, deployed tasks, triggers, logs, inputs and outputs."""


@get.command("run", epilog=RUN_NAMES)
@click.option("--limit", default=20, show_default=True, help="At most so many.")
@click.option("--phase", type=click.Choice(PHASES), multiple=True, help="Only runs in this phase.")
@click.option("--task", help="Only runs of this task.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Only runs with this label.")
@output_option
@click.argument("run", required=False)
def runs(
    limit: int, phase: Sequence[str], task: str | None, labels: Sequence[str], output: str, run: str | None
) -> None:
    """Shows runs, newest first, or one RUN."""
    with one_line_errors():
        if run is not None:
            rows = [source.run(find_run(run).name)]
        else:
            rows = source.runs(limit=limit, phase=list(phase) or None, task=task, labels=labels_of(labels) or None)
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
@output_option
@click.argument("run")
@click.argument("action", required=False)
def actions(output: str, run: str, action: str | None) -> None:
    """Shows the actions of a RUN, or one ACTION of it."""
    with one_line_errors():
        name = find_run(run).name
        found = source.action_rows(name) if action is None else [_row(name, action)]
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
    echo_rows(output, titles, cells, "It has no actions yet.")


@get.command("task")
@click.option("--env", "environment", help="Only of this environment.")
@output_option
@click.argument("task", required=False)
@click.argument("version", required=False)
def tasks(environment: str | None, output: str, task: str | None, version: str | None) -> None:
    """Shows deployed tasks, newest first: all, the versions of one TASK (ENVIRONMENT.TASK), or one VERSION of it."""
    with one_line_errors():
        if task is not None:
            source.deployed_task(task, version)
        rows = source.deployed_tasks(task, version=version, environment=environment)
    if version is not None and output == "table":
        click.echo(repr(TaskDetails(rows[0])))
        return
    titles = ("task", "version", "deployed", "signature", "description")
    cells = [
        (row.task, row.version, as_time(row.deployed_ns), TaskDetails(row).signature, row.short_description)
        for row in rows
    ]
    echo_rows(output, titles, cells, "No tasks are deployed: flyte-nb deploy FILE")


@get.command("trigger")
@output_option
@click.argument("task", required=False)
def triggers(output: str, task: str | None) -> None:
    """Shows the triggers of deployed tasks, or of one TASK, and when they fire next."""
    with one_line_errors():
        rows = source.triggers(task)
    titles = ("task", "name", "version", "active", "automation", "next", "last run")
    cells = [
        (
            row.task,
            row.name,
            row.version,
            "yes" if row.is_active else "no",
            automation_text(row.automation),
            next(iter(next_times(row, 1)), None),
            row.fired_run or row.fired_error,
        )
        for row in rows
    ]
    echo_rows(output, titles, cells, "No triggers are deployed.")


@get.command("logs", epilog=RUN_NAMES)
@click.option("--limit", type=int, help="Only the last so many entries.")
@output_option
@click.argument("run")
@click.argument("action", required=False)
def logs(limit: int | None, output: str, run: str, action: str | None) -> None:
    """Shows what a RUN's tasks printed, or one ACTION's."""
    with one_line_errors():
        found = find_run(run)
        if output == "table":
            for line in found.logs(action, limit).lines():
                click.echo(line)
            return
        name = _row(found.name, action).name if action is not None else None
        rows = source.logs(found.name, name, limit)
    titles = ("action", "attempt", "at", "stream", "text")
    echo_rows(output, titles, [(r.action, r.attempt, as_time(r.at_ns), r.stream, r.text) for r in rows], "")


@get.command("io", epilog=RUN_NAMES)
@output_option
@click.argument("run")
@click.argument("action", required=False)
def io(output: str, run: str, action: str | None) -> None:
    """Shows the inputs and outputs of a RUN, or of one ACTION of it."""
    with one_line_errors():
        found = find_run(run)
        chosen: Action = found.root if action is None else found[_row(found.name, action).name]
        values = [("input", name, value) for name, value in dict(chosen.inputs()).items()]
        if chosen.phase in ("succeeded", "recovered"):
            values += [("output", name, value) for name, value in chosen.outputs().named_outputs.items()]
    cells = [(kind, name, type(value).__name__, short_text(value, SHOWN_CHARS)) for kind, name, value in values]
    echo_rows(output, ("direction", "name", "type", "value"), cells, "It takes and returns nothing.")


def _row(run: str, action: str) -> ActionRow:
    row = source.action(run, action)
    return row if isinstance(row, ActionRow) else row.row()
