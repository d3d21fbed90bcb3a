"""`%flyte run [-b] [--isolation WHERE] TASK --name value ... name=expression ...`: from the line to the run."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from flyte_nb.executors.placement import Isolation
from flyte_nb.notebook.magics.words import Word, pointed, split_words
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given, describe_parameters, isolation_named, parameter_named
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import find_task

__all__ = ["evaluated", "flag_taken", "run_line", "take_inputs"]


def run_line(namespace: Mapping[str, Any], line: str) -> Run:
    """Runs the task that a line names, with the inputs that it gives.

    Args:
        namespace: the user's names: tasks, and what expressions mean.
        line: what stands after `%flyte run`.

    Raises:
        CommandError: the line cannot be understood; one clear message.
        flyte_nb.errors.BaseRuntimeError: the task failed.
    """
    words = split_words(line)
    in_background = flag_taken(words, "-b", "--background")
    given = read_words(namespace, line, words)
    return given.begin() if in_background else given.start()


def read_line(namespace: Mapping[str, Any], line: str) -> Given:
    """The task, inputs and labels of a line.

    Raises:
        CommandError: see `run_line`.
    """
    return read_words(namespace, line, split_words(line))


def read_words(namespace: Mapping[str, Any], line: str, words: list[Word]) -> Given:
    """The same of the words of a line."""
    isolation = isolation_before_task(words)
    if not words or words[0].is_option:
        raise CommandError("Say which task: %flyte run TASK [--name value ...] [name=expression ...]")
    given = Given(find_task(namespace, words[0].text), isolation=isolation)
    take_inputs(given, namespace, line, words[1:])
    return given


def take_inputs(given: Given, namespace: Mapping[str, Any], line: str, words: Sequence[Word]) -> None:
    """Takes the inputs and options that words give: `--name value`, `name=expression`.

    Args:
        given: takes them.
        namespace: what expressions mean.
        line: where the words stand.
        words: the words.

    Raises:
        CommandError: see `run_line`.
    """
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.is_option:
            texts = [following.plain for following in rest]
            given.take_option(word.plain, texts)
            rest = rest[len(rest) - len(texts) :]
        elif word.is_expression:
            name = parameter_named(given.task, word.text.partition("=")[0])
            given.give(name, evaluated(namespace, line, word))
        else:
            raise CommandError(
                f"{word.text!r}: inputs are given by name, as --name value or name=expression. "
                f"{describe_parameters(given.task)}"
            )


def flag_taken(words: list[Word], *names: str) -> bool:
    """Whether a flag stands in front of the task; it is taken away."""
    if not words or words[0].text not in names:
        return False
    del words[0]
    return True


def isolation_before_task(words: list[Word]) -> Isolation | None:
    """What `--isolation WHERE` in front of the task says; those words are taken away."""
    if not words or words[0].text.partition("=")[0] != "--isolation":
        return None
    _, is_joined, text = words.pop(0).plain.partition("=")
    if not is_joined:
        if not words:
            raise CommandError("--isolation needs a value: %flyte run --isolation process TASK")
        text = words.pop(0).plain
    return isolation_named(text)


def evaluated(namespace: Mapping[str, Any], line: str, word: Word) -> Any:
    """The value of `name=expression`.

    Raises:
        CommandError: it is not an expression (with a caret under the spot), or fails.
    """
    name, _, text = word.text.partition("=")
    offset = word.start + len(name) + 1
    if not text:
        raise pointed(line, offset, f"{name}= needs a Python expression")
    try:
        code = compile(ast.parse(text, mode="eval"), f"<{name}>", "eval")
    except SyntaxError as error:
        raise pointed(line, offset + (error.offset or 1) - 1, f"{name}: {error.msg}") from None
    try:
        return eval(code, dict(namespace))
    except Exception as error:  # the user's own expression may raise anything
        raise CommandError(f"{name}={text}: {type(error).__name__}: {error}") from error
