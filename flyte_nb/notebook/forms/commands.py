"""`%flyte launch` and `%flyte env`: forms in cells, and what they do without a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyte_nb.engine.identity import ROOT
from flyte_nb.notebook.explorer import Explorers
from flyte_nb.notebook.forms.environment import EnvironmentForm, environment_code
from flyte_nb.notebook.forms.forms import Forms
from flyte_nb.notebook.forms.launch import LaunchForm
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.environments import list_environments, settings_from
from flyte_nb.notebook.magics.words import split_words
from flyte_nb.remote.action import Action
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import find_run, find_task
from flyte_nb.store.table import Table

__all__ = ["ENV", "LAUNCH", "serve_forms", "stop_serving_forms"]


@dataclass
class Served:
    """What forms in cells need of the kernel."""

    shell: Any
    explorers: Explorers
    forms: Forms


_served: Served | None = None


def serve_forms(shell: Any, explorers: Explorers, forms: Forms) -> None:
    """Lets the commands show forms in this kernel.

    Args:
        shell: the kernel's shell.
        explorers: show the runs that forms start.
        forms: serve the pages that draw them.
    """
    global _served
    _served = Served(shell, explorers, forms)


def stop_serving_forms() -> None:
    """Forgets the kernel again."""
    global _served
    _served = None


def launch_line(namespace: Mapping[str, Any], line: str) -> None:
    """`%flyte launch TASK [--from RUN[/ACTION]]`."""
    values = LAUNCH.read(split_words(line))
    recorded = recorded_action(values["from"]) if values["from"] else None
    name = values["task"] or (recorded.task_name if recorded is not None else "")
    if not name:
        raise CommandError(f"TASK missing: {LAUNCH.usage_line()}")
    task = find_task(namespace, name)
    kernel = served_kernel(f"%flyte run {task.name}")
    explorer = kernel.explorers.make()
    form = LaunchForm(task, namespace, kernel.explorers, recorded, explorer)
    kernel.shell.display_pub.publish(kernel.forms.add(form).bundle())
    explorer.place()


def describe_environment(form: bool, **options: Any) -> Table | None:
    """`%flyte env`: lists environments, writes the code of one into the next cell, or shows the form for it."""
    from IPython import get_ipython

    shell = get_ipython()
    given = settings_from(options)
    if not form and not given:
        return list_environments(shell.user_ns)
    if form or "name" not in given:
        kernel = served_kernel(EnvironmentForm.by_hand)
        kernel.shell.display_pub.publish(kernel.forms.add(EnvironmentForm(given)).bundle())
    else:
        shell.set_next_input(environment_code(given))
    return None


def recorded_action(words: str) -> Action:
    """The action that `RUN` (then its root) or `RUN/ACTION` means."""
    run, _, action = words.partition("/")
    try:
        return find_run(run)[action or ROOT]
    except KeyError as error:
        raise CommandError(str(error.args[0])) from None


def served_kernel(by_hand: str) -> Served:
    """What forms need of the kernel.

    Raises:
        CommandError: this is none; the message says how the same is done here.
    """
    if _served is None:
        raise CommandError(f"Forms are drawn in notebooks. Here: {by_hand}")
    return _served


LAUNCH = Command(
    "launch",
    "Shows a form for the inputs of a task, which runs it.",
    launch_line,
    (
        Argument("TASK", "a task: its name here, or its full name", kind="task", required=False),
        Argument("--from", "a run, or RUN/ACTION, whose inputs stand in the form", kind="run"),
    ),
    examples=("%flyte launch fit", "%flyte launch --from last"),
    raw=True,
    usage="TASK [--from RUN[/ACTION]]",
)
ENV = Command(
    "env",
    "Lists the environments; writes the code of a new one into the next cell, or shows a form for it.",
    describe_environment,
    (
        Argument("NAME", "its name; with nothing at all the environments are listed", required=False),
        Argument("--form", "shows the form, with what is given in it", kind="flag", default=False),
        Argument("--variable", "the Python name that it gets; env unless told"),
        Argument("--package", "a Python package of its image; can be given several times", many=True),
        Argument("--apt", "a Debian package of its image; can be given several times", many=True),
        Argument("--cpu", "cores, such as 2 or 500m"),
        Argument("--memory", "such as 512Mi or 4Gi"),
        Argument("--gpu", "a device with its number, such as T4:1"),
        Argument("--cache", "auto, override or disable"),
        Argument("--env-var", "an environment variable, NAME=VALUE", kind="label", many=True),
        Argument("--secret", "name of a secret; can be given several times", many=True),
    ),
    examples=("%flyte env --form", "%flyte env train --package polars --cpu 2 --memory 4Gi"),
)
