"""The cell magics `%%flyte run`, `%%flyte task` and `%%flyte env`: their declarations, and the way to each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.notebook.cells.declaring import declare_environment, declare_tasks
from flyte_nb.notebook.cells.steps import Asked, run_cell
from flyte_nb.notebook.forms.commands import ENV
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.environments import settings_from
from flyte_nb.notebook.magics.words import split_words

__all__ = ["CELL_COMMANDS", "execute_cell"]


def run(namespace: dict[str, Any], cell: str, **options: Any) -> Any:
    """`%%flyte run`."""
    __tracebackhide__ = True
    inputs, outputs = options.pop("in"), options.pop("out")
    return run_cell(namespace, Asked(inputs=inputs, outputs=outputs, **options), cell)


def task(namespace: dict[str, Any], cell: str, **options: Any) -> None:
    """`%%flyte task`."""
    __tracebackhide__ = True
    declare_tasks(namespace, Asked(**options), cell)


def env(namespace: dict[str, Any], cell: str, name: str, variable: str | None, **options: Any) -> None:
    """`%%flyte env`."""
    __tracebackhide__ = True
    declare_environment(namespace, name, variable, settings_from(options), cell)


def execute_cell(command: Command, namespace: dict[str, Any], line: str, cell: str) -> Any:
    """Carries out `%%flyte COMMAND LINE` with the text below it.

    Raises:
        CommandError: it cannot be understood or done; one clear message.
        flyte_nb.errors.BaseRuntimeError: the cell failed.
    """
    __tracebackhide__ = True
    function: Callable[..., Any] = command.function
    return function(namespace, cell, **command.read(split_words(line)))


SETTINGS = (
    Argument("--cache", "auto: equal code and inputs are not executed again; override, disable", "caching"),
    Argument("--cpu", "cores, such as 2 or 500m"),
    Argument("--memory", "such as 512Mi or 4Gi; it runs in a process then"),
    Argument("--timeout", "seconds; in a process, unless it awaits"),
    Argument("--retries", "so often it is tried again when it fails", "number", default=0),
)

RUN_CELL = Command(
    "run",
    "Runs the cell as a task: the variables that it reads are the inputs, those that it assigns come back.",
    run,
    (
        Argument("--env", "the environment: its variable or its name; `cells` unless told", "environment"),
        Argument("--in", "the inputs, `a,b`; the variables that the cell reads unless told", "variables"),
        Argument("--out", "what comes back, `a,b`; the variables that the cell assigns unless told", "variables"),
        Argument("--name", "of the task; the last name that the cell assigns unless told"),
        Argument("--isolation", "where it runs: kernel, process or virtualenv", "isolation"),
        *SETTINGS,
        Argument("--label", "a label of the run; can be given several times", "label", many=True),
    ),
    examples=("%%flyte run --cache auto", "%%flyte run --isolation process --memory 2Gi --name fit"),
    magic="%%flyte",
)

TASK_CELL = Command(
    "task",
    "Executes the cell and makes tasks of the functions that it defines.",
    task,
    (Argument("--env", "the environment: its variable or its name; `cells` unless told", "environment"), *SETTINGS),
    examples=("%%flyte task --env train --cache auto",),
    magic="%%flyte",
)

ENV_CELL = Command(
    "env",
    "Declares an environment; the cell holds further settings as `setting = expression`, or comments.",
    env,
    (
        Argument("NAME", "its name"),
        Argument("--variable", "the Python name that it gets; NAME, with _ for -, unless told"),
        *(argument for argument in ENV.arguments if argument.key not in ("name", "variable", "form")),
    ),
    examples=("%%flyte env train --memory 2Gi --cache auto",),
    magic="%%flyte",
)

CELL_COMMANDS = {command.name: command for command in (RUN_CELL, TASK_CELL, ENV_CELL)}
"""Every subcommand that takes a cell, by its name."""
