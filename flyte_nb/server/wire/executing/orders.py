"""What the server tells the process of a run."""

from __future__ import annotations

from typing import Any

import msgspec
from flyteidl2.task import common_pb2, run_pb2

from flyte_nb.remote.backend.sdk.automations import recorded_settings

__all__ = ["Order", "options_of"]

OF_CONTAINERS = ("LOG_LEVEL", "LOG_FORMAT", "USER_LOG_LEVEL", "FLYTE_RESET_ROOT_LOGGER", "_F_", "_U_")
"""What variables begin with that Flyte's SDK sets for every run, for itself in a container."""


class Order(msgspec.Struct, frozen=True):
    """A run of a deployed task."""

    task: str
    version: str
    run: str
    """The name that the run is to have."""
    options: dict[str, Any]
    """As `with_runcontext` takes them."""
    inputs: bytes
    """A serialized `Inputs` of Flyte's."""
    server: int
    """Process id of the server, without which nothing is begun: the next one may start the run again."""


def options_of(spec: run_pb2.RunSpec, inputs: common_pb2.Inputs) -> dict[str, Any]:
    """What a client says of a run that is asked for, as `with_runcontext` takes it."""
    options = recorded_settings(spec, inputs.context)
    variables: dict[str, str] = options.pop("env_vars", {})
    own = {name: value for name, value in variables.items() if not name.startswith(OF_CONTAINERS)}
    return {**options, "env_vars": own} if own else options
