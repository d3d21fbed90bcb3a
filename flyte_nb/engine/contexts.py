"""What `flyte.ctx()` shows: built when a task asks for it, once per attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_nb.authoring.context import Scope
from flyte_nb.engine.action import Attempt
from flyte_nb.engine.checkpoints import last_checkpoint
from flyte_nb.engine.code.run_code import recorded_task
from flyte_nb.executors.frames import Facts
from flyte_nb.executors.task_context import make_task_context
from flyte_nb.models import GroupData, TaskContext
from flyte_nb.report import Report

__all__ = ["facts_of", "task_context_of"]


def task_context_of(scope: Scope) -> TaskContext:
    """The task context of a scope: that of its attempt, in the scope's group and custom context."""
    attempt: Attempt = scope.attempt
    if attempt.task_context is None:
        attempt.task_context = _make(attempt)
    changes: dict[str, Any] = {"custom_context": dict(scope.custom_context)}
    if scope.group is not None:
        changes["group_data"] = GroupData(scope.group)
    return attempt.task_context.replace(**changes)


def facts_of(attempt: Attempt, custom_context: Mapping[str, str]) -> Facts:
    """What `flyte.ctx()` is made of."""
    action = attempt.action
    run = action.run_state
    data = run.raw_data_path
    return Facts(
        run=run.name,
        action=action.name,
        attempt=action.attempt,
        raw_data_path=data,
        run_base_dir=run.options.run_base_dir or data,
        disable_run_cache=run.options.disable_run_cache,
        run_start_time=run.start_time,
        custom_context=dict(custom_context),
        notebook=run.notebook,
        cell=run.cell,
        replays=attempt.replays and (run.history is not None or action.attempt > 1),
        checkpoint=last_checkpoint(attempt),
        version=_version(attempt),
    )


def _make(attempt: Attempt) -> TaskContext:
    report = Report(name=attempt.action.name)
    report.on_flush = attempt.record_report
    attempt.report = report
    return make_task_context(facts_of(attempt, {}), report)


def _version(attempt: Attempt) -> str:
    """The version of the deployed task whose code runs; empty for code that was not deployed."""
    recorded = recorded_task(attempt.plan.template) if attempt.plan is not None else None
    return recorded.owner.version if recorded is not None else ""
