"""`flyte-nb run`: a task of a file or notebook, or a deployed one, with its inputs as options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import click

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.cli.backends import Place, backend_options, connected
from flyte_nb.cli.carrying import carry_out, one_line_errors, started_by, take_inputs
from flyte_nb.cli.filters import NOT_NEGATIVE
from flyte_nb.cli.taskfile import load_target, near_files
from flyte_nb.engine.isolation import ISOLATIONS
from flyte_nb.errors import RuntimeSystemError
from flyte_nb.executors.placement import Isolation
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given, labels_of, parameter_help
from flyte_nb.remote.progress import show_progress
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import did_you_mean, find_deployed_task, find_task, tasks_in
from flyte_nb.remote.source import source
from flyte_nb.remote.tracking import wait_for_publishing
from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import short_text

__all__ = ["run"]

DEPLOYED = "deployed-task"
HELP = ("--help", "-h")


@click.command(
    short_help="Runs a task of a file, or a deployed one.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--local", is_flag=True, help="On this machine: what it does anyway; accepted as Flyte's.")
@click.option("--name", help="Of the run; a fresh one unless told.")
@click.option("--isolation", type=click.Choice(ISOLATIONS), help="Where its tasks run.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of the run.")
@click.option("-e", "--env", "variables", multiple=True, metavar="KEY=VALUE", help="A variable of its processes.")
@click.option("--max-action-concurrency", type=NOT_NEGATIVE, help="So many actions at once; all unless told.")
@click.option("--tracked", is_flag=True, help="Show it at a backend while it runs here.")
@click.option("--tracked-strict", is_flag=True, help="It fails where it cannot be shown there; of --tracked.")
@backend_options
@click.option("--version", help="Of the deployed task; the latest unless told.")
@click.argument("file", metavar="FILE|deployed-task")
@click.argument("task", required=False)
@click.argument("inputs", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE ...]")
def run(
    local: bool,
    name: str | None,
    isolation: Isolation | None,
    labels: Sequence[str],
    variables: Sequence[str],
    max_action_concurrency: int | None,
    tracked: bool,
    tracked_strict: bool,
    version: str | None,
    file: str,
    task: str | None,
    inputs: Sequence[str],
    **place: Unpack[Place],
) -> None:
    """Runs TASK of FILE with its inputs: flyte-nb run --label team=risk train.py fit --depth 3

    FILE is a Python file or a notebook; `flyte-nb run deployed-task ENVIRONMENT.TASK[:VERSION]` runs a deployed task.
    `flyte-nb run FILE` names the tasks of a file, `flyte-nb run FILE TASK --help` a task's inputs. --label,
    --isolation and --version may stand behind TASK, too, where it has no inputs of those names.

    With --tracked it is published while it runs, at the backend that --endpoint or a configuration file names.

    Prints what the task prints, then the run's tree and outputs. Exits with 0; with 1 when the run fails, with 2 when
    it could not be started as asked, with 130 when it was interrupted: the run is aborted then.
    """
    with one_line_errors():
        if file.startswith("-"):
            known = [option for parameter in run.params for option in parameter.opts]
            raise CommandError(f"flyte-nb run has no option {file}.{did_you_mean(file, known)}")
        check_tracking(tracked, tracked_strict, place)
        if version is not None and file != DEPLOYED:
            raise CommandError(f"--version is of a deployed task: flyte-nb run --version {version} {DEPLOYED} NAME")
        if task is None or task in HELP:
            raise CommandError(f"Say which task: flyte-nb run {file} TASK. {_known(file)}")
        if file == DEPLOYED:
            words, inputs = (f"{task}:{version}", inputs) if version else _with_version(task, inputs)
            found = _deployed(words)
        else:
            found = _task_of_file(file, task)
        if any(word in inputs for word in HELP):
            click.echo(usage_of(found, file, task))
            return
        options = {
            "mode": "local",
            "name": name,
            "env_vars": labels_of(variables, "A variable"),
            "max_action_concurrency": max_action_concurrency,
            "project": place["project"],
            "domain": place["domain"],
            "tracked": tracked,
            "tracked_strict": tracked_strict,
        }
        given = Given(found, labels=labels_of(labels), isolation=isolation, options=options)
        take_inputs(given, inputs)
        show_progress(leaves_line=False)
        with started_by("" if file == DEPLOYED else Path(file).name):
            if tracked:
                with connected(place):
                    succeeded = carry_out(given.start, tell_where_it_is_shown)
            else:
                succeeded = carry_out(given.start)
    sys.exit(0 if succeeded else 1)


def tell_where_it_is_shown(run: Run) -> None:
    """Waits until a tracked run is published, and prints its page at the backend."""
    try:
        wait_for_publishing(run.name)
    except RuntimeSystemError:  # the log has said why
        click.echo(f"Not (wholly) published. Later: flyte-nb publish {run.name}", err=True)
    else:
        click.echo(f"Published: {run.url}")


def check_tracking(tracked: bool, tracked_strict: bool, place: Place) -> None:
    """Raises CommandError where something is said of publishing, and not that it is to be published."""
    said = [f"--{name}" for name in ("config", "endpoint", "insecure") if place[name]]
    if tracked_strict:
        said.append("--tracked-strict")
    if said and not tracked:
        raise CommandError(f"{', '.join(said)}: a run is shown at a backend with --tracked; without, it runs here only")


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
    if "label" not in task.native_interface.inputs:
        rows.append(("--label KEY=VALUE", "A label of the run."))
    rows.append(("-h, --help", "Show this message and exit."))
    width = max(len(option) for option, _ in rows)
    return "\n".join([*lines, "", "Options:", *(f"  {option.ljust(width)}  {text}" for option, text in rows)])


def _task_of_file(file: str, task: str) -> TaskTemplate[Any, Any]:
    return find_task(vars(load_target(_existing(file), task)), task)


def _existing(file: str) -> Path:
    path = Path(file)
    if path.is_file():
        return path
    near = near_files(path, DEPLOYED) or f" A deployed task: flyte-nb run {DEPLOYED} NAME"
    raise CommandError(f"There is no file {file}.{near}")


def _known(file: str) -> str:
    """The tasks that a file has, or that are deployed, as a sentence."""
    if file == DEPLOYED:
        return _known_deployed()
    tasks = sorted({task.name.rpartition(".")[2] for task in tasks_in(vars(load_target(_existing(file)))).values()})
    return f"Tasks there: {', '.join(tasks) or 'none; declare one with @env.task'}."


def _known_deployed() -> str:
    known = sorted({row.task for row in source.deployed_tasks()})
    return f"Deployed: {', '.join(known[:10]) or 'none; flyte-nb deploy FILE'}."


def _with_version(task: str, inputs: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The words for a deployed task whose `--version V` stands behind it, and its inputs without.

    A task that has an input of that name keeps it.
    """
    at = inputs.index("--version") + 1 if "--version" in inputs else len(inputs)
    named = {name for row in source.deployed_tasks(task, limit=1) for name, _ in row.inputs}
    if at >= len(inputs) or "version" in named:
        return task, inputs
    return f"{task}:{inputs[at]}", [*inputs[: at - 1], *inputs[at + 1 :]]


def _deployed(words: str) -> TaskTemplate[Any, Any]:
    found = find_deployed_task(words)
    if found is None:
        near = did_you_mean(words, {row.task for row in source.deployed_tasks()}) or f" {_known_deployed()}"
        raise CommandError(f"No deployed task is named {words!r}.{near}")
    return found
