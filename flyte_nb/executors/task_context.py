"""What `flyte.ctx()` shows, made of the facts of an attempt: the same in the kernel and in a worker."""

from __future__ import annotations

import os

from flyte_nb.executors.frames import Facts
from flyte_nb.models import ActionID, CheckpointPaths, RawDataPath, TaskContext
from flyte_nb.report import Report

__all__ = ["checkpoint_folder", "make_task_context"]


def checkpoint_folder(raw_data_path: str, run: str, action: str) -> str:
    """Where the attempts of an action save their checkpoints, each under its number. Runs may share a folder."""
    return os.path.join(raw_data_path, "checkpoints", run, action)


def make_task_context(facts: Facts, report: Report) -> TaskContext:
    """The context of an attempt, outside any group."""
    os.makedirs(facts.raw_data_path, exist_ok=True)
    checkpoints = checkpoint_folder(facts.raw_data_path, facts.run, facts.action)
    identity = ActionID(name=facts.action, run_name=facts.run)
    return TaskContext(
        action=identity,
        task_action=identity,
        version=facts.version,
        raw_data_path=RawDataPath(path=facts.raw_data_path),
        output_path=os.path.join(facts.run_base_dir, facts.action),
        run_base_dir=facts.run_base_dir,
        report=report,
        checkpoint_paths=CheckpointPaths(
            facts.checkpoint or os.path.join(checkpoints, str(facts.attempt - 1)),
            os.path.join(checkpoints, str(facts.attempt)),
        ),
        mode="local",
        interactive_mode=False,
        disable_run_cache=facts.disable_run_cache,
        run_start_time=facts.run_start_time,
        attempt_number=facts.attempt - 1,
    )
