"""Carrying a run out for the command line: what is printed of it, and of what goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.remote import origins
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given, describe_parameters
from flyte_nb.remote.plain import run_tree
from flyte_nb.remote.run import Run
from flyte_nb.remote.source import source
from flyte_nb.store.errors import StoreError

__all__ = ["carry_out", "one_line_errors", "started_by", "take_inputs", "tree_of"]


INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended: 128 and the number of SIGINT, as shells have it."""


class Misused(click.ClickException):
    """What was asked for cannot be done as it was asked."""

    exit_code = 2


def take_inputs(given: Given, inputs: Sequence[str]) -> None:
    """Takes the inputs and options that the words of a command line give.

    Raises:
        CommandError: they do not fit.
    """
    words = list(inputs)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise CommandError(f"{word!r}: inputs are given by name. {describe_parameters(given.task)}")
        given.take_option(word, words)


def carry_out(start: Callable[[], Run], follow_up: Callable[[Run], None] = lambda run: None) -> bool:
    """Runs what `start` runs and prints how it went; whether it succeeded.

    Args:
        start: runs it to its end.
        follow_up: called with the run once it is over, however it ended.

    Raises:
        flyte_nb.errors.BaseRuntimeError: it could not begin.
    """
    try:
        done = start()
    except BaseRuntimeError as error:
        if not hasattr(error, "run"):
            raise
        click.echo(tree_of(error.run))
        info = error.run.error_info
        click.echo(info.traceback.rstrip() if info is not None and info.traceback else str(error), err=True)
        follow_up(error.run)
        return False
    except KeyboardInterrupt as stopped:
        if hasattr(stopped, "run"):
            click.echo(tree_of(stopped.run))
            follow_up(stopped.run)
        sys.exit(INTERRUPTED)
    click.echo(tree_of(done))
    for name, value in done.outputs().named_outputs.items():
        click.echo(f"{name} = {value!r}")
    follow_up(done)
    return True


@contextmanager
def started_by(notebook: str) -> Iterator[None]:
    """Runs that start in here are recorded as those of a notebook or script."""

    def origin() -> tuple[str, str]:
        return notebook, ""

    origins.origins.append(origin)
    try:
        yield
    finally:
        origins.origins.remove(origin)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a user can get wrong is one message without a traceback, and the exit code 2; of the store, 1."""
    try:
        yield
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    except (CommandError, KeyError) as error:
        raise Misused(str(error.args[0])) from None
    except BaseRuntimeError as error:  # code that is gone, or that another Python compiled
        raise Misused(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def tree_of(run: Run) -> str:
    names = {task.spec: [name for name, _ in task.inputs] for task in source.tasks(run.name)}
    return run_tree(source.run(run.name), source.actions(run.name), names)
