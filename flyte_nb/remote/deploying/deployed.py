"""Deployed tasks, found by name and version and loaded with the code that was deployed.

    find(name, version, auto_version)   what is recorded of it; `latest` stays the same throughout a run
    load(row)                           the task itself, in a namespace of its own: nothing of the notebook changes

A version never changes, so that both are remembered. A run that is rerun or recovered finds the versions that the
earlier run called.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from weakref import WeakKeyDictionary

from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine import hosting
from flyte_nb.engine.session import Session, session
from flyte_nb.engine.state import RunState
from flyte_nb.errors import (
    InitializationError,
    RemoteTaskNotFoundError,
    RemoteTaskUsageError,
    TraceDoesNotAllowNestedTasksError,
)
from flyte_nb.executors.worker import namespace
from flyte_nb.remote.backend.task import task_of_row
from flyte_nb.remote.phases import utc_time
from flyte_nb.remote.repeats.histories import LINEAGE
from flyte_nb.remote.setup import current_domain, current_project
from flyte_nb.remote.source import source
from flyte_nb.store.rows import DeployedTaskRow

__all__ = ["AutoVersion", "DeployedVersion", "calling_scope", "check_project", "digest_name", "find", "load"]

AutoVersion = Literal["latest", "current"]
LOADED_TASKS = 200
"""So many versions stay loaded, those used last."""
SAME_CODE = ("reruns", "recovers")
"""How a run follows an earlier one whose code it executes."""

Version = tuple[str, str]
"""Name and version of a task."""

_rows: WeakKeyDictionary[Session, dict[tuple[str, str, str], DeployedTaskRow]] = WeakKeyDictionary()
"""By where it is recorded, name and version."""
_loaded: WeakKeyDictionary[Session, OrderedDict[Version, TaskTemplate[Any, Any]]] = WeakKeyDictionary()
_latest: WeakKeyDictionary[RunState, dict[str, str]] = WeakKeyDictionary()
"""By run, the versions that `latest` stands for in it, by task."""


class DeployedVersion:
    """What a version of a deployed task says of itself, in a list and in hand alike.

    Attributes:
        row: what is recorded of it.
    """

    row: DeployedTaskRow

    @property
    def name(self) -> str:
        """Its full name, `environment.function`."""
        return self.row.task

    @property
    def version(self) -> str:
        return self.row.version

    @property
    def entrypoint(self) -> bool:
        """Whether users are meant to start it."""
        return bool(self.row.settings.get("entrypoint", False))

    @property
    def deployed_at(self) -> datetime:
        """When it was deployed, UTC."""
        return utc_time(self.row.deployed_ns)


def find(name: str, version: str | None, auto_version: AutoVersion | None = None) -> DeployedTaskRow:
    """What is recorded of a deployed task.

    Args:
        name: full name, `environment.function`.
        version: None for the one that `auto_version` says.
        auto_version: `latest`, or `current` for that of the deployed task whose code calls.

    Raises:
        RemoteTaskNotFoundError: there is none; the message names near ones.
        RemoteTaskUsageError: `current` where the code that runs was not deployed.
    """
    scope = current_scope.get()
    if version is None and auto_version == "current":
        version = scope.controller.task_context(scope).version if scope is not None else ""
        if not version:
            raise RemoteTaskUsageError(
                f"auto_version='current' of {name} is the version of the deployed task that calls it: the code that "
                "runs here was not deployed. Use version=... or auto_version='latest'."
            )
    if scope is not None and namespace.is_worker():
        return _recorded(name, version or namespace.deployed_version(name) or None)
    return _find(scope.attempt.action.run_state if scope is not None else None, name, version)


def load(row: DeployedTaskRow) -> TaskTemplate[Any, Any]:
    """The deployed task, ready to be called or run.

    Raises:
        RemoteTaskUsageError: Flyte's own client deployed it: its code is not in this store.
        flyte_nb.errors.RuntimeUserError: its code is gone, or was compiled by another Python.
    """
    if row.settings.get("backend"):
        return task_of_row(row)
    if not row.code:
        raise RemoteTaskUsageError(
            f"Task {row.task}, version {row.version}, was deployed by Flyte's own client, which keeps its code in a "
            "bundle for containers: it cannot run in this process. Deploy it with flyte_nb."
        )
    active = session()
    loaded = _loaded.setdefault(active, OrderedDict())
    task = loaded.get((row.task, row.version))
    if task is None:
        task = active.code.load_deployed(row.code, row.task, row.version).task(row.task)
        loaded[row.task, row.version] = task
        if len(loaded) > LOADED_TASKS:
            loaded.popitem(last=False)
    else:
        loaded.move_to_end((row.task, row.version))
    return task


def calling_scope(name: str, args: tuple[Any, ...]) -> Scope:
    """Where a call of a deployed task is made.

    Raises:
        RemoteTaskUsageError: inputs are given by position, as Flyte refuses them, or no task is running.
        TraceDoesNotAllowNestedTasksError: a traced function calls.
    """
    if args:
        raise RemoteTaskUsageError(
            f"Remote task {name} does not support positional arguments currently. Please use keyword arguments."
        )
    scope = current_scope.get()
    if scope is None:
        raise RemoteTaskUsageError(
            f"Remote tasks [{name}] are called in a running task: outside of one, flyte.run(task, ...) runs them."
        )
    if scope.trace is not None:
        raise TraceDoesNotAllowNestedTasksError(f"Task {name} is invoked from inside a `flyte.trace`.")
    return scope


def digest_name(name: str, version: str, changes: Mapping[str, Any]) -> str:
    """What stands for a deployed task in the digests of code that reads it."""
    changed = ", ".join(f"{key}={value!r}" for key, value in sorted(changes.items()))
    return f"{name}@{version}({changed})"


def check_project(project: str | None, domain: str | None) -> None:
    """Refuses a project or domain that is not that of `flyte.init`.

    Raises:
        ValueError: it is another.
    """
    for word, given, current in (("project", project, current_project), ("domain", domain, current_domain)):
        if given is None:
            continue
        try:
            known = current()
        except InitializationError:
            known = None
        if given != known:
            raise ValueError(
                f"{word}={given!r}: the store on this machine has no {word}s; leave it out, or name it in "
                f"flyte.init({word}={given!r})"
            )


def _find(run: RunState | None, name: str, version: str | None) -> DeployedTaskRow:
    pinned = _latest.setdefault(run, {}) if version is None and run is not None else {}
    if version is None and run is not None:
        version = pinned.get(name) or _version_called_before(run, name)
    rows = _rows.setdefault(session(), {})
    row = rows.get((source.address, name, version)) if version else None
    if row is None:
        row = _recorded(name, version)
        rows[source.address, name, row.version] = row
    pinned[name] = row.version
    return row


def _recorded(name: str, version: str | None) -> DeployedTaskRow:
    try:
        return source.deployed_task(name, version)
    except KeyError as error:
        raise RemoteTaskNotFoundError(f"{error.args[0]} flyte.deploy(environment) deploys.") from None


def _version_called_before(run: RunState, name: str) -> str | None:
    """The version that the run called whose recorded code this run executes."""
    if not run.parent_run or run.options.recorded.get(LINEAGE) not in SAME_CODE:
        return None
    called = [task.settings.get("version") for task in source.tasks(run.parent_run) if task.task == name]
    return next((str(version) for version in called if version), None)


def _find_for_worker(run: RunState, name: str, version: str | None) -> TaskTemplate[Any, Any]:
    return load(_find(run, name, version))


hosting.find_deployed = _find_for_worker
