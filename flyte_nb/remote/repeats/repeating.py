"""What the commands `rerun`, `recover` and `fork` share, in notebooks and on the command line.

    ask_rerun | ask_recovery | ask_fork  ->  Asked: its task takes inputs as words  ->  Asked.start()

Whatever a user can get wrong is a `CommandError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.identity import ROOT
from flyte_nb.errors import ActionNotFoundError, RuntimeUserError
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given
from flyte_nb.remote.repeats.fork_plan import ForkPlan, plan_fork
from flyte_nb.remote.repeats.rerun import Repeated, prepare_fork, prepare_rerun
from flyte_nb.remote.run import Run

__all__ = ["Asked", "ask_fork", "ask_recovery", "ask_rerun", "one_message"]

UNAVAILABLE = ("CodeNotFound", "EnvironmentNotFound", "InputsNotFound", "TaskNotFound")
"""Codes of the errors that say that something was not recorded."""


class Asked:
    """A run to repeat, as a command asks for it.

    Attributes:
        given: takes the inputs that replace recorded ones, labels and isolation.
    """

    def __init__(self, run: str, repeated: Repeated, forced: Sequence[str] = ()) -> None:
        self.given = Given(repeated.task)
        self._run = run
        self._repeated = repeated
        self._forced = forced

    def start(self) -> Run:
        """Runs it.

        Raises:
            CommandError: the inputs do not fit.
            flyte_nb.errors.BaseRuntimeError: the task failed; `.run` is the new run.
        """
        with one_message():
            return self._asked().start(self.given.inputs)

    def begin(self) -> Run:
        """Starts it and returns at once.

        Raises:
            CommandError: the inputs do not fit.
        """
        with one_message():
            return self._asked().begin(self.given.inputs)

    def plan(self) -> ForkPlan:
        """What a fork would do.

        Raises:
            CommandError: the inputs do not fit.
        """
        with one_message():
            return plan_fork(self._run, self._repeated.task, self._forced, **self.given.inputs)

    def _asked(self) -> Repeated:
        """The run to start, with the labels and the isolation that were given."""
        given, options = self.given, self._repeated.options
        labels = {**options.labels, **given.labels}
        options = replace(options, labels=labels, isolation=given.isolation or options.isolation)
        return self._repeated._replace(options=options)


def ask_rerun(run: Run, action: str | None) -> Asked:
    """Asks for the recorded code again.

    Args:
        run: the run.
        action: begins there, with its task and inputs.
    """
    with one_message():
        return Asked(run.name, prepare_rerun(run.name, run[action].name if action else ROOT))


def ask_recovery(run: Run, forced: Sequence[str]) -> Asked:
    """Asks for the recorded code where it stopped.

    Args:
        run: the run.
        forced: actions that run again all the same.
    """
    with one_message():
        names = [run[action].name for action in forced]
        return Asked(run.name, prepare_rerun(run.name, recover=True, forced=names), names)


def ask_fork(run: Run, task: TaskTemplate[Any, Any], forced: Sequence[str]) -> Asked:
    """Asks for the code as it stands.

    Args:
        run: the run.
        task: with the code as it stands.
        forced: actions that run again all the same.
    """
    with one_message():
        names = [run[action].name for action in forced]
        return Asked(run.name, prepare_fork(run.name, task, names), names)


@contextmanager
def one_message() -> Iterator[None]:
    """What goes wrong before a run starts is one message; what goes wrong in it stays as it is."""
    __tracebackhide__ = True
    try:
        yield
    except (ActionNotFoundError, KeyError, RuntimeUserError, TypeError, ValueError) as error:
        has_started = getattr(error, "run", None) is not None
        if has_started or (isinstance(error, RuntimeUserError) and error.code not in UNAVAILABLE):
            raise
        raise CommandError(str(error.args[0] if isinstance(error, KeyError) else error)) from None
