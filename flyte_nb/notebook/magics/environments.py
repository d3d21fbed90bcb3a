"""The environments that a notebook has declared: found by variable or name, listed, and their options as settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.image import Image
from flyte_nb.engine.isolation import decide
from flyte_nb.engine.options import RunOptions
from flyte_nb.notebook.forms.environment_code import SecretName
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import labels_of
from flyte_nb.remote.search import did_you_mean
from flyte_nb.store.table import Table

__all__ = ["cells", "declared_in", "environment_named", "list_environments", "settings_from"]

COLUMNS = ("environment", "variable", "tasks", "isolation", "image")

cells = TaskEnvironment("cells")
"""The environment of cells that name none."""


def environment_named(namespace: Mapping[str, Any], words: str | None) -> TaskEnvironment:
    """The environment of that variable or that name; that of cells for None.

    Raises:
        CommandError: there is none.
    """
    if words is None:
        return cells
    environments = declared_in(namespace)
    by_name = {environment.name: environment for environment in environments.values()}
    found = environments.get(words) or by_name.get(words)
    if found is None:
        near = did_you_mean(words, {**environments, **by_name})
        raise CommandError(f"No environment is named {words!r}.{near} Declare one: %%flyte env {words}")
    return found


def settings_from(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `%flyte env` that were given, as settings of a `Draft`."""
    settings = {
        "name": options.get("name"),
        "variable": options.get("variable"),
        "packages": options["package"],
        "apt_packages": options["apt"],
        "cpu": options["cpu"],
        "memory": options["memory"],
        "gpu": options["gpu"],
        "cache": options["cache"],
        "env_vars": labels_of(options["env_var"]),
        "secrets": [SecretName(key) for key in options["secret"]],
    }
    return {setting: value for setting, value in settings.items() if value}


def declared_in(namespace: Mapping[str, Any]) -> dict[str, TaskEnvironment]:
    """The environments of the notebook by their variables."""
    return {
        name: value
        for name, value in namespace.items()
        if isinstance(value, TaskEnvironment) and not name.startswith("_")
    }


def list_environments(namespace: Mapping[str, Any]) -> Table | None:
    """The environments of the notebook as a table; None, and a hint, when there is none."""
    rows = [row_of(environment, name) for name, environment in declared_in(namespace).items()]
    if cells.tasks:
        rows.append(row_of(cells, ""))
    if not rows:
        print("No environments yet: %%flyte env NAME, %flyte env --form, or flyte.TaskEnvironment(...)")
        return None
    return Table(COLUMNS, rows)


def row_of(environment: TaskEnvironment, variable: str) -> tuple[str, ...]:
    tasks = environment.tasks.values()
    where = {decide(task, RunOptions())[0] for task in tasks}
    image = environment.image
    return (
        environment.name,
        variable,
        ", ".join(task.short_name for task in tasks),
        ", ".join(sorted(where)),
        image.uri if isinstance(image, Image) else image or "",
    )
