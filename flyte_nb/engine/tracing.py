"""Steps of traced functions: a trace is an action of its own kind, recorded under the action whose code it is part of.

A step is acknowledged only when its record survives a power cut; steps of the same moment share one fsync.
Arguments and results are encoded by what they are (as `Any`), so that they load without the function.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Iterable, Mapping
from typing import Any

from flyte_nb.authoring.context import Scope
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.action import Action, Attempt
from flyte_nb.engine.digests import own_digest
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.identity import action_name, call_position
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.types.anything import encode_anything
from flyte_nb.types.base import Blobs
from flyte_nb.types.offload import pack_values
from flyte_nb.types.trees import identity_of

__all__ = ["RecordedStep", "begin_trace", "encode_values"]


class RecordedStep:
    """One call of a traced function: see `flyte_nb.authoring.context.TraceStep`."""

    replayed = False
    value: Any = None

    def __init__(self, scope: Scope, action: Action, blobs: Blobs) -> None:
        self.scope = scope
        self._action = action
        self._blobs = blobs
        self._position = 0

    def succeed(self, value: Any) -> None:
        self._position = self._action.run_state.end(self._action, "succeeded", encode_values([value], self._blobs))

    def fail(self, error: BaseException) -> None:
        run = self._action.run_state
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._position = run.end(self._action, "aborted")
        else:
            self._position = run.end(self._action, "failed", error=describe_error(error))

    async def durable(self) -> None:
        await self._action.run_state.sink.durable(self._position)

    def wait_durable(self) -> None:
        self._action.run_state.sink.wait_durable(self._position)


def begin_trace(
    scope: Scope, function: TraceFunction[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], blobs: Blobs
) -> RecordedStep:
    """Starts one call of a traced function under the attempt whose scope this is."""
    attempt: Attempt = scope.attempt
    parent = attempt.action
    run = parent.run_state
    named = _named_arguments(function, args, kwargs)
    payload = encode_values(named.values(), blobs)
    inputs = identity_of(payload)
    call = (function.name, inputs, scope.group)
    sequence = attempt.calls.get(call, 0)
    attempt.calls[call] = sequence + 1
    position = call_position(parent.position, function.name, scope.group, sequence, inputs)
    name = action_name(position, hash_struct("trace", own_digest(function)))
    known = run.actions.get(name)
    now = time.time_ns()
    if known is None:
        action = Action(run, parent, "trace", function.name, -1, scope.group, name, position, payload, now)
        action.trace_inputs = [(key, type(value).__name__) for key, value in named.items()]
        run.add(action, sequence, scope.custom_context)
        run.start(action, now, parent.where, announce=False)
    else:  # the task is tried again after its own failure: the trace executes again, as a further attempt
        action = known
        run.restart(action)
        run.start(action, now, parent.where, announce=True)
    return RecordedStep(scope.derive(trace=function.name), action, blobs)


def encode_values(values: Iterable[Any], blobs: Blobs) -> bytes:
    """The payload of values encoded by what they are; one that cannot be recorded (an open client) counts by its
    type."""
    return pack_values([_encode(value, blobs) for value in values], blobs)


def _encode(value: Any, blobs: Blobs) -> Any:
    try:
        return encode_anything(value, blobs)
    except TypeError:
        return encode_anything(f"<{type(value).__module__}.{type(value).__qualname__}, not recorded>", blobs)


def _named_arguments(
    function: TraceFunction[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    bound = inspect.signature(function.func).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)
