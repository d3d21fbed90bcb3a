"""`flyte-nb`: runs a task of a file, and finds runs again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from flyte_nb.as_flyte import offer_as_flyte
from flyte_nb.cli.carrying import one_line_errors, tree_of
from flyte_nb.cli.checking import check
from flyte_nb.cli.deploying import deploy
from flyte_nb.cli.filters import NOT_NEGATIVE, run_filters
from flyte_nb.cli.getting import get
from flyte_nb.cli.housekeeping import HOUSEKEEPING
from flyte_nb.cli.output import print_columns
from flyte_nb.cli.publishing import publish
from flyte_nb.cli.repeating import fork, recover, rerun
from flyte_nb.cli.running import run
from flyte_nb.cli.secrets import create, delete_secret, get_secret
from flyte_nb.cli.serve import serve
from flyte_nb.cli.signaling import signal
from flyte_nb.cli.triggering import create_trigger, delete, update
from flyte_nb.executors.images.virtualenv import BuiltImage, Virtualenvs
from flyte_nb.remote.parameters import labels_of
from flyte_nb.remote.plain import duration_text, error_line
from flyte_nb.remote.repeats.interrupted import interrupted_among
from flyte_nb.remote.search import find_run
from flyte_nb.remote.source import source
from flyte_nb.remote.upkeep.cache import NOTHING_CACHED, cached_rows, clear, explain_action, explain_run, explain_task
from flyte_nb.remote.upkeep.images import NO_IMAGES, prune_images, size_text
from flyte_nb.store.rows import RunRow

__all__ = ["cli", "main"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flyte_nb")
def cli() -> None:
    """Flyte 2 on this machine: run tasks, and find every run again."""


cli.add_command(run)
cli.add_command(deploy)
cli.add_command(get)
cli.add_command(check)
cli.add_command(rerun)
cli.add_command(recover)
cli.add_command(fork)
cli.add_command(publish)
cli.add_command(serve)
cli.add_command(signal)
cli.add_command(update)
cli.add_command(delete)
cli.add_command(create)
create.add_command(create_trigger)
get.add_command(get_secret)
delete.add_command(delete_secret)
for command in HOUSEKEEPING:
    cli.add_command(command)


@cli.command()
@run_filters
def runs(limit: int, phase: Sequence[str], task: str | None, labels: Sequence[str]) -> None:
    """Lists runs, newest first."""
    with one_line_errors():
        rows = source.runs(limit=limit, phase=list(phase) or None, task=task, labels=labels_of(labels) or None)
        interrupted = interrupted_among(rows)
    if not rows:
        click.echo("No runs fit." if phase or task or labels else "No runs yet: flyte-nb run FILE TASK")
    else:
        titles = ("RUN", "TASK", "PHASE", "STARTED", "DURATION", "ACTIONS", "ERROR")
        print_columns([titles, *(run_cells(row, row.name in interrupted) for row in rows)])


@cli.command(epilog=RUN_NAMES)
@click.argument("run")
def show(run: str) -> None:
    """Draws a run as a tree."""
    with one_line_errors():
        click.echo(tree_of(find_run(run)))


@cli.command(epilog=RUN_NAMES)
@click.argument("run")
@click.argument("action", required=False)
@click.option("--limit", "--lines", type=NOT_NEGATIVE, help="Only the last so many entries.")
def logs(run: str, action: str | None, limit: int | None) -> None:
    """Prints what a run's tasks printed, or one ACTION's."""
    with one_line_errors():
        for line in find_run(run).logs(action, limit).lines():
            click.echo(line)


@cli.command(short_help="Answers a SELECT over what is recorded.")
@click.argument("query")
def sql(query: str) -> None:
    """Answers one SELECT over runs, actions, attempts, logs, values and tasks."""
    with one_line_errors():
        answer = source.store.sql(query)
    as_text: Callable[..., str] | None = getattr(answer, "to_string", None)
    click.echo(as_text(index=False) if as_text is not None else repr(answer))


@cli.group(invoke_without_command=True)
@click.pass_context
def images(context: click.Context) -> None:
    """Lists the virtual environments built from images."""
    if context.invoked_subcommand is not None:
        return
    virtualenvs = Virtualenvs()
    if built := virtualenvs.built():
        print_columns([("IMAGE", "DIGEST", "SIZE", "LAST USED", "ENVIRONMENTS", "LAYERS"), *map(image_cells, built)])
        click.echo(f"{size_text(virtualenvs.size_bytes())} in {virtualenvs.folder}, shared files counted once.")
    else:
        click.echo(NO_IMAGES)


@images.command()
@click.option("--all", "everything", is_flag=True, help="All that no living kernel uses.")
@click.option("--older-than", metavar="TIME", help="Not used for so long, as 7d or 12h; 30d unless told.")
def prune(everything: bool, older_than: str | None) -> None:
    """Removes virtual environments that are not used any more."""
    with one_line_errors():
        click.echo(prune_images(Virtualenvs(), everything, older_than))


@cli.group(invoke_without_command=True)
@click.pass_context
def cache(context: click.Context) -> None:
    """Lists cached results."""
    if context.invoked_subcommand is not None:
        return
    with one_line_errors():
        rows = cached_rows()
    if rows:
        print_columns([("TASK", "INPUTS", "COMPUTED BY", "STORED", "TOOK", "SIZE", "CODE"), *map(cached_cells, rows)])
    else:
        click.echo(NOTHING_CACHED)


@cache.command(short_help="Says what the cache answered, and why not.")
@click.argument("what", metavar="RUN[/ACTION]|TASK")
def explain(what: str) -> None:
    """Says why calls were or were not answered from the cache, or what is cached of a task (ENVIRONMENT.TASK)."""
    run, slash, action = what.partition("/")
    with one_line_errors():
        if slash:
            click.echo(explain_action(run, action))
        else:
            click.echo(explain_task(what, None) if "." in what else explain_run(what))


@cache.command("clear", short_help="Removes cached results.")
@click.argument("task", required=False)
@click.option("--older-than", metavar="TIME", help="Only results stored so long ago, as 7d or 12h.")
@click.option("--all", "everything", is_flag=True, help="All.")
def clear_cache(task: str | None, older_than: str | None, everything: bool) -> None:
    """Removes cached results of TASK (ENVIRONMENT.TASK), of a time, or all."""
    with one_line_errors():
        click.echo(clear(task, everything, older_than))


def main() -> None:
    """The program `flyte-nb`, in which `import flyte` gives this package: code written for Flyte 2 runs unchanged."""
    offer_as_flyte()
    cli()


def run_cells(row: RunRow, is_interrupted: bool) -> tuple[str, ...]:
    error = error_line(row.error) if row.error is not None else ""
    started = datetime.fromtimestamp(row.started_ns / 1e9).astimezone()
    duration = (row.ended_ns - row.started_ns) / 1e6 if row.ended_ns is not None else None
    return (
        row.name,
        row.task,
        row.phase,
        f"{started:%Y-%m-%d %H:%M:%S}",
        duration_text(duration),
        f"{row.action_count:,}",
        f"{error} Go on: flyte-nb recover {row.name}" if is_interrupted else error,
    )


def image_cells(image: BuiltImage) -> tuple[str, ...]:
    return (
        image.name,
        image.digest,
        size_text(image.size_bytes),
        f"{image.used_at.astimezone():%Y-%m-%d %H:%M:%S}",
        ", ".join(image.used_by),
        ", ".join(image.layers),
    )


def cached_cells(row: Sequence[Any]) -> tuple[str, ...]:
    task, inputs, computed_by, stored_at, seconds, size_bytes, code = row
    stored = f"{stored_at.astimezone():%Y-%m-%d %H:%M:%S}"
    return task, inputs, computed_by, stored, duration_text(seconds * 1e3), size_text(size_bytes), code
