"""`flyte-nb check`: what is wrong with the tasks of a file, for terminals and for continuous integration."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flyte_nb.checking.check import check as check_task
from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.cli.taskfile import existing_file, load_target
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import find_task, tasks_in

__all__ = ["check"]


@click.command(short_help="Finds mistakes in tasks without running them.")
@click.argument("file", callback=existing_file)
@click.argument("task", required=False)
def check(file: Path, task: str | None) -> None:
    """Finds mistakes in TASK of FILE, or in all its tasks, and in all they can reach; runs none of them.

    Prints the planned graph and the mistakes. Exits with 1 when there is one.
    """
    with one_line_errors():
        names = vars(load_target(file, task))
        tasks = list(dict.fromkeys(tasks_in(names).values())) if task is None else [find_task(names, task)]
        if not tasks:
            raise CommandError(f"{file.name} has no tasks. Declare one with @env.task.")
        checks = [check_task(one) for one in tasks]
    for checked in checks:
        click.echo(repr(checked))
    sys.exit(0 if all(checks) else 1)
