"""`flyte-nb rerun`, `flyte-nb recover` and `flyte-nb fork`: earlier runs again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from flyte_nb.cli.carrying import carry_out, one_line_errors, started_by, take_inputs
from flyte_nb.cli.taskfile import existing_file, load_target
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.progress import show_progress
from flyte_nb.remote.repeats.repeating import Asked, ask_fork, ask_recovery, ask_rerun
from flyte_nb.remote.search import find_run, find_task

__all__ = ["fork", "recover", "rerun"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`. Inputs that are given replace recorded ones."
WORDS: dict[str, Any] = {"ignore_unknown_options": True}
inputs_argument = click.argument("inputs", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE ...]")
force_option = click.option(
    "--force",
    "--force-rerun-action",
    "forced",
    multiple=True,
    metavar="ACTION",
    help="An action that runs again all the same.",
)


@click.command(short_help="Runs recorded code again.", context_settings=WORDS, epilog=RUN_NAMES)
@click.option("--action", "--action-name", help="Begins with this action's task and inputs.")
@click.option("--recover", "is_recovery", is_flag=True, help="Reuses what finished: goes on where RUN stopped.")
@force_option
@click.argument("run")
@inputs_argument
def rerun(action: str | None, is_recovery: bool, forced: Sequence[str], run: str, inputs: Sequence[str]) -> None:
    """Runs the recorded code of RUN again, whatever its file says now."""
    with one_line_errors():
        if is_recovery and action is not None:
            raise CommandError("--action begins with another task: it cannot be combined with --recover")
        if forced and not is_recovery:
            raise CommandError("--force is of a recovery, which reuses the others: rerun --recover --force ACTION RUN")
        found = find_run(run)
        asked = ask_recovery(found, forced) if is_recovery else ask_rerun(found, action)
        carry_out_asked(asked, inputs, found.notebook)


@click.command(short_help="Goes on where a run stopped.", context_settings=WORDS, epilog=RUN_NAMES)
@force_option
@click.argument("run")
@inputs_argument
def recover(forced: Sequence[str], run: str, inputs: Sequence[str]) -> None:
    """Goes on where RUN stopped: recorded code, and what finished is reused."""
    with one_line_errors():
        found = find_run(run)
        asked = ask_recovery(found, forced)
        carry_out_asked(asked, inputs, found.notebook)


@click.command(short_help="Runs edited code, reusing a run.", context_settings=WORDS, epilog=RUN_NAMES)
@force_option
@click.option("--dry-run", is_flag=True, help="Only tells what will be reused, and what runs again and why.")
@click.argument("run")
@click.argument("file", callback=existing_file)
@click.argument("task")
@inputs_argument
def fork(forced: Sequence[str], dry_run: bool, run: str, file: Path, task: str, inputs: Sequence[str]) -> None:
    """Runs TASK as FILE has it now, and reuses what finished in RUN where its code is the same."""
    with one_line_errors():
        asked = ask_fork(find_run(run), find_task(vars(load_target(file, task)), task), forced)
        if not dry_run:
            carry_out_asked(asked, inputs, file.name)
        take_inputs(asked.given, inputs)
        click.echo(asked.plan())


def carry_out_asked(asked: Asked, inputs: Sequence[str], notebook: str) -> None:
    """Runs it and ends the program: with 1 when the run fails."""
    take_inputs(asked.given, inputs)
    show_progress(leaves_line=False)
    with started_by(notebook):
        succeeded = carry_out(asked.start)
    sys.exit(0 if succeeded else 1)
