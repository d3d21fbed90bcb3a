"""What stands beside the words that Tab offers: types and help of parameters and options, what a run was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.notebook.cells.commands import CELL_COMMANDS
from flyte_nb.notebook.magics.arguments import Command
from flyte_nb.notebook.magics.commands import COMMANDS
from flyte_nb.remote.parameters import parameter_help, parameter_text
from flyte_nb.remote.search import tasks_in
from flyte_nb.remote.source import source

__all__ = ["descriptions"]

LONGEST = 60
"""Characters: the list of completions is as wide as its widest line."""


def descriptions(
    namespace: Mapping[str, Any], rest: str, words: Iterable[str], over_cell: bool = False
) -> dict[str, str]:
    """What is to be said of each word; of some there is nothing.

    Args:
        namespace: the user's names.
        rest: the line behind `%flyte `, up to the cursor.
        words: what is offered there.
        over_cell: it is a `%%flyte` line.
    """
    *before, _ = re.split(r"\s+", rest.lstrip())
    commands = {**COMMANDS, **CELL_COMMANDS} if over_cell else COMMANDS
    if not before:
        return {word: shortened(commands[word].summary) for word in words if word in commands}
    tasks = tasks_in(namespace)
    named = next((tasks[word] for word in before[1:] if word in tasks), None)
    command = commands.get(before[0])
    runs = {}
    if command is not None and any(argument.kind in ("run", "cached") for argument in command.arguments):
        runs = {row.name: f"{row.task} {row.phase}" for row in source.runs()}
    told = {word: description(word, command, named) or runs.get(word, "") for word in words}
    told |= {word: signature_of(tasks[word]) for word in words if word in tasks}
    return {word: shortened(text) for word, text in told.items() if text}


def description(word: str, command: Command | None, task: TaskTemplate[Any, Any] | None) -> str:
    """What is to be said of an option of the command, or of an input of the task."""
    name = word.removeprefix("--").removesuffix("=").replace("-", "_")
    if task is not None and name in task.native_interface.inputs and word != name:
        return "  ".join(filter(None, [parameter_text(task, name), parameter_help(task, name)]))
    return command.options[word].help if command is not None and word in command.options else ""


def signature_of(task: TaskTemplate[Any, Any]) -> str:
    """`(depth: int, rate: float = 0.1)`, and what its docstring says of it."""
    said = task.native_interface.docstring
    about = said.short_description.splitlines()[0] if said is not None and said.short_description else ""
    return f"({', '.join(parameter_text(task, name) for name in task.native_interface.inputs)})  {about}".rstrip()


def shortened(text: str) -> str:
    """The text in one line that JupyterLab does not break: its rows are one line high."""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text.replace(" ", "\N{NO-BREAK SPACE}")
