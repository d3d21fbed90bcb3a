"""`flyte-nb`: runs a task of a file, and finds runs again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from flyte_nb.cli.taskfile import load_file
from flyte_nb.errors import BaseRuntimeError
from flyte_nb.remote import launch
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given, describe_parameters, labels_of
from flyte_nb.remote.plain import PHASES, duration_text, error_line, run_tree
from flyte_nb.remote.progress import show_progress
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import find_run, find_task
from flyte_nb.remote.source import source
from flyte_nb.store.errors import StoreError
from flyte_nb.store.rows import RunRow

__all__ = ["cli", "main"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flyte_nb")
def cli() -> None:
    """Flyte 2 on this machine: run tasks, and find every run again."""


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("task")
@click.argument("inputs", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE ...]")
def run(file: Path, task: str, inputs: Sequence[str]) -> None:
    """Runs TASK of FILE with its inputs: flyte-nb run train.py fit --depth 3 --label team=risk

    Prints what the task prints, then the run's tree and outputs. Exits with 1 when it fails.
    """
    with one_line_errors():
        given = Given(find_task(vars(load_file(file)), task))
        words = list(inputs)
        while words:
            word = words.pop(0)
            if not word.startswith("--"):
                raise CommandError(f"{word!r}: inputs are given by name. {describe_parameters(given.task)}")
            given.take_option(word, words)
        show_progress(leaves_line=False)
        with started_by(file):
            succeeded = carry_out(given)
    sys.exit(0 if succeeded else 1)


@cli.command()
@click.option("--limit", default=20, show_default=True, help="At most so many.")
@click.option("--phase", type=click.Choice(PHASES), multiple=True, help="Only runs in this phase.")
@click.option("--task", help="Only runs of this task.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Only runs with this label.")
def runs(limit: int, phase: Sequence[str], task: str | None, labels: Sequence[str]) -> None:
    """Lists runs, newest first."""
    with one_line_errors():
        rows = source.runs(limit=limit, phase=list(phase) or None, task=task, labels=labels_of(labels) or None)
    if not rows:
        click.echo("No runs fit." if phase or task or labels else "No runs yet: flyte-nb run FILE TASK")
    else:
        titles = ("RUN", "TASK", "PHASE", "STARTED", "DURATION", "ACTIONS", "ERROR")
        print_columns([titles, *map(run_cells, rows)])


@cli.command(epilog=RUN_NAMES)
@click.argument("run")
def show(run: str) -> None:
    """Draws a run as a tree."""
    with one_line_errors():
        click.echo(tree_of(find_run(run)))


@cli.command(epilog=RUN_NAMES)
@click.argument("run")
@click.argument("action", required=False)
@click.option("--limit", type=int, help="Only the last so many entries.")
def logs(run: str, action: str | None, limit: int | None) -> None:
    """Prints what a run's tasks printed, or one ACTION's."""
    with one_line_errors():
        for line in find_run(run).logs(action, limit).lines():
            click.echo(line)


@cli.command()
@click.argument("query")
def sql(query: str) -> None:
    """Answers one SELECT over runs, actions, attempts, logs, values and tasks."""
    with one_line_errors():
        answer = source.store.sql(query)
    as_text: Callable[..., str] | None = getattr(answer, "to_string", None)
    click.echo(as_text(index=False) if as_text is not None else repr(answer))


def main() -> None:
    """The program `flyte-nb`."""
    cli()


def carry_out(given: Given) -> bool:
    """Runs the task and prints how it went; whether it succeeded."""
    try:
        done = given.start()
    except BaseRuntimeError as error:
        failed: Run = error.run
        click.echo(tree_of(failed))
        info = failed.error_info
        if info is not None and info.traceback:
            click.echo(info.traceback.rstrip(), err=True)
        return False
    except KeyboardInterrupt as stopped:
        if hasattr(stopped, "run"):
            click.echo(tree_of(stopped.run))
        raise
    click.echo(tree_of(done))
    for name, value in done.outputs().named_outputs.items():
        click.echo(f"{name} = {value!r}")
    return True


@contextmanager
def started_by(file: Path) -> Iterator[None]:
    """Runs that start in here are recorded as the file's."""

    def origin() -> tuple[str, str]:
        return file.name, ""

    launch.origins.append(origin)
    try:
        yield
    finally:
        launch.origins.remove(origin)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a user can get wrong is one message without a traceback."""
    try:
        yield
    except (CommandError, StoreError) as error:
        raise click.ClickException(str(error)) from None
    except KeyError as error:
        raise click.ClickException(str(error.args[0])) from None


def tree_of(run: Run) -> str:
    names = {task.spec: [name for name, _ in task.inputs] for task in source.tasks(run.name)}
    return run_tree(source.run(run.name), source.actions(run.name), names)


def run_cells(row: RunRow) -> tuple[str, ...]:
    started = datetime.fromtimestamp(row.started_ns / 1e9).astimezone()
    duration = (row.ended_ns - row.started_ns) / 1e6 if row.ended_ns is not None else None
    return (
        row.name,
        row.task,
        row.phase,
        f"{started:%Y-%m-%d %H:%M:%S}",
        duration_text(duration),
        f"{row.action_count:,}",
        error_line(row.error) if row.error is not None else "",
    )


def print_columns(rows: Sequence[Sequence[Any]]) -> None:
    """Rows of texts, aligned."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
