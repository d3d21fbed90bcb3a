"""Tab after `%flyte`: subcommands, tasks, their parameters, runs, actions, phases; and in `Task.get("...")` deployed
tasks and their versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from flyte_nb.engine.isolation import ISOLATIONS
from flyte_nb.engine.session import current_session
from flyte_nb.notebook.cells.commands import CELL_COMMANDS
from flyte_nb.notebook.cells.steps import is_value
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.commands import COMMANDS
from flyte_nb.notebook.magics.config import SETTINGS
from flyte_nb.notebook.magics.describing import descriptions
from flyte_nb.notebook.magics.environments import declared_in
from flyte_nb.notebook.magics.repeating import FORK, RECOVER, RERUN
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.paths import outline_of
from flyte_nb.remote.plain import PHASES
from flyte_nb.remote.search import LAST, find_run, find_task, tasks_in
from flyte_nb.remote.source import source

__all__ = ["complete_line", "make_matcher"]

LINE = re.compile(r"^\s*(?:[\w.,\s]+=\s*)?%(?P<cell>%?)flyte\s+(?P<rest>.*)$")
GET = re.compile(
    r"""\bTask\.get\(\s*(?:name\s*=\s*)?["'](?P<name>[^"']*)(?:["'].*\bversion\s*=\s*["'](?P<version>[^"']*))?$"""
)
RUNS_OFFERED = 50
ACTIONS_OFFERED = 200


def make_matcher(namespace: Callable[[], Mapping[str, Any]]) -> Any:
    """IPython's matcher for lines that begin with `%flyte`, and for `Task.get("...`.

    Args:
        namespace: gives the user's names.
    """

    @context_matcher()  # type: ignore[untyped-decorator]
    def flyte_matcher(context: CompletionContext) -> SimpleMatcherResult:
        line = context.line_with_cursor[: context.cursor_position]
        found = LINE.match(line)
        if found is None:
            return complete_get(line)
        fragment = re.split(r"\s", line)[-1]
        words = complete_line(namespace(), found["rest"], over_cell=bool(found["cell"]))
        told = descriptions(namespace(), found["rest"], words, over_cell=bool(found["cell"]))
        completions = [SimpleCompletion(text, type=told.get(text, "flyte")) for text in words]
        return {
            "completions": completions,
            "matched_fragment": fragment,
            "suppress": bool(completions),
            "ordered": True,
        }

    return flyte_matcher


def complete_get(line: str) -> SimpleMatcherResult:
    """What may stand where a line ends in the name or version of `flyte.remote.Task.get`."""
    found = GET.search(line)
    if found is None:
        return {"completions": [], "suppress": False}
    names, fragment = source.deployed_names(), found["version"]
    if fragment is None:
        fragment, offered = found["name"], list(dict.fromkeys(task for task, _ in names))
    else:
        offered = [version for task, version in names if task == found["name"]]
    completions = [SimpleCompletion(text, type="flyte") for text in matching(fragment, offered)]
    return {"completions": completions, "matched_fragment": fragment, "suppress": bool(completions), "ordered": True}


def complete_line(namespace: Mapping[str, Any], rest: str, over_cell: bool = False) -> list[str]:
    """What may stand where the line ends.

    Args:
        namespace: the user's names.
        rest: the line behind `%flyte `, up to the cursor.
        over_cell: it is a `%%flyte` line.
    """
    *before, fragment = re.split(r"\s+", rest.lstrip())
    if over_cell and not before:
        return matching(fragment, [*CELL_COMMANDS, "sql"])
    if over_cell and before[0] in CELL_COMMANDS:
        return matching(fragment, words_of(namespace, CELL_COMMANDS[before[0]], before[1:]))
    if not before:
        return matching(fragment, COMMANDS)
    command = COMMANDS.get(before[0])
    if command is None:
        return []
    if command.name in ("run", "map"):
        words = words_of_run(namespace, [word for word in before[1:] if word not in ("-b", "--background")])
        return matching(fragment, [*words, *(["--concurrency"] if command.name == "map" else [])])
    if command in (RERUN, RECOVER, FORK):
        return matching(fragment, words_of_repeat(namespace, command, before[1:]))
    return matching(fragment, words_of(namespace, command, before[1:]))


def words_of_run(namespace: Mapping[str, Any], before: list[str]) -> Iterable[str]:
    """Tasks, then the parameters of the task that have not been given yet."""
    if before[:1] == ["--isolation"]:
        if len(before) == 1:
            return ISOLATIONS
        before = before[2:]
    if not before:
        return [*tasks_in(namespace), *deployed_words(), "--isolation"]
    try:
        task = find_task(namespace, before[0])
    except CommandError:
        return []
    if before[-1] == "--isolation":
        return ISOLATIONS
    if before[-1].startswith("--") and "=" not in before[-1]:
        return []  # the value of an option
    given = {re.split("=", word.removeprefix("--"))[0].replace("-", "_") for word in before[1:]}
    missing = [name for name in task.native_interface.inputs if name not in given]
    return [*(f"--{name}" for name in missing), *(f"{name}=" for name in missing), "--label", "--isolation"]


def deployed_words() -> list[str]:
    """What names deployed tasks: the latest version, then every one."""
    names = source.deployed_names()
    return [*dict.fromkeys(task for task, _ in names), *(f"{task}:{version}" for task, version in names)]


def words_of_repeat(namespace: Mapping[str, Any], command: Command, before: list[str]) -> Iterable[str]:
    """Runs, then the command's own options, for a fork a task, and the inputs that may be given anew."""
    if not before:
        return values_of(namespace, command.words[0], before)
    option = command.options.get(before[-1])
    if option is not None and option.kind == "action":
        return values_of(namespace, option, before)
    if before[-1].startswith("--") and before[-1] != "--dry-run" and "=" not in before[-1]:
        return []  # the value of an option
    try:
        run = find_run(before[0])
        named = [word for word in before[1:] if word in tasks_in(namespace)]
        if command is FORK:
            inputs = list(find_task(namespace, named[0] if named else run.task_name).native_interface.inputs)
        else:
            inputs = [name for root in source.tasks(run.name)[:1] for name, _ in root.inputs]
    except CommandError:
        return []
    tasks = tasks_in(namespace) if command is FORK and len(before) == 1 else ()
    own = [name for name, argument in command.options.items() if argument.kind in ("action", "flag", "label")]
    return [*tasks, *own, *(f"--{name}" for name in inputs), *(f"{name}=" for name in inputs)]


def words_of(namespace: Mapping[str, Any], command: Command, before: list[str]) -> Iterable[str]:
    option = command.options.get(before[-1]) if before else None
    if option is not None and option.kind != "flag":
        return values_of(namespace, option, before)
    places = command.words
    filled = sum(not word.startswith("--") for word in before)
    place = places[min(filled, len(places) - 1)] if places and (filled < len(places) or places[-1].many) else None
    return [*(values_of(namespace, place, before) if place is not None else ()), *command.options]


def values_of(namespace: Mapping[str, Any], argument: Argument, before: list[str]) -> Iterable[str]:
    """What an argument of this kind may be."""
    if argument.kind == "run":
        return [LAST, *(row.name for row in source.runs(limit=RUNS_OFFERED))]
    if argument.kind == "action":
        return actions_of(before)
    if argument.kind == "task":
        return tasks_in(namespace)
    if argument.kind == "deployed":
        return dict.fromkeys(task for task, _ in source.deployed_names())
    if argument.kind == "environment":
        return declared_in(namespace)
    if argument.kind == "isolation":
        return ISOLATIONS
    if argument.kind == "caching":
        return ("auto", "override", "disable")
    if argument.kind == "variables":
        return [name for name, value in namespace.items() if is_value(value) and not name.startswith("_")]
    if argument.kind == "cache":
        return ["explain", "clear"]
    if argument.kind == "cached":
        return [LAST, *tasks_in(namespace), *(row.name for row in source.runs(limit=RUNS_OFFERED))]
    if argument.kind == "phase":
        return PHASES
    if argument.kind == "workers":
        return ["stop"]
    if argument.kind == "pool":
        active = current_session()
        return {state.environment for state in active.processes.standing()} if active is not None else []
    if argument.kind == "setting":
        return [f"{name}={value}" for name, values in SETTINGS.items() for value in values]
    if argument.kind == "subcommand":
        return COMMANDS
    return []


def actions_of(before: list[str]) -> list[str]:
    """The paths and names of the actions of the run that is named; the first of many."""
    if not before:
        return []
    outline = outline_of(find_run(before[0]).name)
    actions = list(islice(outline, ACTIONS_OFFERED))
    return [*map(outline.path_of, actions), *actions]


def matching(fragment: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(fragment)]
