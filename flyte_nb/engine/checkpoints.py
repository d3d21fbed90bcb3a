"""Where an attempt goes on from: what an earlier attempt of its action saved last, in this run or in those it repeats.

A run that recovers or forks another executes what was unfinished there: the same call of the same code (as
`flyte_nb.engine.history` knows it) finds the checkpoint that it had come to.
"""

from __future__ import annotations

import os

from flyte_nb.engine.action import Attempt
from flyte_nb.executors.task_context import checkpoint_folder

__all__ = ["last_checkpoint"]


def last_checkpoint(attempt: Attempt) -> str:
    """The file that was saved last before this attempt began; empty when nothing was."""
    action = attempt.action
    run = action.run_state
    if action.attempt > 1 and (own := _newest_in(checkpoint_folder(run.raw_data_path, run.name, action.name))):
        return own
    if run.history is None or attempt.plan is None:
        return ""
    interrupted = run.history.interrupted(action.name, attempt.plan.deep_digest, action.inputs)
    folders = (checkpoint_folder(earlier.raw_data_path, earlier.run, action.name) for earlier in interrupted)
    return next(filter(None, map(_newest_in, folders)), "")


def _newest_in(folder: str) -> str:
    """The checkpoint of the last attempt that saved one."""
    try:
        attempts = [int(name) for name in os.listdir(folder) if name.isdigit()]
    except FileNotFoundError:
        return ""
    return os.path.join(folder, str(max(attempts))) if attempts else ""
