"""The phases of an action, and their times: what Flyte's `ActionDetails` tells of them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flyte_nb.models import ActionPhase
from flyte_nb.store.rows import AttemptRow

__all__ = ["PhaseTimes", "PhaseTransitionInfo", "check_awaited", "duration_of", "utc_time", "utc_time_or_none"]


@dataclass(frozen=True)
class PhaseTransitionInfo:
    """A phase that an attempt was in.

    Attributes:
        phase: the phase.
        start_time: when it began, UTC.
        end_time: when it ended; None while it lasts.
    """

    phase: ActionPhase
    start_time: datetime
    end_time: datetime | None

    @property
    def duration(self) -> timedelta:
        """From its start to its end, or to now while it lasts."""
        return (self.end_time or datetime.now(UTC)) - self.start_time


class PhaseTimes(ABC):
    """The part of Flyte's `ActionDetails` that follows from an action's attempts."""

    @property
    @abstractmethod
    def attempts(self) -> list[AttemptRow]:
        """Every attempt, in order."""

    @property
    @abstractmethod
    def start_time(self) -> datetime:
        """When the action was queued, UTC."""

    @property
    @abstractmethod
    def end_time(self) -> datetime | None:
        """When it ended, UTC; None while it lives."""

    @property
    @abstractmethod
    def phase(self) -> ActionPhase:
        """In which phase it is."""

    @property
    @abstractmethod
    def initializing_at(self) -> datetime | None:
        """Since when the place where its last attempt runs was prepared, UTC; None where nothing had to be."""

    @property
    def is_running(self) -> bool:
        """Whether it runs now."""
        return self.phase == ActionPhase.RUNNING

    @property
    def runtime(self) -> timedelta:
        """From the time at which it was queued to its end, or to now."""
        return (self.end_time or datetime.now(UTC)) - self.start_time

    def get_phase_transitions(self, attempt: int | None = None) -> list[PhaseTransitionInfo]:
        """The phases that an attempt went through, in order; of one that is over, its end, too.

        Args:
            attempt: its number, from 1; the last unless given.

        Raises:
            ValueError: there is no such attempt.
        """
        rows = self.attempts
        numbered = {row.attempt: row for row in rows}
        chosen = numbered.get(attempt) if attempt is not None else (rows[-1] if rows else None)
        if chosen is None and attempt is not None:
            raise ValueError(f"There is no attempt {attempt}; attempts: {', '.join(map(str, numbered)) or 'none'}")
        if chosen is None:
            return [PhaseTransitionInfo(ActionPhase.QUEUED, self.start_time, None)]
        before = numbered.get(chosen.attempt - 1)
        queued = utc_time(before.ended_ns) if before is not None and before.ended_ns is not None else self.start_time
        phase, started = ActionPhase(chosen.phase), max(queued, utc_time(chosen.started_ns))
        initialized = self.initializing_at if chosen is rows[-1] else None
        began = [(ActionPhase.QUEUED, queued)]
        if initialized is not None and queued <= initialized <= started:
            began.append((ActionPhase.INITIALIZING, initialized))
        if chosen.ended_ns is None:
            began += [(phase, started)] if phase != began[-1][0] else []
        else:
            began += [(ActionPhase.RUNNING, started), (phase, utc_time(chosen.ended_ns))]
        ends = [*[at for _, at in began[1:]], utc_time_or_none(chosen.ended_ns)]
        return [PhaseTransitionInfo(one, at, end) for (one, at), end in zip(began, ends, strict=True)]

    @property
    def phase_durations(self) -> dict[ActionPhase, timedelta]:
        """How long the last attempt was in each phase."""
        return {one.phase: one.duration for one in self.get_phase_transitions()}

    @property
    def queued_time(self) -> timedelta | None:
        """How long the last attempt waited for its start."""
        return self.phase_durations.get(ActionPhase.QUEUED)

    @property
    def waiting_for_resources_time(self) -> timedelta | None:
        """How long the last attempt waited for resources; None: what waits here is queued."""
        return self.phase_durations.get(ActionPhase.WAITING_FOR_RESOURCES)

    @property
    def initializing_time(self) -> timedelta | None:
        """How long the last attempt was prepared; None where that is part of its running."""
        return self.phase_durations.get(ActionPhase.INITIALIZING)

    @property
    def running_time(self) -> timedelta | None:
        """How long the last attempt ran."""
        return self.phase_durations.get(ActionPhase.RUNNING)


def utc_time(at_ns: int) -> datetime:
    """A moment as people write it: its microsecond, never a later one."""
    return datetime.fromtimestamp(at_ns // 1000 / 1e6, UTC)


def utc_time_or_none(at_ns: int | None) -> datetime | None:
    """The same of a moment that may not have come yet."""
    return None if at_ns is None else utc_time(at_ns)


def duration_of(start_ns: int | None, end_ns: int | None) -> timedelta:
    """The time between two moments; up to now where the end is open, zero where the start is."""
    if start_ns is None:
        return timedelta(0)
    return timedelta(microseconds=((end_ns if end_ns is not None else time.time_ns()) - start_ns) / 1000)


def check_awaited(phase: str) -> None:
    """Checks what a `wait_for` says.

    Raises:
        ValueError: it is neither of Flyte's words.
    """
    if phase not in ("terminal", "running"):
        raise ValueError(f"wait_for is 'terminal' or 'running', got {phase!r}")
