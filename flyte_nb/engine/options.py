"""What a run was asked for: the parameters of `flyte.with_runcontext` that matter to the engine, and the rest as
recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flyte_nb.executors.placement import Isolation
from flyte_nb.notify import NamedRule, Notification

__all__ = ["MASKED_INPUTS", "RunOptions", "notifications_of"]

MASKED_INPUTS = "masked_inputs"
"""Recorded option of a run: names of the root's inputs that hold a secret's value, which is masked in the record."""


@dataclass(frozen=True)
class RunOptions:
    """Options of one run.

    Attributes:
        name: the run's name; None lets the engine choose one.
        max_action_concurrency: how many actions may be at work at once; None is no limit.
        env_vars: environment variables of every process of the run.
        notifications: sent when it ends.
        isolation: where its tasks run; None lets the session or each task decide.
        recorded: parameters that mean something on a cluster only: kept with the run and shown.
    """

    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    custom_context: Mapping[str, str] = field(default_factory=dict)
    disable_run_cache: bool = False
    overwrite_cache: bool = False
    max_action_concurrency: int | None = None
    raw_data_path: str | None = None
    run_base_dir: str | None = None
    run_start_time: datetime | None = None
    parent_run: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    notifications: tuple[Notification | NamedRule, ...] = ()
    isolation: Isolation | None = None
    recorded: Mapping[str, Any] = field(default_factory=dict)


def notifications_of(given: Any) -> tuple[Notification | NamedRule, ...]:
    """The notifications that were asked for.

    Raises:
        TypeError: one of them is none.
    """
    found = tuple(given) if isinstance(given, tuple | list) else () if given is None else (given,)
    for one in found:
        if not isinstance(one, Notification | NamedRule):
            raise TypeError(f"notifications must be of flyte.notify (Slack, Email, ...), got {one!r}")
    return found
