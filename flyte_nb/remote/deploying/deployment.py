"""What `flyte.deploy` returns: environments, tasks and triggers as they were deployed. Flyte's classes."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.image import Image
from flyte_nb.store.rows import DeployedTaskRow, TriggerRow

__all__ = ["DeployedTask", "DeployedTaskEnvironment", "Deployment"]

Cells = list[tuple[str, ...]]
"""(title, text) of one row of a table."""


@dataclass
class DeployedTask:
    """A version of a task.

    Attributes:
        deployed_task: what is recorded of it.
        deployed_triggers: the triggers that were deployed with it.
        outcome: `deployed`; `unchanged`, for it was there before with the same code; `kept`, for the version was there
            with other code, which stays; or `dry run`.
    """

    deployed_task: DeployedTaskRow
    deployed_triggers: list[TriggerRow]
    outcome: str = "deployed"

    def get_name(self) -> str:
        """The full name of the task."""
        return self.deployed_task.task

    def summary_repr(self) -> str:
        """The task in a line."""
        return f"DeployedTask(name={self.deployed_task.task}, version={self.deployed_task.version})"

    def table_repr(self) -> Cells:
        """The task as a row of a table."""
        row = self.deployed_task
        return [
            ("type", "task"),
            ("name", row.task),
            ("version", row.version),
            ("triggers", ",".join(trigger.name for trigger in self.deployed_triggers)),
        ]


@dataclass
class DeployedTaskEnvironment:
    """An environment and its deployed tasks."""

    env: TaskEnvironment
    deployed_entities: list[DeployedTask]

    def get_name(self) -> str:
        """The name of the environment."""
        return self.env.name

    def summary_repr(self) -> str:
        """The environment in a line."""
        entities = ", ".join(entity.summary_repr() for entity in self.deployed_entities)
        return f"Deployment(env=[{self.env.name}], entities=[{entities}])"

    def table_repr(self) -> list[Cells]:
        """Its tasks as rows of a table."""
        return [entity.table_repr() for entity in self.deployed_entities]

    def env_repr(self) -> Cells:
        """The environment as a row of a table."""
        image = self.env.image
        return [("environment", self.env.name), ("image", image.uri if isinstance(image, Image) else image or "")]


@dataclass(frozen=True)
class Deployment:
    """Environments that were deployed together, by name."""

    envs: dict[str, DeployedTaskEnvironment]

    def summary_repr(self) -> str:
        """The deployment in a line."""
        return f"Deployment(envs=[{', '.join(env.summary_repr() for env in self.envs.values())}])"

    def table_repr(self) -> list[Cells]:
        """Its tasks as rows of a table."""
        return [cells for env in self.envs.values() for cells in env.table_repr()]

    def env_repr(self) -> list[Cells]:
        """Its environments as rows of a table."""
        return [env.env_repr() for env in self.envs.values()]

    def __repr__(self) -> str:
        """A line for each task: name, version, and what became of it."""
        tasks = [task for env in self.envs.values() for task in env.deployed_entities]
        width = max((len(task.get_name()) for task in tasks), default=0)
        lines = [
            f"{task.get_name():{width}}  {task.deployed_task.version}  {task.outcome}"
            + "".join(f"  {trigger.name}" for trigger in task.deployed_triggers)
            for task in tasks
        ]
        return "\n".join(lines) or "Deployment(envs=[])"
