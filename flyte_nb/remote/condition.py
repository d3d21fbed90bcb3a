"""Conditions of runs, and answering them: Flyte's `flyte.remote.Condition`, for runs of this and of other processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

from flyte_nb.authoring.condition import Answer
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.models import ActionPhase
from flyte_nb.remote.calls import blocking_classmethod, blocking_method, iterating_classmethod
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.plain import printable
from flyte_nb.remote.search import did_you_mean, find_run
from flyte_nb.remote.source import source
from flyte_nb.types.steps import decode_values

__all__ = ["Condition", "answer", "find_condition", "open_questions"]

TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}


class Condition:
    """A condition of a run, as it stood when it was looked up.

    Args:
        run_name: name of the run.
        row: its action.
    """

    def __init__(self, run_name: str, row: Any) -> None:
        self.run_name = run_name
        self._row = row

    @iterating_classmethod
    def listall(
        cls: type[Condition], /, run_name: str, action_name: str | None = None, limit: int = 100
    ) -> Iterator[Condition]:
        """The conditions of a run, in the order in which they were asked.

        Args:
            run_name: name of the run.
            action_name: only those that this action waits for, or waited.
            limit: at most so many.

        Raises:
            KeyError: there is no such run; the message names near ones.
        """
        return islice(conditions_of(run_name, action_name), limit)

    @blocking_classmethod
    def get(cls: type[Condition], name: str, /, run_name: str, action_name: str | None = None) -> Condition | None:
        """The condition of that name, one that waits before one that is over; None when there is none.

        Args:
            name: of the condition.
            run_name: name of the run.
            action_name: of the action that waits for it.

        Raises:
            KeyError: there is no such run; the message names near ones.
        """
        named = [one for one in conditions_of(run_name, action_name) if one.name == name]
        return min(named, key=lambda one: one.phase != ActionPhase.PAUSED, default=None)

    @property
    def name(self) -> str:
        return str(self._row.task)

    @property
    def action_name(self) -> str:
        """Name of its action."""
        return str(self._row.name)

    @property
    def phase(self) -> ActionPhase:
        """`paused` while it waits."""
        return ActionPhase(self._row.phase)

    @property
    def prompt(self) -> str:
        """The question."""
        return str(self._asked[0])

    @property
    def description(self) -> str:
        """More about the question."""
        return str(self._asked[1])

    @property
    def expected_type(self) -> type | None:
        """What the answer is: bool, int, float or str."""
        return TYPES.get(self.type_name)

    @property
    def type_name(self) -> str:
        """The name of that type."""
        return str(self._asked[2])

    @property
    def timeout_seconds(self) -> float | None:
        """How long it waits, None for ever."""
        seconds: float | None = self._asked[4]
        return seconds

    @property
    def seconds_left(self) -> float | None:
        """How long it still waits, None for ever."""
        if self.timeout_seconds is None or self._row.started_ns is None:
            return None
        waited: float = (time.time_ns() - self._row.started_ns) / 1e9
        return max(0.0, self.timeout_seconds - waited)

    @blocking_method
    def signal(self: Condition, payload: Answer) -> None:
        """Answers it, in whichever process of this machine, or at whichever backend, its run lives; returns when the
        answer is recorded.

        Args:
            payload: the answer, or its text as a person writes it (`yes`, `0.5`).

        Raises:
            TypeError: it is no bool, int, float or str.
            ValueError: it is not of the condition's type, and the condition stays open; or the run is out of reach.
            flyte_nb.errors.ConditionNotFoundError: it does not wait any more.
            TimeoutError: the run's process does not answer.
        """
        if not isinstance(payload, Answer):
            raise TypeError(f"payload must be bool, int, float, or str, got {type(payload).__name__}")
        source.signal(self.run_name, self.action_name, payload)

    @cached_property
    def _asked(self) -> list[Any]:
        row = self._row
        if not row.inputs:  # a backend lists actions without their values
            row = source.action(self.run_name, self.action_name)
        return decode_values(row.inputs, source.blobs)

    def __repr__(self) -> str:
        which = f"{self.name} ({self.action_name}) of run {self.run_name}"
        return f"<Condition {which} · {self.phase.value} · {self.type_name}>"


def conditions_of(run: str, parent: str | None = None) -> Iterator[Condition]:
    """The conditions of a run, in the order in which they were asked; of one action that waits, or waited, for them.

    Raises:
        KeyError: there is no such run; the message names near ones.
    """
    source.run(run)
    rows = [row for row in source.actions(run) if row.kind == "condition" and parent in (None, row.parent)]
    return iter([Condition(run, row) for row in rows])


def find_condition(run: str, condition: str | None) -> Condition:
    """The condition that a command means.

    Args:
        run: a run's name, the beginning of it, or `last`.
        condition: its name, or its action's or the beginning of that; None for the only one that waits.

    Raises:
        CommandError: there is none, or more than one.
    """
    name = find_run(run).name
    known = list(conditions_of(name))
    fits = [one for one in known if condition in (None, one.name) or one.action_name.startswith(condition or "")]
    open_ones = [one for one in fits if one.phase == ActionPhase.PAUSED]
    if len(open_ones) == 1:
        return open_ones[0]
    if open_ones:
        named = ", ".join(f"{one.action_name} ({one.name})" for one in open_ones)
        raise CommandError(f"{len(open_ones)} conditions of run {name} wait: {named}. Say which by its action.")
    if fits and condition is not None:
        raise CommandError(f"Condition '{fits[-1].name}' of run {name} does not wait: {fits[-1].phase.value}.")
    if condition is None:
        raise CommandError(f"No condition of run {name} waits for an answer.")
    near = did_you_mean(condition, [one.name for one in known])
    raise CommandError(f"Run {name} has no condition '{condition}'.{near}")


def answer(run: str, condition: str | None, value: str) -> str:
    """Answers a condition, as commands do it; returns what was done in a sentence.

    Args:
        run: a run's name, the beginning of it, or `last`.
        condition: its name, or its action's or the beginning of that; None for the only one that waits.
        value: the answer as a person writes it.

    Raises:
        CommandError: there is no such condition, it does not wait, or this is no answer to it.
    """
    found = find_condition(run, condition)
    try:
        found.signal(value)
    except KeyError as error:
        raise CommandError(str(error.args[0])) from None
    except (ValueError, TimeoutError, ConditionNotFoundError) as error:
        raise CommandError(str(error)) from None
    return f"Condition '{found.name}' of run {found.run_name} is answered: {value}"


def open_questions(run: str) -> str:
    """The conditions of a run that wait, a line each.

    Raises:
        CommandError: there is no such run.
    """
    name = find_run(run).name
    lines = [
        f"{one.name} ({one.action_name}, {one.type_name}): {one.prompt}"
        for one in conditions_of(name)
        if one.phase == ActionPhase.PAUSED
    ]
    return "\n".join(printable(line) for line in lines) or f"No condition of run {name} waits for an answer."
