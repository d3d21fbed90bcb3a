"""Flyte's `flyte.remote`: runs and their actions, fetched from where they are recorded."""

from flyte_nb.remote.action import Action, ActionDetails
from flyte_nb.remote.outputs import ActionInputs, ActionOutputs
from flyte_nb.remote.run import Run, RunDetails, TimeFilter

__all__ = ["Action", "ActionDetails", "ActionInputs", "ActionOutputs", "Run", "RunDetails", "TimeFilter"]
