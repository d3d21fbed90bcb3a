"""`%%flyte task` and `%%flyte env`: cells that declare tasks and environments.

%%flyte env train --memory 2Gi        train = TaskEnvironment("train", resources=..., cache="auto")
cache = "auto"

%%flyte task --env train              fit = train.task(fit)
def fit(rows: list[int]) -> float:
    ...
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.notebook.cells.source import read_body, statements_in
from flyte_nb.notebook.cells.steps import Asked, declared
from flyte_nb.notebook.forms.environment import environment_code
from flyte_nb.notebook.magics.environments import environment_named
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import did_you_mean

__all__ = ["declare_environment", "declare_tasks"]

SETTINGS = [field.name for field in dataclasses.fields(TaskEnvironment) if field.init and field.name != "name"]


def declare_tasks(namespace: dict[str, Any], asked: Asked, cell: str) -> None:
    """Executes a cell, and makes each function that it defines a task as soon as it is defined.

    Args:
        namespace: the user's names.
        asked: environment and settings of the tasks.
        cell: the text below the magic.

    Raises:
        CommandError: the cell defines no function, or a setting is refused.
    """
    __tracebackhide__ = True
    body = read_body(cell)
    if body.is_async:
        raise CommandError("%%flyte task declares; await in another cell.")
    if not any(isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) for statement in body.tree.body):
        raise CommandError("%%flyte task makes tasks of the functions of the cell, and it defines none.")
    environment = environment_named(namespace, asked.env)
    for statement, code in statements_in(body):
        exec(code, namespace)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        made = namespace[statement.name]
        if isinstance(made, FunctionType):  # what a decorator made a task of stays as it is
            namespace[statement.name] = declared(environment, made, asked)


def declare_environment(
    namespace: dict[str, Any], name: str, variable: str | None, options: Mapping[str, Any], cell: str
) -> None:
    """Declares an environment from options, and from the settings that the cell assigns.

    Args:
        namespace: the user's names; the environment becomes one of them.
        name: of the environment.
        variable: its variable; the name, with `_` for `-`, unless told.
        options: as `%flyte env` takes them.
        cell: the text below the magic: `setting = expression` in lines, or comments.

    Raises:
        CommandError: a setting is not known or refused.
    """
    __tracebackhide__ = True
    variable = variable or name.replace("-", "_")
    made: dict[str, Any] = {}
    exec(environment_code({**options, "name": name, "variable": variable}), made)
    settings = settings_of(cell, namespace)
    try:
        namespace[variable] = dataclasses.replace(made[variable], **settings)
    except (TypeError, ValueError) as error:
        raise CommandError(f"%%flyte env {name}: {error}") from None


def settings_of(cell: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """The settings that a cell assigns.

    Raises:
        CommandError: there is something else in it, or no such setting.
    """
    tree = read_body(f"...\n{cell}").tree  # a cell of comments is one, too
    settings: dict[str, Any] = {}
    for statement in tree.body[1:]:
        match statement:
            case ast.Assign(targets=[ast.Name(id=setting)], value=value):
                if setting not in SETTINGS:
                    raise CommandError(f"An environment has no setting {setting!r}.{did_you_mean(setting, SETTINGS)}")
                settings[setting] = eval(compile(ast.Expression(value), "<setting>", "eval"), namespace)
            case _:
                raise CommandError(
                    f"Line {statement.lineno}: an environment takes lines `setting = expression`. "
                    f"Settings: {', '.join(SETTINGS)}."
                )
    return settings
