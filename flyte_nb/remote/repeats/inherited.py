"""What a run that repeats another takes over of what that one was asked for, as on a cluster: all of `with_runcontext`
but its name and its start time.

The values of `env_vars` are never recorded. They are taken of the earlier run while it is in this process's memory, and
else of this process's own environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flyte_nb.engine.options import MASKED_INPUTS, RunOptions
from flyte_nb.errors import RuntimeUserError
from flyte_nb.remote.repeats.histories import FORCED, LINEAGE
from flyte_nb.remote.source import source
from flyte_nb.store.rows import RunRow

__all__ = ["given_over", "inherited", "with_variables"]

VARIABLES = "env_vars"
OF_ITSELF = {LINEAGE, FORCED, MASKED_INPUTS}
"""Recorded options that say what one run itself is."""


def inherited(row: RunRow) -> RunOptions:
    """The options of a run, for one that repeats it."""
    live = source.live(row.name)
    asked = {key: value for key, value in row.options.items() if key not in OF_ITSELF}
    return RunOptions(
        labels=row.labels,
        annotations=row.annotations,
        custom_context=asked.get("custom_context", {}),
        disable_run_cache=asked.get("disable_run_cache", False),
        overwrite_cache=asked.get("overwrite_cache", False),
        max_action_concurrency=asked.get("max_action_concurrency"),
        raw_data_path=asked.get("raw_data_path"),
        run_base_dir=asked.get("run_base_dir"),
        parent_run=row.name,
        env_vars=live.options.env_vars if live is not None else {},
        isolation=asked.get("isolation"),
        recorded=asked,
    )


def given_over(given: RunOptions, recorded: RunOptions) -> RunOptions:
    """The options that are given to a run that repeats another; what it inherits fills the gaps."""
    variables: Mapping[str, str] = {**recorded.env_vars, **given.env_vars}
    options: dict[str, Any] = {**recorded.recorded, **given.recorded}
    if names := {*recorded.recorded.get(VARIABLES, ()), *given.env_vars}:
        options[VARIABLES] = sorted(names)
    return replace(
        given,
        labels={**recorded.labels, **given.labels},
        annotations={**recorded.annotations, **given.annotations},
        custom_context={**recorded.custom_context, **given.custom_context},
        disable_run_cache=given.disable_run_cache or recorded.disable_run_cache,
        overwrite_cache=given.overwrite_cache or recorded.overwrite_cache,
        max_action_concurrency=given.max_action_concurrency or recorded.max_action_concurrency,
        raw_data_path=given.raw_data_path or recorded.raw_data_path,
        run_base_dir=given.run_base_dir or recorded.run_base_dir,
        parent_run=recorded.parent_run,
        env_vars=variables,
        isolation=given.isolation or recorded.isolation,
        recorded=options,
    )


def with_variables(options: RunOptions) -> RunOptions:
    """The options with a value for each environment variable that the earlier run was given.

    Raises:
        RuntimeUserError: there is none of some.
    """
    names = [name for name in options.recorded.get(VARIABLES, ()) if name not in options.env_vars]
    if missing := [name for name in names if name not in os.environ]:
        raise RuntimeUserError(
            "EnvironmentNotFound",
            f"Run {options.parent_run} was given the environment variable{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}, whose values are not recorded. Set os.environ[{missing[0]!r}] = ... (or %env), or "
            f"use flyte.with_runcontext(env_vars={{...}}).rerun.",
        )
    return replace(options, env_vars={**{name: os.environ[name] for name in names}, **options.env_vars})
