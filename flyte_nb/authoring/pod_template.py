"""The Kubernetes pod of a task: recorded here, meaningful on a cluster.

What a template grants beyond its spec is kept beside the spec and written into it by whoever submits it, so that
declaring a task never needs the `kubernetes` package.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

__all__ = ["PRIMARY_CONTAINER_DEFAULT_NAME", "PodTemplate"]

PRIMARY_CONTAINER_DEFAULT_NAME = "primary"
CAPABILITY_ANNOTATION = "flyte.org/capability-{}"


@dataclass
class PodTemplate:
    """The pod in which a task runs on a cluster.

    Args:
        pod_spec: a `kubernetes.client.V1PodSpec`.
        primary_container_name: the container that runs the task.
        labels: of the pod.
        annotations: of the pod.
        termination_grace_period_seconds: see `with_termination_grace_period`.
        capabilities: what `allow_fuse` and `allow_nested_sandboxing` granted.
    """

    pod_spec: Any = None
    primary_container_name: str = PRIMARY_CONTAINER_DEFAULT_NAME
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    termination_grace_period_seconds: int | None = None
    capabilities: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_spec(
        cls,
        pod_spec: Any,
        *,
        primary_container_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> PodTemplate:
        """A template with a copy of the spec.

        Args:
            pod_spec: a `kubernetes.client.V1PodSpec`.
            primary_container_name: the container that runs the task; otherwise `primary`, or the only one there is.
            labels: of the pod.
            annotations: of the pod.

        Raises:
            ValueError: when the primary container is not there, or cannot be told.
        """
        names = [getattr(container, "name", None) for container in pod_spec.containers or []]
        if primary_container_name is not None:
            if primary_container_name not in names:
                raise ValueError(
                    f"primary_container_name {primary_container_name!r} not found in pod spec; "
                    f"available containers: {names}"
                )
            primary = primary_container_name
        elif PRIMARY_CONTAINER_DEFAULT_NAME in names:
            primary = PRIMARY_CONTAINER_DEFAULT_NAME
        elif len(names) == 1 and names[0]:
            primary = names[0]
        else:
            raise ValueError(
                f"Cannot determine the primary container: the pod spec has containers {names} and none "
                f"is named {PRIMARY_CONTAINER_DEFAULT_NAME!r}. Pass primary_container_name= to pick one."
            )
        return cls(
            copy.deepcopy(pod_spec),
            primary,
            dict(labels) if labels else None,
            dict(annotations) if annotations else None,
        )

    def with_termination_grace_period(self, termination_grace_period: int | timedelta) -> PodTemplate:
        """A copy whose pod has this long (an int is seconds) between SIGTERM and SIGKILL.

        Raises:
            TypeError: when it is neither an int nor a timedelta.
            ValueError: when it is negative.
        """
        value = termination_grace_period
        if isinstance(value, bool) or not isinstance(value, int | timedelta):
            raise TypeError(
                f"termination_grace_period must be an int (seconds) or timedelta, got {type(value).__name__}."
            )
        seconds = int(value.total_seconds()) if isinstance(value, timedelta) else value
        if seconds < 0:
            raise ValueError(f"termination_grace_period must be non-negative, got {seconds} seconds.")
        return replace(self, termination_grace_period_seconds=seconds)

    def allow_fuse(self, privileged: bool = False) -> PodTemplate:
        """A copy whose primary container may mount FUSE file systems; `privileged` where no device plugin helps."""
        return self._with_capability("fuse", "privileged" if privileged else "true")

    def allow_nested_sandboxing(self) -> PodTemplate:
        """A copy whose primary container may create sandboxes of its own."""
        return self._with_capability("nested-sandboxing", "true")

    def _with_capability(self, name: str, value: str) -> PodTemplate:
        annotations = {**(self.annotations or {}), CAPABILITY_ANNOTATION.format(name): "true"}
        return replace(self, annotations=annotations, capabilities={**self.capabilities, name: value})
