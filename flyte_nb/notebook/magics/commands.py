"""The subcommands of `%flyte`: what each does, and their declarations (see `flyte_nb.notebook.magics.arguments`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flyte_nb.notebook import origin
from flyte_nb.notebook.cells.commands import CELL_COMMANDS, execute_cell
from flyte_nb.notebook.forms.commands import ENV, LAUNCH
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.cache import CACHE
from flyte_nb.notebook.magics.checking import CHECK
from flyte_nb.notebook.magics.config import CONFIG
from flyte_nb.notebook.magics.debugging import DEBUG
from flyte_nb.notebook.magics.deploying import DEPLOY, TASKS, TRIGGERS
from flyte_nb.notebook.magics.explaining import EXPLAIN
from flyte_nb.notebook.magics.housekeeping import ABORT, EXPORT, IMPORT, PRUNE, PUBLISH
from flyte_nb.notebook.magics.images import IMAGES
from flyte_nb.notebook.magics.launching import run_line
from flyte_nb.notebook.magics.mapping import MAP
from flyte_nb.notebook.magics.repeating import FORK, RECOVER, RERUN
from flyte_nb.notebook.magics.signaling import SIGNAL
from flyte_nb.notebook.magics.waiting import WAIT
from flyte_nb.notebook.magics.words import split_words
from flyte_nb.notebook.magics.workers import WORKERS
from flyte_nb.notebook.views.comparison import Comparison
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.logs import Logs
from flyte_nb.remote.parameters import labels_of, task_help
from flyte_nb.remote.plain import PHASES, error_line
from flyte_nb.remote.repeats.interrupted import interrupted_among
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import did_you_mean, find_run, find_task
from flyte_nb.remote.source import source
from flyte_nb.store.errors import QueryError
from flyte_nb.store.rows import RunRow
from flyte_nb.store.table import Table

__all__ = ["COMMANDS", "execute", "overview"]

RUN_COLUMNS = ("run", "task", "phase", "started_at", "seconds", "actions", "error", "labels", "notebook")
LOG_ENTRIES = 1_000


def execute(namespace: dict[str, Any], line: str, cell: str | None = None) -> Any:
    """Carries out `%flyte LINE`, or `%%flyte LINE` with the text of the cell below it.

    Args:
        namespace: the user's names.
        line: subcommand and the rest.
        cell: text of the cell, for `sql` and what makes tasks of cells.

    Raises:
        CommandError: it cannot be understood or done; one clear message.
        flyte_nb.errors.BaseRuntimeError: a task that `run` ran failed.
    """
    name, _, rest = line.strip().partition(" ")
    if name in ("", "-h", "--help"):
        return help_line(namespace, "")
    if cell is not None and name in CELL_COMMANDS:
        if rest.strip() in ("-h", "--help"):
            return help_line(namespace, name)
        return execute_cell(CELL_COMMANDS[name], namespace, rest, cell)
    command = COMMANDS.get(name)
    if command is None:
        known = did_you_mean(name, COMMANDS)
        raise CommandError(f"%flyte has no subcommand {name!r}.{known or ' There are: ' + ', '.join(COMMANDS) + '.'}")
    if rest.strip() in ("-h", "--help"):
        return help_line(namespace, name)
    if cell is not None:
        if name != "sql":
            raise CommandError(f"%%flyte {name} takes no cell; write %flyte {name} in a line.")
        rest = f"{rest}\n{cell}"
    if command.raw:
        return command.function(namespace, rest.strip())
    return command.function(**command.read(split_words(rest)))


def list_runs(limit: int, phase: list[str], task: str | None, label: list[str], notebook: bool) -> Table | None:
    """The runs as a table."""
    unknown = [one for one in phase if one not in PHASES]
    if unknown:
        raise CommandError(
            f"There is no phase {unknown[0]!r}.{did_you_mean(unknown[0], PHASES)} Phases: {', '.join(PHASES)}"
        )
    try:
        rows = source.runs(
            limit=limit,
            phase=phase or None,
            task=task,
            labels=labels_of(label) or None,
            notebook=(origin.notebook_name() or "-") if notebook else None,
        )
    except ValueError as error:  # a backend does not know notebooks
        raise CommandError(str(error)) from None
    if not rows:
        print("No runs fit." if phase or task or label or notebook else "No runs yet: %flyte run TASK")
        return None
    interrupted = interrupted_among(rows)
    return Table(RUN_COLUMNS, [run_cells(row, row.name in interrupted) for row in rows])


def run_cells(row: RunRow, is_interrupted: bool) -> tuple[Any, ...]:
    ended = row.ended_ns
    error = error_line(row.error) if row.error is not None else ""
    return (
        row.name,
        row.task,
        row.phase,
        datetime.fromtimestamp(row.started_ns / 1e9, UTC),
        round((ended - row.started_ns) / 1e9, 3) if ended is not None else None,
        row.action_count or None,  # a backend does not tell
        f"{error} Go on: %flyte recover {row.name}" if is_interrupted else error,
        ", ".join(f"{key}={value}" for key, value in row.labels.items()),
        row.notebook,
    )


def show_run(run: str) -> Run:
    return find_run(run)


def compare_runs(run: str, other: str) -> Comparison:
    """The comparison.

    Raises:
        CommandError: a run is at a backend, which tells the values of one action at a time.
    """
    names = find_run(run).name, find_run(other).name
    for name in names:
        backend = source.elsewhere(name)
        if backend is not None:
            raise CommandError(
                f"Run {name} is at {backend.endpoint}, which tells the values of one action at a time: only runs of "
                f"this store are compared. flyte.remote.Run.get({name!r})[ACTION].outputs() gives those of an action."
            )
    return Comparison(*names)


def show_logs(run: str, action: str | None, limit: int) -> Logs:
    found = find_run(run)
    try:
        return found.logs(action, limit)
    except KeyError as error:
        raise CommandError(str(error.args[0])) from None


def tag_run(run: str, label: list[str]) -> None:
    found = find_run(run)
    labels = {key: value or None for key, value in labels_of(label).items()}
    try:
        source.label(found.name, labels)
    except ValueError as error:  # it is at a backend
        raise CommandError(str(error)) from None
    print(f"{found.name}: " + (", ".join(f"{key}={value}" for key, value in found.labels.items()) or "no labels"))


def query(namespace: Mapping[str, Any], text: str) -> Any:
    if not text:
        raise CommandError("%flyte sql takes one SELECT: %flyte sql SELECT * FROM runs")
    frames = {name: value for name, value in namespace.items() if not name.startswith("_") and is_frame(value)}
    try:
        return source.store.sql(text, frames)
    except QueryError as error:
        raise CommandError(str(error)) from None


def is_frame(value: Any) -> bool:
    """Whether the value is a table that SQL may join."""
    if isinstance(value, Table):
        return True
    library = type(value).__module__.partition(".")[0]
    return library in ("pandas", "polars", "pyarrow") and type(value).__name__ in ("DataFrame", "LazyFrame", "Table")


def overview() -> str:
    """Every subcommand in a line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command.name.ljust(width)}  {command.summary}" for command in COMMANDS.values()]
    of_cells = [f"  {command.name.ljust(width)}  {command.summary}" for command in CELL_COMMANDS.values()]
    more = "More with %flyte SUBCOMMAND? or %flyte help SUBCOMMAND [TASK]."
    return "\n".join(
        ["%flyte SUBCOMMAND ...\n", *lines, "\n%%flyte SUBCOMMAND ... over a cell\n", *of_cells, f"\n{more}"]
    )


def help_line(namespace: Mapping[str, Any], line: str) -> None:
    """Prints what there is, or how a subcommand is used, or with a task what that takes."""
    subcommand, *task = [word.text for word in split_words(line)] or [""]
    if not subcommand:
        print(overview())
    elif task:
        print(f"{task_help(find_task(namespace, task[0]))}\n\n{help_of(subcommand).splitlines()[0]}")
    else:
        print(help_of(subcommand))


def help_of(subcommand: str) -> str:
    """How a subcommand is used, in lines and over cells.

    Raises:
        CommandError: there is none of that name.
    """
    of_that_name = [commands[subcommand] for commands in (COMMANDS, CELL_COMMANDS) if subcommand in commands]
    if not of_that_name:
        raise CommandError(f"%flyte has no subcommand {subcommand!r}.{did_you_mean(subcommand, COMMANDS)}")
    return "\n\n".join(command.help() for command in of_that_name)


RUN = Argument("RUN", "name of a run, the beginning of it, or `last`", kind="run")

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "run",
            "Runs a task and returns the Run; inputs are checked against the task's signature.",
            run_line,
            raw=True,
            usage="[-b] [--isolation WHERE] TASK [--name value ...] [name=expression ...] [--label KEY=VALUE ...]",
            arguments=(
                Argument("TASK", "a task: its name here, or its full name", kind="task"),
                Argument("--name", "an input as text: 3, 2026-01-31, [1, 2] (JSON)", many=True),
                Argument("name=expression", "an input as a Python expression over the notebook's names", many=True),
                Argument("--label", "a label of the run", kind="label", many=True),
                Argument("--isolation", "where its tasks run: kernel, process or virtualenv", kind="isolation"),
                Argument("--background", "in front of the task: returns at once; also -b", kind="flag"),
            ),
            examples=("%flyte run fit --depth 3", "r = %flyte run fit frame=df --label team=risk"),
        ),
        CHECK,
        MAP,
        WAIT,
        SIGNAL,
        LAUNCH,
        ENV,
        DEPLOY,
        TASKS,
        TRIGGERS,
        EXPLAIN,
        Command(
            "runs",
            "Lists runs, newest first, as a table.",
            list_runs,
            (
                Argument("--limit", "at most so many; 20 unless told", kind="number", default=20),
                Argument("--phase", "only runs in this phase; can be given several times", kind="phase", many=True),
                Argument("--task", "only runs of this task", kind="task"),
                Argument("--label", "only runs with this label; can be given several times", kind="label", many=True),
                Argument("--notebook", "only runs of this notebook", kind="flag", default=False),
            ),
            examples=("%flyte runs --phase failed --limit 5", "%flyte runs --label team=risk"),
        ),
        RERUN,
        RECOVER,
        FORK,
        DEBUG,
        ABORT,
        Command("show", "Draws a run.", show_run, (RUN,), examples=("%flyte show last",)),
        Command(
            "compare",
            "Draws two runs side by side: what differs in inputs, durations and outcomes.",
            compare_runs,
            (
                RUN,
                Argument(
                    "OTHER",
                    "the run to compare with it; the last unless told",
                    kind="run",
                    required=False,
                    default="last",
                ),
            ),
            examples=("%flyte compare r7k2m9 last", "%flyte compare r7k2m9 r8p3n1"),
        ),
        Command(
            "logs",
            "Shows what a run's tasks printed.",
            show_logs,
            (
                RUN,
                Argument("ACTION", "only this action's; the beginning of its name is enough", "action", required=False),
                Argument("--limit", "only the last so many entries; 1000 unless told", "number", default=LOG_ENTRIES),
            ),
            examples=("%flyte logs last", "%flyte logs r7k2m9 a3f9"),
        ),
        Command(
            "tag",
            "Sets labels of a run; `KEY=` takes one away.",
            tag_run,
            (RUN, Argument("LABEL", "a label, KEY=VALUE", kind="label", many=True)),
            examples=("%flyte tag last team=risk best=yes",),
        ),
        Command(
            "sql",
            "Answers one SELECT over runs, actions, attempts, logs, values, tasks, and the notebook's frames.",
            query,
            raw=True,
            usage="SELECT ...",
            examples=("%flyte sql SELECT task, avg(duration_seconds) FROM actions GROUP BY task",),
        ),
        PRUNE,
        EXPORT,
        IMPORT,
        PUBLISH,
        CACHE,
        CONFIG,
        WORKERS,
        IMAGES,
        Command(
            "help",
            "Shows what there is, or how a subcommand is used, and what a task takes; also %flyte SUBCOMMAND?",
            help_line,
            (
                Argument("SUBCOMMAND", "which", kind="subcommand", required=False),
                Argument("TASK", "whose parameters", kind="task", required=False),
            ),
            examples=("%flyte help run fit", "%flyte run fit?"),
            raw=True,
        ),
    )
}
"""Every subcommand by its name."""
