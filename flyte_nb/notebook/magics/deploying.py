"""`%flyte deploy` and `%flyte tasks`: tasks that other notebooks fetch, by name and version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.words import split_words
from flyte_nb.remote.deploying.deploy import deploy
from flyte_nb.remote.deploying.deployment import Deployment
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import did_you_mean
from flyte_nb.remote.source import source
from flyte_nb.remote.task_details import TaskDetails
from flyte_nb.remote.trigger import next_times
from flyte_nb.remote.triggers.trigger_specs import automation_text
from flyte_nb.store.table import Table

__all__ = ["DEPLOY", "TASKS", "TRIGGERS"]

COLUMNS = ("task", "version", "deployed_at", "signature", "description")
TRIGGER_COLUMNS = ("task", "name", "version", "active", "automation", "next", "last run")


def deploy_line(namespace: Mapping[str, Any], line: str) -> Deployment:
    """Deploys the environment that a line names.

    Raises:
        CommandError: there is none, or it cannot be deployed; one clear message.
    """
    asked = DEPLOY.read(split_words(line))
    env = environment_named(namespace, asked["env"])
    try:
        (deployment,) = deploy(env, version=asked["version"], dry_run=asked["dry_run"])
    except (DeploymentError, ValueError) as error:
        raise CommandError(str(error.args[-1])) from None
    return deployment


def environment_named(namespace: Mapping[str, Any], words: str) -> TaskEnvironment:
    """The environment of a variable or of a name.

    Raises:
        CommandError: there is none; the message names near ones.
    """
    known = {name: value for name, value in namespace.items() if isinstance(value, TaskEnvironment) and name[:1] != "_"}
    found = known.get(words) or next((value for value in known.values() if value.name == words), None)
    if found is None:
        names = ", ".join(sorted(known)) or "none yet; flyte.TaskEnvironment(...) declares one"
        raise CommandError(
            f"No environment is named {words!r}.{did_you_mean(words, known) or f' Environments here: {names}.'}"
        )
    return found


def list_tasks(name: str | None) -> Table | None:
    """The versions of deployed tasks as a table."""
    try:
        if name is not None:
            source.deployed_task(name)
    except KeyError as error:
        raise CommandError(error.args[0]) from None
    rows = source.deployed_tasks(name)
    if not rows:
        print("No tasks are deployed yet: %flyte deploy ENV")
        return None
    return Table(
        COLUMNS,
        [
            (row.task, row.version, time_of(row.deployed_ns), TaskDetails(row).signature, row.short_description)
            for row in rows
        ],
    )


def list_triggers(name: str | None) -> Table | None:
    """The triggers of deployed tasks as a table."""
    rows = source.triggers(name)
    if not rows:
        print("No triggers are deployed" + (f" with task {name}." if name else " yet."))
        return None
    cells = [
        (
            row.task,
            row.name,
            row.version,
            row.is_active,
            automation_text(row.automation),
            ", ".join(f"{one:%Y-%m-%d %H:%M}" for one in next_times(row)),
            row.fired_run or row.fired_error,
        )
        for row in rows
    ]
    return Table(TRIGGER_COLUMNS, cells)


def time_of(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)


DEPLOY = Command(
    "deploy",
    "Deploys an environment's tasks, with those it depends on, so that any notebook of this store can fetch them.",
    deploy_line,
    (
        Argument("ENV", "an environment: its variable here, or its name"),
        Argument("--version", "of all its tasks; a digest of the code unless told"),
        Argument("--dry-run", "only say what would be deployed", "flag", default=False),
    ),
    examples=("%flyte deploy env", "%flyte deploy env --version v2"),
    raw=True,
)
TASKS = Command(
    "tasks",
    "Lists deployed tasks and their versions, newest first.",
    list_tasks,
    (Argument("NAME", "only of this task, ENVIRONMENT.TASK", kind="deployed", required=False),),
    examples=("%flyte tasks", "%flyte tasks train.fit"),
)
TRIGGERS = Command(
    "triggers",
    "Lists the triggers of deployed tasks, and the next times at which they are due.",
    list_triggers,
    (Argument("NAME", "only of this task, ENVIRONMENT.TASK", kind="deployed", required=False),),
    examples=("%flyte triggers",),
)
