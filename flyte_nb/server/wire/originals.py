"""What Flyte's own tasks, executed here, were and received and returned, as their client and processes wrote it.

The store records it, too, for all who read a store. Flyte's own client is shown the messages themselves: with the
schemas of their classes, and the container, so that it can run the task again.
"""

from __future__ import annotations

import re
from pathlib import Path

from flyteidl2.task import common_pb2, task_definition_pb2

from flyte_nb.engine.identity import ROOT
from flyte_nb.server.wire.uploads import Uploads

__all__ = ["NAME", "Originals"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""Names of runs and actions that become folders."""


class Originals:
    """The folders of executed runs. The methods block.

    Args:
        uploads: the folder that holds them.
    """

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    def folder(self, run: str) -> Path:
        """The folder of a run.

        Raises:
            ValueError: its name cannot be one.
        """
        if not NAME.fullmatch(run):
            raise ValueError(f"{run[:200]!r} cannot be the name of a run: letters, digits, _ . - (up to 128)")
        return self._uploads.path(f"runs/{run}")

    def keep_task(self, run: str, number: int, spec: task_definition_pb2.TaskSpec) -> None:
        """Keeps a task of a run, under its number."""
        self._uploads.write(f"runs/{run}/tasks/{number}.pb", spec.SerializeToString(deterministic=True))

    def task(self, run: str, number: int) -> task_definition_pb2.TaskSpec | None:
        """A task of a run; None where this server has not executed it."""
        content = self._content(run, f"tasks/{number}.pb")
        return task_definition_pb2.TaskSpec.FromString(content) if content is not None else None

    def inputs(self, run: str, action: str) -> common_pb2.Inputs | None:
        """What an action received; None where this server has not executed it."""
        content = self._content(run, "inputs.pb" if action == ROOT else f"{action}/inputs.pb")
        return common_pb2.Inputs.FromString(content) if content is not None else None

    def outputs(self, run: str, action: str, attempt: int) -> common_pb2.Outputs | None:
        """What an attempt returned; None where this server has not executed it, or it returned nothing."""
        content = self._content(run, f"{action}/{attempt}/outputs.pb")
        return common_pb2.Outputs.FromString(content) if content is not None else None

    def _content(self, run: str, name: str) -> bytes | None:
        if not NAME.fullmatch(run):
            return None
        try:
            return self.folder(run).joinpath(name).read_bytes()
        except OSError:  # not there
            return None
