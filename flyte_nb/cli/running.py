"""`flyte-nb run`: a task of a file or notebook, or a deployed one, with its inputs as options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.cli.carrying import carry_out, one_line_errors, started_by, take_inputs
from flyte_nb.cli.taskfile import load_target
from flyte_nb.engine.isolation import ISOLATIONS
from flyte_nb.executors.placement import Isolation
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given, parameter_help
from flyte_nb.remote.progress import show_progress
from flyte_nb.remote.search import did_you_mean, find_deployed_task, find_task
from flyte_nb.remote.source import source
from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import short_text

__all__ = ["run"]

DEPLOYED = "deployed-task"
HELP = ("--help", "-h")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--local", is_flag=True, help="On this machine: what it does anyway; accepted as Flyte's.")
@click.option("--name", help="Of the run; a fresh one unless told.")
@click.option("--isolation", type=click.Choice(ISOLATIONS), help="Where its tasks run.")
@click.argument("file", metavar="FILE|deployed-task")
@click.argument("task")
@click.argument("inputs", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE ...]")
def run(
    local: bool, name: str | None, isolation: Isolation | None, file: str, task: str, inputs: Sequence[str]
) -> None:
    """Runs TASK of FILE with its inputs: flyte-nb run train.py fit --depth 3 --label team=risk

    FILE is a Python file or a notebook; `flyte-nb run deployed-task ENVIRONMENT.TASK[:VERSION]` runs a deployed task.
    `flyte-nb run FILE TASK --help` shows the task's inputs.

    Prints what the task prints, then the run's tree and outputs. Exits with 0; with 1 when the run fails, with 2 when
    it could not be started as asked, with 130 when it was interrupted: the run is aborted then.
    """
    with one_line_errors():
        found = _deployed(task) if file == DEPLOYED else _task_of_file(file, task)
        if any(word in inputs for word in HELP):
            click.echo(usage_of(found, file, task))
            return
        given = Given(found, isolation=isolation, name=name)
        take_inputs(given, inputs)
        show_progress(leaves_line=False)
        with started_by("" if file == DEPLOYED else Path(file).name):
            succeeded = carry_out(given.start)
    sys.exit(0 if succeeded else 1)


def usage_of(task: TaskTemplate[Any, Any], file: str, words: str) -> str:
    """What a task takes, as options with their types."""
    docs = task.native_interface.docstring
    lines = [f"Usage: flyte-nb run {file} {words} [OPTIONS]"]
    if docs is not None and docs.short_description:
        lines += ["", f"  {docs.short_description}"]
    rows = []
    for name, (declared, default) in task.native_interface.inputs.items():
        is_required = name in task.native_interface.required_inputs()
        rule = "[required]" if is_required else f"[default: {short_text(default)}]"
        option = f"--{name.replace('_', '-')} {describe_type(declared)}"
        rows.append((option, " ".join(filter(None, (parameter_help(task, name), rule)))))
    rows += [("--label KEY=VALUE", "A label of the run."), ("-h, --help", "Show this message and exit.")]
    width = max(len(option) for option, _ in rows)
    return "\n".join([*lines, "", "Options:", *(f"  {option.ljust(width)}  {text}" for option, text in rows)])


def _task_of_file(file: str, task: str) -> TaskTemplate[Any, Any]:
    path = Path(file)
    if not path.is_file():
        raise CommandError(f"There is no file {file}. A deployed task runs with: flyte-nb run {DEPLOYED} NAME")
    return find_task(vars(load_target(path, task)), task)


def _deployed(words: str) -> TaskTemplate[Any, Any]:
    found = find_deployed_task(words)
    if found is None:
        known = sorted({row.task for row in source.deployed_tasks()})
        near = did_you_mean(words, known) or f" Deployed: {', '.join(known[:10]) or 'none; flyte-nb deploy FILE'}."
        raise CommandError(f"No deployed task is named {words!r}.{near}")
    return found
