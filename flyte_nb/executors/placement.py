"""Where a task's attempts run and what they hold there: decided by the engine once per run and task.

Placement("process", "it asks for memory", Needs(cpu=1, memory_bytes=2**30), ...)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flyte_nb.authoring.image import Image
from flyte_nb.authoring.reuse import ReusePolicy

__all__ = ["IN_KERNEL", "Isolation", "Needs", "Placement"]

Isolation = Literal["kernel", "process", "virtualenv"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What an attempt holds of the machine while it runs.

    Attributes:
        cpu: cores; 0 is not counted.
        memory_bytes: bound on private memory; None is no bound and not counted.
        gpus: accelerators.
    """

    cpu: float = 0.0
    memory_bytes: int | None = None
    gpus: int = 0

    @property
    def is_counted(self) -> bool:
        """Whether there is anything to wait for."""
        return bool(self.cpu or self.memory_bytes or self.gpus)


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Placement:
    """Where the attempts of a task run.

    Attributes:
        isolation: `kernel`, `process` or `virtualenv`.
        reason: why, for people: `it declares a memory limit`.
        environment: name of the task's environment: tasks that share it share its pool.
        needs: what an attempt holds of the machine; of a pool, what each worker holds.
        reuse: the pool's policy; None gives every attempt a fresh process.
        variables: environment variables of the process, secrets among them.
        image: what the interpreter of a virtual environment is built from; None is Flyte's default image.
        scope: the run's name when the pool is the run's own, else empty.
        folder: the working folder of its code; empty leaves it.
    """

    isolation: Isolation
    reason: str
    environment: str = ""
    needs: Needs = Needs()
    reuse: ReusePolicy | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    image: Image | None = None
    scope: str = ""
    folder: str = ""


IN_KERNEL = Placement("kernel", "nothing asks for a process")
