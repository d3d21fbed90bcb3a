"""What `flyte.ctx()` shows: built when a task asks for it, once per attempt."""

from __future__ import annotations

import os
from typing import Any

from flyte_nb.authoring.context import Scope
from flyte_nb.engine.action import Attempt
from flyte_nb.models import ActionID, CheckpointPaths, GroupData, RawDataPath, TaskContext
from flyte_nb.report import Report

__all__ = ["make_task_context"]

VERSION = ""
"""What Flyte shows as the version of code that was not deployed."""


def make_task_context(scope: Scope) -> TaskContext:
    """The task context of a scope: that of its attempt, in the scope's group and custom context."""
    attempt: Attempt = scope.attempt
    if attempt.task_context is None:
        attempt.task_context = _make(attempt)
    changes: dict[str, Any] = {"custom_context": dict(scope.custom_context)}
    if scope.group is not None:
        changes["group_data"] = GroupData(scope.group)
    return attempt.task_context.replace(**changes)


def _make(attempt: Attempt) -> TaskContext:
    action = attempt.action
    run = action.run_state
    report = Report(name=action.name)
    report.on_flush = attempt.record_report
    attempt.report = report
    data = run.raw_data_path
    os.makedirs(data, exist_ok=True)
    base = run.options.run_base_dir or data
    checkpoints = os.path.join(data, "checkpoints", action.name)
    before = os.path.join(checkpoints, str(action.attempt - 1))
    identity = ActionID(name=action.name, run_name=run.name)
    return TaskContext(
        action=identity,
        task_action=identity,
        version=VERSION,
        raw_data_path=RawDataPath(path=data),
        output_path=os.path.join(base, action.name),
        run_base_dir=base,
        report=report,
        checkpoint_paths=CheckpointPaths(before, os.path.join(checkpoints, str(action.attempt))),
        mode="local",
        interactive_mode=False,
        disable_run_cache=run.options.disable_run_cache,
        run_start_time=run.start_time,
        attempt_number=action.attempt - 1,
    )
