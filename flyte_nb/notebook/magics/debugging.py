"""`%flyte debug [RUN [ACTION]]`: enters a failed action again, in the kernel and in its main thread."""

from __future__ import annotations

import sys
from bdb import BdbQuit
from collections.abc import Callable
from typing import Any

from IPython.core.getipython import get_ipython

from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.launching import take_inputs
from flyte_nb.notebook.magics.words import Word, split_words
from flyte_nb.remote.debugging import Debugged, failed_action, last_failure, prepare_debug
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given
from flyte_nb.remote.repeats.repeating import one_message
from flyte_nb.remote.search import find_run

__all__ = ["DEBUG"]


def debug_line(namespace: dict[str, Any], line: str) -> Any:
    """Enters the action that a line names again.

    Args:
        namespace: the user's names.
        line: what stands after `%flyte debug`.

    Raises:
        CommandError: the line cannot be understood, or the action cannot be entered.
        BaseException: what the task raises; `%debug` then stands in its frame.
    """
    __tracebackhide__ = True
    words = split_words(line)
    is_stepped, is_bound = flag_taken(words, "--step"), flag_taken(words, "--bind")
    debugged = debugged_of(words, namespace)
    given = Given(debugged.task)
    take_inputs(given, namespace, line, words)
    if missing := [name for name in debugged.masked if name not in given.inputs]:
        raise CommandError(
            f"The input {missing[0]} held the value of a secret, which is never kept: give it again, {missing[0]}=..."
        )
    inputs = {**debugged.inputs, **given.inputs}
    if is_bound:
        namespace.update(inputs)
    print(said_of(debugged, list(inputs) if is_bound else []))
    return debugged.enter(given.inputs, stepped if is_stepped else plainly)


def debugged_of(words: list[Word], namespace: dict[str, Any]) -> Debugged:
    """The action that the first words name; they are taken away."""
    with one_message():
        run = find_run(words.pop(0).plain) if is_name(words) else last_failure()
        if run is None:
            raise CommandError("No run has failed. To enter an action all the same: %flyte debug RUN ACTION")
        action = run[words.pop(0).plain] if is_name(words) else failed_action(run)
        if action is None:
            raise CommandError(f"Run {run.name} {run.phase.value}. Say which action: %flyte debug {run.name} ACTION")
        return prepare_debug(action, namespace)


def is_name(words: list[Word]) -> bool:
    return bool(words) and not words[0].is_option and not words[0].is_expression


def flag_taken(words: list[Word], flag: str) -> bool:
    """Whether a flag stands anywhere; it is taken away."""
    at = next((at for at, word in enumerate(words) if word.text == flag), None)
    if at is not None:
        del words[at]
    return at is not None


def said_of(debugged: Debugged, bound: list[str]) -> str:
    """What is entered, with which code, and which names are bound."""
    action = debugged.action
    said = f"Entering {action.path} (action {action.name[:8]}) of run {action.run_name} again."
    if debugged.is_changed:
        said += f" {debugged.task.name} has changed since; this is its recorded code."
    return f"{said} Bound here: {', '.join(bound)}." if bound else said


def plainly(function: Callable[..., Any], /, **inputs: Any) -> Any:
    return function(**inputs)


def stepped(function: Callable[..., Any], /, **inputs: Any) -> Any:
    """Calls a function under IPython's debugger, which stops at its first line; a coroutine is run by its caller."""
    shell: Any = get_ipython()
    debugger = shell.InteractiveTB.debugger_cls()
    value = debugger.runcall(function, **inputs)
    return traced(debugger, value) if hasattr(value, "__await__") else value


async def traced(debugger: Any, coroutine: Any) -> Any:
    """A coroutine under a debugger, from its first line."""
    debugger.reset()
    sys.settrace(debugger.trace_dispatch)
    try:
        return await coroutine
    except BdbQuit:
        return None
    finally:
        debugger.quitting = True
        sys.settrace(None)


DEBUG = Command(
    "debug",
    "Enters a failed action again, here in the kernel, with its recorded inputs; %debug then stands where it fails.",
    debug_line,
    (
        Argument(
            "RUN", "name of a run, the beginning of it, or `last`; the newest that failed unless told", "run", False
        ),
        Argument("ACTION", "its name or path; the one that failed unless told", "action", False),
        Argument("--step", "stops at the first line of the task, in the debugger", "flag", default=False),
        Argument("--bind", "makes the inputs variables of the notebook, too", "flag", default=False),
        Argument("--name", "an input as text, instead of the recorded one", many=True),
        Argument("name=expression", "an input as a Python expression over the notebook's names", many=True),
    ),
    examples=("%flyte debug", "%flyte debug last report/share[1] --step", "%flyte debug r7k2m9 a3f9 depth=3"),
    raw=True,
    usage="[RUN [ACTION]] [--step] [--bind] [--name value ...] [name=expression ...]",
)
