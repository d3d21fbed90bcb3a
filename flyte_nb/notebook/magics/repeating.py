"""`%flyte rerun`, `%flyte recover` and `%flyte fork`: earlier runs again.

Each takes a run and options of its own, `fork` a task, and then inputs as `%flyte run` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.launching import take_inputs
from flyte_nb.notebook.magics.words import Word, split_words
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.repeats.fork_plan import ForkPlan
from flyte_nb.remote.repeats.repeating import ask_fork, ask_recovery, ask_rerun
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import find_run, find_task

__all__ = ["FORK", "RECOVER", "RERUN"]


def rerun_line(namespace: Mapping[str, Any], line: str) -> Run:
    """`%flyte rerun LINE`."""
    run, words = run_of(RERUN, line)
    actions = taken(words, "--action")
    asked = ask_rerun(run, actions[-1] if actions else None)
    take_inputs(asked.given, namespace, line, words)
    return asked.start()


def recover_line(namespace: Mapping[str, Any], line: str) -> Run:
    """`%flyte recover LINE`."""
    run, words = run_of(RECOVER, line)
    asked = ask_recovery(run, taken(words, "--force"))
    take_inputs(asked.given, namespace, line, words)
    return asked.start()


def fork_line(namespace: Mapping[str, Any], line: str) -> Run | ForkPlan:
    """`%flyte fork LINE`."""
    run, words = run_of(FORK, line)
    forced = taken(words, "--force")
    is_planned = any(word.text == "--dry-run" for word in words)
    words = [word for word in words if word.text != "--dry-run"]
    names_task = bool(words) and not words[0].is_option and not words[0].is_expression
    task = find_task(namespace, words.pop(0).text if names_task else run.task_name)
    asked = ask_fork(run, task, forced)
    take_inputs(asked.given, namespace, line, words)
    return asked.plan() if is_planned else asked.start()


def run_of(command: Command, line: str) -> tuple[Run, list[Word]]:
    """The run that a line names first, and the words behind it."""
    words = split_words(line)
    if not words or words[0].is_option:
        raise CommandError(f"RUN missing: {command.usage_line()}")
    return find_run(words[0].plain), words[1:]


def taken(words: list[Word], option: str) -> Sequence[str]:
    """The values of an option of the command's own; those words are taken away."""
    values = []
    at = 0
    while at < len(words):
        name, is_joined, text = words[at].plain.partition("=")
        if name != option:
            at += 1
            continue
        if not is_joined and at + 1 == len(words):
            raise CommandError(f"{option} needs a value")
        values.append(text if is_joined else words[at + 1].plain)
        del words[at : at + 1 + (not is_joined)]
    return values


RUN = Argument("RUN", "name of a run, the beginning of it, or `last`", kind="run")
INPUTS = (
    Argument("--name", "an input as text, instead of the recorded one", many=True),
    Argument("name=expression", "an input as a Python expression over the notebook's names", many=True),
    Argument("--label", "a label of the new run", kind="label", many=True),
)
FORCE = Argument("--force", "an action that runs again all the same; can be given several times", "action", many=True)
INPUT_WORDS = "[--name value ...] [name=expression ...]"

RERUN = Command(
    "rerun",
    "Runs the recorded code of a run again, whatever the notebook's cells say now.",
    rerun_line,
    (RUN, Argument("--action", "begins with this action's task and inputs", kind="action"), *INPUTS),
    examples=("%flyte rerun last", "%flyte rerun r7k2m9 --action a3f9 x=4"),
    raw=True,
    usage=f"RUN [--action ACTION] {INPUT_WORDS}",
)
RECOVER = Command(
    "recover",
    "Goes on where a run stopped: recorded code, and what finished is reused.",
    recover_line,
    (RUN, FORCE, *INPUTS),
    examples=("%flyte recover last", "%flyte recover r7k2m9 --force a3f9"),
    raw=True,
    usage=f"RUN [--force ACTION ...] {INPUT_WORDS}",
)
FORK = Command(
    "fork",
    "Runs a task as its cell stands now, and reuses what finished in an earlier run where its code is the same.",
    fork_line,
    (
        RUN,
        Argument("TASK", "the task; that of the same name unless told", kind="task", required=False),
        Argument("--dry-run", "only tells what will be reused, and what runs again and why", "flag", default=False),
        FORCE,
        *INPUTS,
    ),
    examples=("%flyte fork last --dry-run", "%flyte fork r7k2m9 main n=4"),
    raw=True,
    usage=f"RUN [TASK] [--dry-run] [--force ACTION ...] {INPUT_WORDS}",
)
