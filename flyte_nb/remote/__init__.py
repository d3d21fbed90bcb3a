"""Flyte's `flyte.remote`: runs and their actions, fetched from where they are recorded.

Beside Flyte's names there is what a store on this machine needs: `prune`, `export_run` and `import_run`.
"""

import flyte_nb.remote.repeats.rerun  # noqa: F401  # gives runners their `rerun`
from flyte_nb.remote.action import Action, ActionDetails
from flyte_nb.remote.condition import Condition
from flyte_nb.remote.listing import TimeFilter
from flyte_nb.remote.outputs import ActionInputs, ActionOutputs
from flyte_nb.remote.run import Run, RunDetails
from flyte_nb.remote.secret import Secret, SecretTypes
from flyte_nb.remote.task import Task
from flyte_nb.remote.task_details import TaskDetails
from flyte_nb.remote.trigger import Trigger, TriggerDetails
from flyte_nb.remote.upkeep.retention import prune
from flyte_nb.remote.upkeep.transfer import export_run, import_run

__all__ = [
    "Action",
    "ActionDetails",
    "ActionInputs",
    "ActionOutputs",
    "Condition",
    "Run",
    "RunDetails",
    "Secret",
    "SecretTypes",
    "Task",
    "TaskDetails",
    "TimeFilter",
    "Trigger",
    "TriggerDetails",
    "export_run",
    "import_run",
    "prune",
]
