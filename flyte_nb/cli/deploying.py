"""`flyte-nb deploy`: environments of a file, or of a notebook, into the store as versions of their tasks."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

import click

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.cli.carrying import one_line_errors, started_by
from flyte_nb.cli.output import echo_rows, output_option
from flyte_nb.cli.taskfile import existing_file, load_target
from flyte_nb.errors import DeploymentError
from flyte_nb.remote.deploying.deploy import deploy as deploy_environments
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import did_you_mean

__all__ = ["deploy"]


@click.command(short_help="Deploys the environments of a file.")
@click.option("--version", help="Of all its tasks; a digest of the code unless told.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deployed.")
@output_option
@click.argument("file", callback=existing_file)
@click.argument("env", required=False)
def deploy(version: str | None, dry_run: bool, output: str, file: Path, env: str | None) -> None:
    """Deploys the environments of FILE with their tasks, code and triggers, or one ENV and those it depends on.

    ENV is an environment's name, or its variable in FILE.
    """
    with one_line_errors():
        with redirect_stdout(sys.stderr) if output == "json" else nullcontext():  # what the file itself prints
            names = vars(load_target(file))
        chosen = _environments(names, file, env)
        try:
            with started_by(file.name):
                deployments = deploy_environments(*chosen, version=version, dry_run=dry_run)
        except (DeploymentError, ValueError) as error:
            raise CommandError(str(error.args[-1])) from None
    tasks = [task for one in deployments for env in one.envs.values() for task in env.deployed_entities]
    cells = [
        (task.get_name(), task.deployed_task.version, task.outcome, [t.name for t in task.deployed_triggers])
        for task in tasks
    ]
    echo_rows(output, ("task", "version", "outcome", "triggers"), cells, "Its environments have no tasks.")


def _environments(names: dict[str, object], file: Path, env: str | None) -> list[TaskEnvironment]:
    found = {name: value for name, value in names.items() if isinstance(value, TaskEnvironment)}
    by_name = {value.name: value for value in found.values()} | found
    if env is None:
        if not found:
            raise CommandError(f"{file.name} has no environments: flyte.TaskEnvironment(...)")
        return list(dict.fromkeys(found.values()))
    if env not in by_name:
        known = ", ".join(sorted({value.name for value in found.values()})) or "none"
        near = did_you_mean(env, by_name)
        raise CommandError(f"{file.name} has no environment {env!r}.{near or f' Environments there: {known}.'}")
    return [by_name[env]]
