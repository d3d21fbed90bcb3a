"""A deployed task of a backend as a task here: a run, or a task of a local run, calls it and awaits its result.

    local action "train.fit"  --starts-->  a run of train.fit at the backend
                              <--follows-- its phases; its result or its error becomes the action's

The action's log names the run at the backend. An action that is aborted aborts that run.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from inspect import Parameter
from textwrap import indent
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.errors import InitializationError, RuntimeSystemError
from flyte_nb.interface import Docstring, NativeInterface
from flyte_nb.remote.backend.source import ROOT, BackendSource, is_over
from flyte_nb.remote.failures import error_of
from flyte_nb.remote.source import source
from flyte_nb.store.rows import DeployedTaskRow
from flyte_nb.types.steps import decode_values

__all__ = ["BackendTask", "DeployedDefault", "task_of_row"]


PLAIN_TYPES: dict[str, Any] = {kind.__name__: kind for kind in (bool, float, int, str)}


@dataclass(frozen=True)
class DeployedDefault:
    """Stands for a default that the backend has: an input that is not sent.

    Attributes:
        shown: the default, as plain data or text.
    """

    shown: Any

    def __repr__(self) -> str:
        return str(self.shown)


@dataclass(kw_only=True, eq=False)
class BackendTask(TaskTemplate[Any, Any]):
    """A deployed task of the backend that is connected.

    Args:
        version: of it.
    """

    version: str

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Runs it at the backend and follows it to its end.

        Raises:
            flyte_nb.errors.InitializationError: no backend is connected any more.
            flyte_nb.errors.BaseRuntimeError: it failed there.
        """
        backend = self._backend()
        given = {name: value for name, value in kwargs.items() if not isinstance(value, DeployedDefault)}
        run = await asyncio.to_thread(backend.start_deployed, self.name, self.version, given, {})
        print(f"Run {run} at {await asyncio.to_thread(backend.url, run)}")
        try:
            phase = "queued"
            while not is_over(phase):
                phase = await asyncio.to_thread(backend.wait, run, ROOT, phase)
        except asyncio.CancelledError:
            await asyncio.to_thread(backend.abort, run, "The task that called it was aborted")
            raise
        return await asyncio.to_thread(self._result, backend, run)

    def _result(self, backend: BackendSource, run: str) -> Any:
        row = backend.action(run, ROOT)
        if row.outputs is None:
            raise error_of(row.phase, row.error) or RuntimeSystemError(
                "NoOutputs", f"Run {run} at {backend.endpoint} is {row.phase} and has no outputs"
            )
        values = decode_values(row.outputs, source.blobs)
        return values[0] if len(values) == 1 else tuple(values) if values else None

    def _backend(self) -> BackendSource:
        if source.backend is None:
            raise InitializationError(
                "ClientNotInitializedError",
                "user",
                f"Task {self.name} is deployed at a backend, and none is connected: flyte.init(endpoint=...).",
            )
        return source.backend


def task_of_row(row: DeployedTaskRow) -> BackendTask:
    """The task that a row of a backend describes. Its types are the backend's: values are checked there, but for plain
    ones, which forms and command lines read from text."""
    inputs = {name: _input(kind, row.defaults.get(name, Parameter.empty)) for name, kind in row.inputs}
    return BackendTask(
        name=row.task,
        version=row.version,
        short_name=row.short_name,
        interface=NativeInterface(inputs, {name: Any for name, _ in row.outputs}, docstring_of(row)),
        parent_env_name=row.environment,
        image=row.image or "auto",
    )


def docstring_of(row: DeployedTaskRow) -> Docstring | None:
    """What a row says about its task and inputs, or None."""
    inputs = [f"{name}: {said}" for name, said in row.input_descriptions.items() if said]
    about_inputs = indent("\n".join(["Args:", *(one.replace("\n", "\n    ") for one in inputs)]), "    ").strip()
    said = filter(None, (row.short_description, row.long_description, about_inputs if inputs else ""))
    text = "\n\n".join(said)
    return Docstring(text) if text else None


def _input(kind: str, default: Any) -> tuple[Any, Any]:
    """Type and default of an input; a default that is not of a plain type is left to the backend."""
    plain = PLAIN_TYPES.get(kind, Any)
    if default is Parameter.empty or type(default) is plain:
        return plain, default
    return Any, DeployedDefault(default)
